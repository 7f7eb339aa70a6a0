//! A cap on how many processes and threads there may be: a group of the kernel's (version 1), which root may make.
//! Dropping it removes it, once nobody is in it any more.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::wait::until;

/// See the module.
pub struct Cap(PathBuf);

impl Cap {
    /// A group of so many at most; or says why we cannot make one.
    pub fn of(limit: u32) -> Result<Cap, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let cap = Cap(PathBuf::from(format!("/sys/fs/cgroup/pids/maniple-{process}-{made}")));
        let said = |error: std::io::Error| format!("a cgroup for {}: {error}", cap.0.display());
        fs::create_dir(&cap.0).map_err(said)?;
        fs::write(cap.0.join("pids.max"), limit.to_string()).map_err(said)?;
        Ok(cap)
    }

    /// Lets a command run within it.
    pub fn on(&self, command: &Command) -> Command {
        let mut inside = Command::new("sh");
        let enter = format!("echo $$ > {}/cgroup.procs; exec \"$0\" \"$@\"", self.0.display());
        inside.args(["-c", &enter]).arg(command.get_program()).args(command.get_args());
        inside
    }

    /// How often somebody was refused.
    pub fn refusals(&self) -> u64 {
        let events = fs::read_to_string(self.0.join("pids.events")).expect("the kernel counts them");
        events.trim().strip_prefix("max ").and_then(|count| count.parse().ok()).expect("a count")
    }
}

impl Drop for Cap {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let remove = || fs::remove_dir(&self.0).is_ok();
            until(Duration::from_secs(5), remove, || format!("{} is not empty", self.0.display()));
        }
    }
}
