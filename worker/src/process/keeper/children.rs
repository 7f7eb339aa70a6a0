//! The processes that the engine asked for and that are not reaped yet.
//!
//! Strays (descendants that became the keeper's children) are not in it: they are reaped, and ended once the process whose
//! mark they bear is gone. Invariant: the two maps mirror each other, and every pid in them belongs to a child of ours
//! that is alive or a zombie.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, getpid};

use crate::process::event::{Exit, ExitStatus, KeeperEvent, Ticket};
use crate::process::procfs::{self, EXECUTING, Process};
use crate::process::{kill, owner, sys};

#[derive(Default)]
pub(super) struct Children {
    by_ticket: HashMap<Ticket, Pid>,
    by_pid: HashMap<Pid, Ticket>,
    /// Some strays did not show whose they are, and are looked at until then.
    unclear_until: Option<Instant>,
}

impl Children {
    pub(super) fn add(&mut self, ticket: Ticket, pid: Pid) {
        self.by_ticket.insert(ticket, pid);
        self.by_pid.insert(pid, ticket);
    }

    /// Takes over a process that was forked by another; refuses what is no child of ours, or is there already.
    pub(super) fn adopt(&mut self, ticket: Ticket, process: Process) -> bool {
        let is_new = !self.by_pid.contains_key(&process.pid) && process.is_child_of(getpid());
        if is_new {
            self.add(ticket, process.pid);
        }
        is_new
    }

    /// Reaps a child that has ended. Its process group goes first: while the leader is a zombie, the group's number
    /// cannot mean another.
    pub(super) fn reap(&self, pid: Pid) -> Option<(i32, libc::rusage)> {
        if self.by_pid.contains_key(&pid) {
            // It fails if no member is left, which is what is wanted.
            let _ = signal::killpg(pid, Signal::SIGKILL);
        }
        sys::reap(pid)
    }

    /// Forgets a reaped child; its ticket and what the engine is told of it, unless it was a stray.
    pub(super) fn forget(
        &mut self,
        pid: Pid,
        status: i32,
        usage: &libc::rusage,
    ) -> Option<(Ticket, KeeperEvent)> {
        let ticket = self.by_pid.remove(&pid)?;
        self.by_ticket.remove(&ticket);
        let exit = Exit {
            status: ExitStatus::from_wait(status),
            max_rss: usage.ru_maxrss.cast_unsigned() * 1024,
            user: duration(usage.ru_utime),
            system: duration(usage.ru_stime),
        };
        Some((ticket, KeeperEvent::Exited { ticket, pid, exit }))
    }

    /// Kills what processes that are gone have left outside their groups. What was reaped may have been a parent that one
    /// of these has lost. Who is about to execute a program has no environment, so it is looked at again.
    pub(super) fn end_strays(&mut self, engine: Pid, has_reaped: bool, now: Instant) {
        if has_reaped {
            self.unclear_until = Some(now + EXECUTING);
        }
        if self.unclear_until.is_none_or(|until| now > until) {
            return self.unclear_until = None;
        }
        let me = getpid();
        let is_stray = |pid: &Pid| *pid != engine && !self.by_pid.contains_key(pid);
        let mut is_clear = true;
        for stray in procfs::children(me).into_iter().filter(is_stray).filter_map(Process::find) {
            let environment = procfs::environment(stray.pid);
            let owner = environment.iter().find_map(|entry| owner::ticket(entry, me));
            if owner.is_some_and(|ticket| !self.by_ticket.contains_key(&ticket)) {
                kill::kill_tree(stray);
            }
            is_clear &= environment.iter().any(|entry| !entry.is_empty());
        }
        if is_clear {
            self.unclear_until = None;
        }
    }

    /// Whether strays are to be looked at again soon.
    pub(super) fn is_unclear(&self) -> bool {
        self.unclear_until.is_some()
    }

    /// Signals a child or its process group. One that has ended meanwhile is no error: its exit is on its way.
    pub(super) fn kill(&self, ticket: Ticket, signal: Signal, group: bool) {
        if let Some(pid) = self.by_ticket.get(&ticket) {
            let _ = if group { signal::killpg(*pid, signal) } else { signal::kill(*pid, signal) };
        }
    }

    /// Kills a child and all its descendants, also those that left its process group.
    pub(super) fn kill_tree(&self, ticket: Ticket) {
        if let Some(process) = self.by_ticket.get(&ticket).and_then(|pid| Process::find(*pid)) {
            kill::kill_tree(process);
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_micros((time.tv_sec * 1_000_000 + time.tv_usec).cast_unsigned())
}
