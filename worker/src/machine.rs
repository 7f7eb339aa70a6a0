//! How the machine is, and the worker's processes on it: read from the system, and nothing decided.

use std::{collections::HashSet, fs, path::Path};

use nix::sys::statvfs::statvfs;
use shared::wire::worker::{Detail, LISTED, OwnProcess, Traffic};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::process::procfs;

/// See the module. CPU use is that since the last look.
pub struct Machine(System);

/// What decisions are made by.
#[derive(Debug)]
pub struct Load {
    /// CPU use, 0 to 100.
    pub cpu_percent: f32,
    /// Memory in use, in bytes.
    pub used: u64,
    /// All memory, in bytes.
    pub total: u64,
}

impl Machine {
    /// This machine; `None`: the system does not say how it is.
    #[must_use]
    pub fn new() -> Option<Machine> {
        System::new().ok().map(Machine)
    }

    /// Looks at the machine as a whole.
    pub fn load(&mut self) -> Load {
        let Machine(system) = self;
        system.refresh_memory();
        system.refresh_cpu_usage();
        let (mut used, mut total) = (system.used_memory(), system.total_memory());
        // In a container its own bound is the one that counts.
        if let Some(bound) = system.cgroup_limits().filter(|bound| bound.total_memory < total) {
            (used, total) = (bound.rss, bound.total_memory);
        }
        Load { cpu_percent: system.global_cpu_usage(), used, total }
    }

    /// Looks at the rest: these processes and this one, disk, network.
    pub fn detail(&mut self, pids: impl IntoIterator<Item = u32>) -> Detail {
        let (disk_used, disk_total) = disk(Path::new("/")).unwrap_or_default();
        Detail {
            processes: u32::try_from(procfs::pids().count()).unwrap_or(u32::MAX),
            disk_used,
            disk_total,
            traffic: fs::read_to_string("/proc/net/dev").map(|text| traffic(&text)).unwrap_or_default(),
            own: self.processes(pids.into_iter().chain([std::process::id()])),
        }
    }

    fn processes(&mut self, pids: impl Iterator<Item = u32>) -> Vec<OwnProcess> {
        let Machine(system) = self;
        let pids: Vec<Pid> = pids.map(Pid::from_u32).collect();
        // Those that were looked at before, too, so the dead among them are forgotten; each once, or it counts as dead.
        let all: HashSet<Pid> = pids.iter().chain(system.processes().keys()).copied().collect();
        let all: Vec<Pid> = all.into_iter().collect();
        let figures = ProcessRefreshKind::nothing().with_cpu().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&all), true, figures);
        let mut own: Vec<OwnProcess> = pids
            .iter()
            .filter_map(|pid| system.process(*pid))
            .map(|process| OwnProcess {
                pid: process.pid().as_u32(),
                name: process.name().to_string_lossy().into_owned(),
                cpu_percent: process.cpu_usage(),
                memory: process.memory(),
            })
            .collect();
        own.sort_by_key(|process| std::cmp::Reverse(process.memory));
        own.truncate(LISTED);
        own
    }
}

/// How many processes the kernel has ended for want of memory since the machine was started: those of our own group where
/// it counts them, else all. `None`: it does not say.
#[must_use]
pub fn oom_kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let own = own.and_then(|path| fs::read_to_string(format!("/sys/fs/cgroup{path}/memory.events")).ok());
    let of_group = own.and_then(|text| counter(&text, "oom_kill"));
    of_group.or_else(|| counter(&fs::read_to_string("/proc/vmstat").ok()?, "oom_kill"))
}

/// The figure of a name, in lines of a name and a figure.
fn counter(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find_map(|(other, figure)| (other == name).then(|| figure.trim().parse().ok()).flatten())
}

/// Bytes in use on a file system, and those that users can have there at most.
fn disk(path: &Path) -> Option<(u64, u64)> {
    let all = statvfs(path).ok()?;
    let used = (all.blocks() - all.blocks_free()) * all.fragment_size();
    Some((used, used + all.blocks_available() * all.fragment_size()))
}

/// The sums over all interfaces: a line each, with 8 figures of what came in before those of what went out.
fn traffic(text: &str) -> Traffic {
    let mut sum = Traffic::default();
    for (_, figures) in text.lines().filter_map(|line| line.split_once(':')) {
        let figures: Vec<u64> =
            figures.split_ascii_whitespace().map(|figure| figure.parse().unwrap_or(0)).collect();
        let figure = |at: usize| figures.get(at).copied().unwrap_or(0);
        sum.bytes_received += figure(0);
        sum.packets_received += figure(1);
        sum.bytes_sent += figure(8);
        sum.packets_sent += figure(9);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_interfaces_count() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n    \
             lo:     100       2    0    0    0     0          0         0      100       2    0\n  \
             eth0: 4000      30    0    0    0     0          0         0     5000      40    0\n";
        let sum = Traffic { bytes_sent: 5100, bytes_received: 4100, packets_sent: 42, packets_received: 32 };
        assert_eq!(traffic(text), sum);
    }

    #[test]
    fn the_kernel_counts_whom_it_ends_for_want_of_memory() {
        let text = "low 0\noom 2\noom_kill 3\noom_group_kill 0\n";
        assert_eq!((counter(text, "oom_kill"), counter(text, "oom_kill_x")), (Some(3), None));
        assert!(oom_kills().is_some());
    }

    #[test]
    fn this_process_is_seen() {
        let mut machine = Machine::new().unwrap();
        assert!(machine.load().total > 0);
        for _ in 0..2 {
            let detail = machine.detail([]);
            assert!(detail.processes > 0 && detail.disk_total >= detail.disk_used);
            assert_eq!(detail.own.iter().map(|own| own.pid).collect::<Vec<_>>(), [std::process::id()]);
            assert!(detail.own[0].memory > 0);
        }
    }
}
