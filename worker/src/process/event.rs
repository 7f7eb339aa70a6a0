//! What the keeper tells the engine: the words that the rest of the worker sees.
//!
//! It knows nothing of how they travel. Invariant: each ticket gets either one `SpawnFailed`, or one `Spawned` and
//! later one `Exited`, unless the keeper is lost.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Names one spawned process for the engine's whole life; pids come back, tickets do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperEvent {
    Spawned {
        ticket: Ticket,
        pid: Pid,
    },
    SpawnFailed {
        ticket: Ticket,
        failure: SpawnFailure,
    },
    Exited {
        ticket: Ticket,
        pid: Pid,
        exit: Exit,
    },
    /// The node was sent a signal that ends a program.
    Signal(Signal),
    /// The answer to `end_all`: so many processes could not be ended in time (in an uninterruptible system call).
    AllEnded {
        left: u32,
    },
    /// The keeper died. Its children die with it; the engine has to end in order.
    Lost,
}

/// How a process ended and what it used, its waited-for descendants included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    pub status: ExitStatus,
    /// Peak resident memory in bytes. Never below the keeper's own few MiB, in whose memory the process began.
    pub max_rss: u64,
    pub user: Duration,
    pub system: Duration,
}

/// The end of a process. The number is not a `Signal`, since real-time signals kill too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    Code(i32),
    Signal { number: i32, core_dumped: bool },
}

impl ExitStatus {
    /// From what `wait4` gave for a process that has ended.
    pub(super) fn from_wait(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal { number: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
        } else {
            Self::Code(libc::WEXITSTATUS(status))
        }
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal { number, core_dumped } => {
                match Signal::try_from(*number) {
                    Ok(signal) => write!(f, "{signal}")?,
                    Err(_) => write!(f, "signal {number}")?,
                }
                f.write_str(if *core_dumped { " (core dumped)" } else { "" })
            }
        }
    }
}

/// Why there is no process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot start {program:?}: {}", self.reason())]
pub struct SpawnFailure {
    pub stage: SpawnStage,
    pub program: String,
    /// What the stage was about: the PATH searched, the directory, the file.
    pub place: String,
    pub errno: Errno,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnStage {
    Search,
    Clone,
    Session,
    DeathSignal,
    Directory,
    Descriptors,
    Execute,
    /// It was asked for, or still waited, while everything was being ended.
    Ending,
    /// It was taken back before its turn came.
    Withdrawn,
    /// It was forked by another and ended before it was taken over.
    Adoption,
}

impl SpawnFailure {
    /// Whether program or directory are at fault rather than the arguments or the moment.
    pub fn is_lasting(&self) -> bool {
        use Errno::{EACCES, EISDIR, ELOOP, ENOENT, ENOEXEC, ENOTDIR};
        match self.stage {
            SpawnStage::Search | SpawnStage::Directory | SpawnStage::Execute => {
                matches!(self.errno, EACCES | EISDIR | ELOOP | ENOENT | ENOEXEC | ENOTDIR)
            }
            SpawnStage::Clone
            | SpawnStage::Session
            | SpawnStage::DeathSignal
            | SpawnStage::Descriptors
            | SpawnStage::Ending
            | SpawnStage::Withdrawn
            | SpawnStage::Adoption => false,
        }
    }

    fn reason(&self) -> String {
        let (place, why) = (&self.place, self.errno.desc());
        match self.stage {
            SpawnStage::Search => format!("{why} in PATH {place:?}"),
            SpawnStage::Clone => format!("no new process: {why}"),
            SpawnStage::Session => format!("no session of its own: {why}"),
            SpawnStage::DeathSignal => format!("it could not be tied to its keeper: {why}"),
            SpawnStage::Directory => format!("its directory {place:?}: {why}"),
            SpawnStage::Descriptors => format!("its descriptors could not be passed: {why}"),
            SpawnStage::Execute => format!("file {place:?}: {why}"),
            SpawnStage::Ending => "everything is being ended".to_owned(),
            SpawnStage::Withdrawn => "it was taken back".to_owned(),
            SpawnStage::Adoption => "it ended before it was taken over".to_owned(),
        }
    }
}
