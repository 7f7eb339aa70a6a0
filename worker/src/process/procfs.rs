//! Who descends from whom, read from procfs.
//!
//! A listing is a glance at something that moves: whoever needs certainty stops the processes and looks again, as
//! `kill` does. A process is its pid *and* its start time, since pids are used again.

use std::collections::HashMap;
use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use nix::unistd::Pid;

/// A process that a reused pid cannot be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub pid: Pid,
    /// Clock ticks after boot.
    started: u64,
}

impl Process {
    /// The process that has this pid now.
    pub fn find(pid: Pid) -> Option<Self> {
        Stat::read(pid).map(|stat| Self { pid, started: stat.started })
    }

    /// The one with this pid that started so many clock ticks after boot.
    #[must_use]
    pub fn new(pid: Pid, started: u64) -> Self {
        Self { pid, started }
    }

    /// Clock ticks after boot.
    #[must_use]
    pub fn started(self) -> u64 {
        self.started
    }

    /// Whether it is there and has not ended; one that waits to be reaped has.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.started == self.started && !stat.is_dead())
    }

    /// Whether it is a child of that one; one that has ended and is not reaped is.
    pub fn is_child_of(&self, parent: Pid) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.started == self.started && stat.parent == parent)
    }
}

/// How long a process is taken for one that is about to execute a program: longer than that takes, whatever the load.
pub const EXECUTING: Duration = Duration::from_secs(1);

/// What we need of `/proc/PID/stat`.
pub(super) struct Stat {
    state: u8,
    pub parent: Pid,
    pub started: u64,
}

impl Stat {
    pub(super) fn read(pid: Pid) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in parentheses may hold anything, parentheses and line ends included: fields count from the last one.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let name_end = bytes.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(bytes.get(name_end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = Pid::from_raw(fields.next()?.parse().ok()?);
        Some(Self { state, parent, started: fields.nth(17)?.parse().ok()? })
    }

    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// The children of a process, those included that have ended and are not reaped.
pub fn children(pid: Pid) -> Vec<Pid> {
    if has_children_files() { listed_children(pid) } else { snapshot().remove(&pid).unwrap_or_default() }
}

/// The living descendants of a process without itself, parents first; a `spare`d one and its own are left out.
pub fn descendants(root: Pid, spare: Option<Pid>) -> Vec<Process> {
    let snapshot = (!has_children_files()).then(snapshot);
    let children = |pid| match &snapshot {
        None => listed_children(pid),
        Some(all) => all.get(&pid).cloned().unwrap_or_default(),
    };
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for pid in children(parent).into_iter().filter(|pid| Some(*pid) != spare) {
            if let Some(stat) = Stat::read(pid)
                && stat.parent == parent
                && !stat.is_dead()
            {
                found.push(Process { pid, started: stat.started });
                parents.push(pid);
            }
        }
    }
    found
}

/// The living processes that were started with this entry in their environment, as far as we may read it.
pub fn marked(entry: &str) -> Vec<Process> {
    let has_it = |pid: &Pid| environment(*pid).iter().any(|other| other == entry.as_bytes());
    pids().filter(has_it).filter_map(Process::find).collect()
}

/// Whether a process shows no environment, as one does that is about to execute a program; kernel threads never do.
pub fn is_somebody_executing() -> bool {
    let threads = Pid::from_raw(2);
    let shows_none = |pid: &Pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|bytes| bytes.is_empty());
    let is_process = |stat: Stat| !stat.is_dead() && stat.parent != threads;
    pids().filter(|pid| *pid != threads).filter(shows_none).any(|pid| Stat::read(pid).is_some_and(is_process))
}

/// What a process was started with, as far as we may read it.
pub fn environment(pid: Pid) -> Vec<Vec<u8>> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// From the kernel's own list, kept for each thread: no other process is looked at.
fn listed_children(pid: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_ascii_whitespace().map(pid_of).collect::<Vec<_>>()).flatten().collect()
}

/// Parent to children over the whole machine, for kernels built without those lists (`CONFIG_PROC_CHILDREN`).
fn snapshot() -> HashMap<Pid, Vec<Pid>> {
    let mut all: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for pid in pids() {
        if let Some(stat) = Stat::read(pid) {
            all.entry(stat.parent).or_default().push(pid);
        }
    }
    all
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: Pid) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}

/// Every process of the machine.
pub fn pids() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().and_then(pid_of))
}

fn has_children_files() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| fs::exists("/proc/thread-self/children").unwrap_or(false))
}

fn pid_of(text: &str) -> Option<Pid> {
    text.parse().ok().map(Pid::from_raw)
}

#[cfg(test)]
mod tests;
