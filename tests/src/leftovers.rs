//! Which processes has a test left behind? Found by a mark in their environment, whoever their parent is.

use std::{fs, time::Duration};

use nix::{sys::signal::Signal, unistd::Pid};

use crate::wait::until;

/// The variable that everything a test starts inherits.
pub const MARK: &str = "MANIPLE_TEST";
/// How long the last of them may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

fn marked(mark: &str) -> Vec<(i32, String)> {
    let (wanted, parts) = (format!("{MARK}={mark}"), format!("{MARK}={mark}/"));
    let pids = fs::read_dir("/proc")
        .expect("procfs")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| *pid != std::process::id() as i32)
        .filter_map(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let has = environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == wanted.as_bytes() || variable.starts_with(parts.as_bytes()));
            let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            has.then(|| (pid, format!("{pid}: {}", command.chars().take(160).collect::<String>())))
        })
        .collect()
}

/// Processes with this mark, or with that of a part of it.
pub fn pids(mark: &str) -> Vec<i32> {
    marked(mark).into_iter().map(|(pid, _)| pid).collect()
}

/// Processes with this mark, each as a line.
pub fn processes(mark: &str) -> Vec<String> {
    marked(mark).into_iter().map(|(_, line)| line).collect()
}

/// Fails unless they all end within a few seconds.
pub fn assert_none(mark: &str) {
    let none = || processes(mark).is_empty();
    until(PATIENCE, none, || {
        let left = processes(mark).join("\n");
        kill(mark);
        format!("processes were left behind:\n{left}")
    });
}

/// Ends them all.
pub fn kill(mark: &str) {
    for (pid, _) in marked(mark) {
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
