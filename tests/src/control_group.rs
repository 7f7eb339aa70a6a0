//! Machines that are smaller than this one: control groups of the kernel (version 1) below our own, which root may make,
//! with a cap on processes and threads, or with little memory. Dropping one removes it, once nobody is in it any more.

use std::{fs, path::PathBuf, process::Command};

use crate::{program::PATIENCE, wait::until};

/// Where groups are.
const MOUNT: &str = "/sys/fs/cgroup";

/// A group of one controller.
struct Group(PathBuf);

impl Group {
    /// A new one with this limit; why there is none, where there cannot be one.
    fn new(controller: &str, file: &str, limit: u64) -> Result<Group, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let own = groups.lines().find_map(|line| line.split_once(&format!(":{controller}:")));
        let own = own.ok_or_else(|| format!("no control groups for {controller}"))?.1;
        let dir = tempfile::Builder::new()
            .prefix("maniple-test-")
            .tempdir_in(format!("{MOUNT}/{controller}{own}"))
            .map_err(|error| format!("no group can be made: {error}"))?
            .keep();
        let group = Group(dir);
        fs::write(group.0.join(file), limit.to_string())
            .map_err(|error| format!("no limit can be set: {error}"))?;
        Ok(group)
    }

    /// A program that enters the group, does `then`, and executes this command.
    fn wrap(&self, then: &str, command: &Command) -> Command {
        let enter = format!("echo $$ >{}/cgroup.procs && {then} exec \"$0\" \"$@\"", self.0.display());
        let mut inside = Command::new("sh");
        inside.args(["-c", &enter]).arg(command.get_program()).args(command.get_args());
        inside
    }

    /// A number that the kernel keeps.
    fn count(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.0.join(file)).expect("the kernel counts them");
        let figure = text.lines().find_map(|line| line.strip_prefix(name)).expect("a count");
        figure.trim().parse().expect("a figure")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that is just being reaped keeps it for a moment.
        let gone = || fs::remove_dir(&self.0).is_ok();
        if !std::thread::panicking() {
            until(PATIENCE, gone, || format!("{} is not empty", self.0.display()));
        } else {
            let _ = fs::remove_dir(&self.0);
        }
    }
}

/// A cap on how many processes and threads there may be.
pub struct Cap(Group);

impl Cap {
    /// So many at most.
    pub fn of(limit: u32) -> Result<Cap, String> {
        Group::new("pids", "pids.max", limit.into()).map(Cap)
    }

    /// Lets a command run within it.
    pub fn on(&self, command: &Command) -> Command {
        self.0.wrap("", command)
    }

    /// How often somebody was refused.
    pub fn refusals(&self) -> u64 {
        self.0.count("pids.events", "max ")
    }
}

/// A group of processes with little memory.
pub struct MemoryGroup(Group);

impl MemoryGroup {
    /// So many bytes.
    pub fn new(bytes: u64) -> Result<MemoryGroup, String> {
        Group::new("memory", "memory.limit_in_bytes", bytes).map(MemoryGroup)
    }

    /// Lets a command, and all that it starts, run in the group, where it is all the memory that there is.
    pub fn on(&self, command: &Command) -> Command {
        let hide = format!("mount --bind {} {MOUNT}/memory &&", self.0.0.display());
        let wrapped = self.0.wrap(&hide, command);
        let mut alone = Command::new("unshare");
        alone.arg("--mount").arg(wrapped.get_program()).args(wrapped.get_args());
        alone
    }

    /// How many processes the kernel has ended in it.
    pub fn oom_kills(&self) -> u64 {
        self.0.count("memory.oom_control", "oom_kill ")
    }
}
