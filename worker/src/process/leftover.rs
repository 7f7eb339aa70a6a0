//! What outlived its run: processes whose keeper and engine are both gone, and what these have started.
//!
//! There are some only if both were killed in one moment and a process had left its session before, or if the kernel
//! could not end one. [`judge`] decides by a listing of the machine and is pure; [`find`] and [`end`] look and act.
//!
//! Invariant: nothing is touched that a living run owns (it has a keeper above it, or bears the mark of an owner who
//! lives), nor who such an owner is, nor the caller and those above it. A mark from another namespace says nothing here.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, getpid, sysconf};

use super::keeper::NAME;
use super::kill::{kill_all, send};
use super::owner::{JOB, OWNER, Owner, Space};
use super::procfs::{self, Process, Stat};

/// How often what is being ended is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a killed process may stay in an uninterruptible system call.
const PATIENCE: Duration = Duration::from_secs(10);

/// A living process, as far as we may look into it.
#[derive(Clone, Debug)]
struct Seen {
    process: Process,
    parent: Pid,
    is_keeper: bool,
    owner: Option<Owner>,
    job: Option<String>,
}

/// A process that is left over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    pub process: Process,
    /// Who stood behind it.
    pub owner: Owner,
    /// The job that it was started for.
    pub job: Option<String>,
    /// It bears no mark of that itself: this left-over process has started it.
    pub started_by: Option<Pid>,
}

/// What there is to say of a process.
#[derive(Clone, Debug)]
pub struct Portrait {
    pub command: String,
    pub age: Duration,
    /// Resident memory, in bytes.
    pub memory: u64,
    pub user: u32,
}

/// All that is left over on this machine, as far as we may look.
#[must_use]
pub fn find() -> Vec<Leftover> {
    find_with(&Known::new())
}

/// Left-over processes that were found before: they still are although those are gone by whom they were found.
type Known = HashMap<Process, Leftover>;

fn find_with(known: &Known) -> Vec<Leftover> {
    // Owners are looked for anew: one may have come after its place in the listing was passed.
    let is_alive = |owner: Process| owner.is_alive() || is_hidden(owner.pid);
    judge(&listing(), getpid(), Space::here(), known, is_alive)
}

/// Whether there is a process that we may not see, on a machine that hides those of others.
fn is_hidden(pid: Pid) -> bool {
    Stat::read(pid).is_none() && kill(pid, None) != Err(Errno::ESRCH)
}

/// Ends these and what they start meanwhile: SIGTERM, and SIGKILL for who is still there after the grace. Returns who
/// could not be ended.
#[must_use]
pub fn end(leftovers: &[Leftover], grace: Duration) -> Vec<Leftover> {
    let owners: HashSet<Owner> = leftovers.iter().map(|leftover| leftover.owner).collect();
    let mut asked = Known::new();
    let living = |asked: &Known| {
        let mut living = find_with(asked);
        living.retain(|leftover| owners.contains(&leftover.owner));
        living
    };
    let hopeless = |living: &[Leftover]| !living.iter().any(|leftover| is_ours(leftover.process));
    let deadline = Instant::now() + grace;
    loop {
        let left = living(&asked);
        for leftover in &left {
            if asked.insert(leftover.process, leftover.clone()).is_none() {
                send(leftover.process, Signal::SIGTERM);
                send(leftover.process, Signal::SIGCONT);
            }
        }
        if hopeless(&left) || Instant::now() >= deadline {
            break;
        }
        thread::sleep(GLANCE);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = living(&asked);
        if hopeless(&left) || Instant::now() >= deadline {
            return left;
        }
        asked.extend(left.into_iter().map(|leftover| (leftover.process, leftover)));
        kill_all(HashSet::new(), || living(&asked).into_iter().map(|leftover| leftover.process));
        thread::sleep(GLANCE);
    }
}

/// Whether we may signal it.
fn is_ours(process: Process) -> bool {
    kill(process.pid, None) != Err(Errno::EPERM)
}

