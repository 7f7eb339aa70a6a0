//! How a task ends without a value, and the story that is kept of it (promise P4).
//!
//! Values are opaque here: they are encoded where they are made and decoded by who reads them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::Attempt;

/// Why a task has no value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// The function raised; the type's qualified name.
    Exception(String),
    /// A command ended, or a process of the pool died under its task, with this exit code.
    ExitCode {
        /// The code.
        code: i32,
        /// Whether a pool's process was lost by it, rather than a command that simply failed.
        died: bool,
    },
    /// The process was ended by this signal.
    Signal(i32),
    /// It ran longer than the limit, in milliseconds.
    Timeout(u64),
    /// Its process grew beyond the limit: (limit, peak) in bytes.
    OutOfMemory(u64, u64),
    /// The machine, or a group that its process is in, had no memory left, and the kernel ended its process; the most that this had,
    /// in bytes.
    KilledForMemory(u64),
    /// The machine that ran it was lost.
    NodeLost,
    /// The command could not be executed.
    NotExecuted,
    /// The value cannot be kept: it does not encode, or is too large.
    BadValue,
}

/// Which of the two retry limits counts an attempt that ended so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The process was lost: `--retries`.
    Death,
    /// The task failed by itself: `--retry-errors`.
    Error,
}

impl Cause {
    /// Which retry limit counts this.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Cause::Signal(_)
            | Cause::KilledForMemory(_)
            | Cause::NodeLost
            | Cause::ExitCode { died: true, .. } => FailureClass::Death,
            Cause::Exception(_)
            | Cause::ExitCode { died: false, .. }
            | Cause::Timeout(_)
            | Cause::OutOfMemory(..)
            | Cause::NotExecuted
            | Cause::BadValue => FailureClass::Error,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Exception(name) => f.write_str(name),
            Cause::ExitCode { code, died: false } => write!(f, "exit code {code}"),
            Cause::ExitCode { code, died: true } => write!(f, "process ended with exit code {code}"),
            Cause::Signal(number) => write!(f, "signal {number} ({})", signal_name(*number)),
            Cause::Timeout(limit) => write!(f, "timeout after {} s", *limit as f64 / 1e3),
            Cause::OutOfMemory(limit, peak) => {
                write!(f, "out of memory (limit {}, peak {})", Bytes(*limit), Bytes(*peak))
            }
            Cause::KilledForMemory(peak) => {
                write!(f, "out of memory: the kernel killed its process (peak {})", Bytes(*peak))
            }
            Cause::NodeLost => f.write_str("node lost"),
            Cause::NotExecuted => f.write_str("not executed"),
            Cause::BadValue => f.write_str("value cannot be kept"),
        }
    }
}

/// The whole story of a task that has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// The exception's text, or what is known in one line.
    pub message: String,
    /// The traceback, or what the fault handler printed; may be empty.
    pub traceback: String,
    /// The end of what was written to standard output.
    pub stdout: String,
    /// The end of what was written to standard error.
    pub stderr: String,
    /// Where it ran.
    pub host: String,
    /// The process that ran it.
    pub pid: u32,
    /// Which attempt this was; the last one, in a recorded outcome.
    pub attempt: Attempt,
}

impl Failure {
    /// The same with no text longer than `limit` bytes; of each the end is kept, where the point is.
    #[must_use]
    pub fn cut(&self, limit: usize) -> Failure {
        let end = |text: &str| {
            let from = text.len().saturating_sub(limit);
            text.char_indices()
                .map(|(at, _)| at)
                .find(|at| *at >= from)
                .map_or("", |at| &text[at..])
                .to_owned()
        };
        Failure {
            message: end(&self.message),
            traceback: end(&self.traceback),
            stdout: end(&self.stdout),
            stderr: end(&self.stderr),
            ..self.clone()
        }
    }
}

/// Whether who is sent this signal leaves running tasks no time: SIGQUIT, and SIGKILL, which nobody can catch and which
/// stands for the death of what ran them.
#[must_use]
pub fn leaves_no_time(signal: i32) -> bool {
    matches!(signal, 3 | 9)
}

/// The conventional name of a signal number, as `kill -l` prints it.
#[must_use]
pub fn signal_name(number: i32) -> &'static str {
    match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => "unnamed",
    }
}

/// A count of bytes, shown with a binary unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64;
        let mut unit = "B";
        for next in UNITS {
            if value < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = next;
        }
        write!(f, "{value:.1} {unit}")
    }
}
