//! Whose a process is: marks in its environment, which what it starts inherits. They outlive the loss of a parent, not an
//! environment that is emptied.
//!
//! One names the ticket of a keeper for which it was started: by that the keeper ends what a process has left behind. The
//! other one names keeper and engine: by that the engine does so when its keeper was killed. What bears it outlives them
//! both only if they die in one moment and it had left its session before; then nobody else can tell whose it was. A mark
//! holds start times, so that nobody who has got a pid of theirs is taken for them, and says in which namespaces pids and
//! times count: elsewhere, in a container or on its host, they mean nothing.

use std::fmt;
use std::fs;
use std::str::FromStr;

use nix::unistd::{Pid, getpid};

use super::event::Ticket;
use super::procfs::Process;

/// The variable that holds the ticket.
const TICKET: &str = "MANIPLE_PROCESS";

/// The variable that names keeper and engine.
pub const OWNER: &str = "MANIPLE_OWNER";

/// That of the job that a process was started for.
pub const JOB: &str = "MANIPLE_JOB";

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    pub keeper: Process,
    pub engine: Process,
    pub space: Space,
}

/// Where pids and start times mean what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Space {
    pids: u64,
    times: u64,
}

/// What is no mark.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no mark of an owner")]
pub struct NoOwner;

impl Space {
    /// That of this process.
    #[must_use]
    pub fn here() -> Self {
        Self { pids: namespace("pid"), times: namespace("time") }
    }
}

impl Owner {
    /// This engine, under its keeper; `None`: the keeper is gone already.
    #[must_use]
    pub fn here(keeper: Pid) -> Option<Self> {
        let (keeper, engine) = (Process::find(keeper)?, Process::find(getpid())?);
        Some(Self { keeper, engine, space: Space::here() })
    }
}

/// The number of a namespace of ours, such as 4026531836; 0 where the kernel has no such thing.
fn namespace(kind: &str) -> u64 {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
    let digits = link.to_str().and_then(|text| text.split_once('[')?.1.strip_suffix(']'));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keeper, engine, space } = self;
        let process = |process: &Process| format!("{}.{}", process.pid, process.started());
        write!(f, "{},{},{}.{}", process(keeper), process(engine), space.pids, space.times)
    }
}

impl FromStr for Owner {
    type Err = NoOwner;

    fn from_str(text: &str) -> Result<Self, NoOwner> {
        let pair = |text: &str| -> Option<(u64, u64)> {
            let (first, second) = text.split_once('.')?;
            Some((first.parse().ok()?, second.parse().ok()?))
        };
        let process = |text: &str| {
            let (pid, started) = pair(text)?;
            Some(Process::new(Pid::from_raw(pid.try_into().ok()?), started))
        };
        let parse = || {
            let mut parts = text.split(',');
            let (keeper, engine) = (process(parts.next()?)?, process(parts.next()?)?);
            let (pids, times) = pair(parts.next()?)?;
            parts.next().is_none().then_some(Self { keeper, engine, space: Space { pids, times } })
        };
        parse().ok_or(NoOwner)
    }
}

/// The entry for a ticket of a keeper.
pub(super) fn entry(keeper: Pid, ticket: Ticket) -> String {
    format!("{TICKET}={}", value(keeper, ticket))
}

/// Its value; of one length for all tickets of a keeper, as a process whose copies have tickets of their own is forked
/// with its own, and each copy puts another in its place.
#[must_use]
pub fn value(keeper: Pid, ticket: Ticket) -> String {
    format!("{keeper}.{:020}", ticket.0)
}

/// The ticket that an entry names, if it is one of this keeper.
pub(super) fn ticket(entry: &[u8], keeper: Pid) -> Option<Ticket> {
    let value = std::str::from_utf8(entry).ok()?.strip_prefix(TICKET)?.strip_prefix('=')?;
    let (of, ticket) = value.split_once('.')?;
    (of.parse() == Ok(keeper.as_raw())).then_some(Ticket(ticket.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_who_and_where() {
        let owner = Owner::here(nix::unistd::getppid()).unwrap();
        assert_eq!(owner.to_string().parse(), Ok(owner));
        assert_eq!((owner.engine.pid, owner.space), (getpid(), Space::here()));
        assert!(owner.space.pids > 0);
    }

    #[test]
    fn what_is_no_mark_is_not_taken_for_one() {
        for text in ["", "1.2,3.4", "1.2,3.4,5.6,7.8", "1.2,x.4,5.6", "1.2,-3.4,5.6", "1.2,99999999999.4,5.6"]
        {
            assert_eq!(text.parse::<Owner>(), Err(NoOwner), "{text}");
        }
        assert!("1.2,3.4,5.6".parse::<Owner>().is_ok());
    }

    #[test]
    fn only_entries_of_the_keeper_name_a_ticket() {
        let keeper = Pid::from_raw(17);
        let own = entry(keeper, Ticket(3));
        assert_eq!(ticket(own.as_bytes(), keeper), Some(Ticket(3)));
        assert_eq!(ticket(own.as_bytes(), Pid::from_raw(1)), None);
        let longest = entry(keeper, Ticket(u64::MAX));
        assert_eq!((own.len(), ticket(longest.as_bytes(), keeper)), (longest.len(), Some(Ticket(u64::MAX))));
        for other in
            ["", "MANIPLE_PROCESS", "MANIPLE_PROCESS=", "MANIPLE_PROCESS=17.", "MANIPLE_PROCESSES=17.3"]
        {
            assert_eq!(ticket(other.as_bytes(), keeper), None, "{other}");
        }
    }
}
