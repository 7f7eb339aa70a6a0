//! A group of processes with little memory: a control group of version 1 below our own, for which root is needed.

use std::{fs, path::PathBuf, process::Command};

/// Where groups are.
const MOUNT: &str = "/sys/fs/cgroup/memory";

/// See the module. Dropping it removes the group; its processes have to be gone.
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// A new group with so many bytes; why there is none, where there cannot be one.
    pub fn new(bytes: u64) -> Result<MemoryGroup, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let own =
            groups.lines().find_map(|line| line.split_once(":memory:")).ok_or("no groups for memory")?.1;
        let dir = tempfile::Builder::new()
            .prefix("maniple-test-")
            .tempdir_in(format!("{MOUNT}{own}"))
            .map_err(|error| format!("no group can be made: {error}"))?
            .keep();
        let group = MemoryGroup(dir);
        fs::write(group.0.join("memory.limit_in_bytes"), bytes.to_string())
            .map_err(|error| format!("no limit can be set: {error}"))?;
        Ok(group)
    }

    /// Has this command, and all that it starts, run in the group, where it is all the memory that there is.
    pub fn wrap(&self, command: &mut Command) {
        let group = self.0.display();
        let enter =
            format!("echo $$ >{group}/cgroup.procs && mount --bind {group} {MOUNT} && exec \"$0\" \"$@\"");
        let mut wrapped = Command::new("unshare");
        wrapped.args(["--mount", "sh", "-c", &enter]).arg(command.get_program()).args(command.get_args());
        *command = wrapped;
    }

    /// How many processes the kernel has ended in it.
    pub fn oom_kills(&self) -> u64 {
        let text = fs::read_to_string(self.0.join("memory.oom_control")).expect("a group");
        let figure = text.lines().find_map(|line| line.strip_prefix("oom_kill ")).expect("a count");
        figure.parse().expect("a figure")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A process that is just being reaped keeps it for a moment.
        let gone = || fs::remove_dir(&self.0).is_ok();
        if !std::thread::panicking() {
            crate::wait::until(crate::program::PATIENCE, gone, || format!("{} stays", self.0.display()));
        } else {
            let _ = fs::remove_dir(&self.0);
        }
    }
}