impl Leftover {
    /// A look at it; `None`: it has just ended.
    #[must_use]
    pub fn portrait(&self) -> Option<Portrait> {
        let pid = self.process.pid;
        let folder = format!("/proc/{pid}");
        let words = fs::read(format!("{folder}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&words).replace('\0', " ").trim_end().to_owned();
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
        let ticks = sysconf(SysconfVar::CLK_TCK).ok()??;
        let age = (uptime - self.process.started() as f64 / ticks as f64).max(0.0);
        Some(Portrait {
            command,
            age: Duration::from_secs_f64(age),
            memory: procfs::resident(pid)?,
            user: fs::metadata(folder).ok()?.uid(),
        })
        .filter(|_| self.process.is_alive())
    }
}

/// Every living process.
fn listing() -> Vec<Seen> {
    procfs::pids().filter_map(look).collect()
}

fn look(pid: Pid) -> Option<Seen> {
    let stat = Stat::read(pid).filter(|stat| !stat.is_dead())?;
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let environment = procfs::environment(pid);
    let entry = |wanted: &str| {
        let value =
            |entry: &Vec<u8>| entry.strip_prefix(wanted.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
        environment.iter().find_map(value).and_then(|value| String::from_utf8(value).ok())
    };
    Some(Seen {
        process: Process::new(pid, stat.started),
        parent: stat.parent,
        is_keeper: name.trim_ascii_end() == NAME.to_bytes(),
        owner: entry(OWNER).and_then(|text| text.parse().ok()),
        job: entry(JOB),
    })
}

/// Which of all processes are left over; `me` is who asks, and where.
fn judge(
    all: &[Seen],
    me: Pid,
    space: Space,
    known: &Known,
    is_alive: impl Fn(Process) -> bool,
) -> Vec<Leftover> {
    let by_pid: HashMap<Pid, &Seen> = all.iter().map(|seen| (seen.process.pid, seen)).collect();
    let mut children: HashMap<Pid, Vec<&Seen>> = HashMap::new();
    for seen in all {
        children.entry(seen.parent).or_default().push(seen);
    }
    let lineage = |pid: Pid| {
        let above = |seen: &&Seen| by_pid.get(&seen.parent).copied();
        // A listing is not of one moment: parents in a circle have to end.
        std::iter::successors(by_pid.get(&pid).copied(), above).take(by_pid.len())
    };
    let lives = |owner: &Owner| owner.space != space || is_alive(owner.keeper) || is_alive(owner.engine);
    let owners: HashSet<Process> = all
        .iter()
        .filter_map(|seen| seen.owner.filter(lives))
        .flat_map(|owner| [owner.keeper, owner.engine])
        .collect();
    let mine: HashSet<Pid> = lineage(me).map(|seen| seen.process.pid).collect();
    let is_spared = |seen: &Seen| {
        let owns = |seen: &Seen| seen.is_keeper || owners.contains(&seen.process);
        let is_owned = seen.owner.as_ref().is_some_and(lives) || lineage(seen.process.pid).any(owns);
        is_owned || mine.contains(&seen.process.pid)
    };
    let mut found: Vec<Leftover> = Vec::new();
    let mut passed: HashSet<Process> = HashSet::new();
    for root in all {
        let mut waiting: Vec<(&Seen, Option<Leftover>)> = vec![(root, None)];
        while let Some((seen, parent)) = waiting.pop() {
            let process = seen.process;
            let leftover = match (seen.owner, parent) {
                (Some(owner), _) => Leftover { process, owner, job: seen.job.clone(), started_by: None },
                (None, Some(parent)) => Leftover { process, started_by: Some(parent.process.pid), ..parent },
                (None, None) => match known.get(&process) {
                    Some(leftover) => leftover.clone(),
                    None => continue,
                },
            };
            if is_spared(seen) || !passed.insert(process) {
                continue;
            }
            let below = children.get(&process.pid).into_iter().flatten();
            waiting.extend(below.map(|child| (*child, Some(leftover.clone()))));
            found.push(leftover);
        }
    }
    found
}

#[cfg(test)]
mod tests;
