//! How an actor's life ended, in the words of processes. What follows from it is the policy's business, not told here.

use std::fmt;

/// The end of one life of an actor. Read it like the exit status of a process: one life has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It stopped in order, by its own `ctx.stop()` or because its parent asked. (Exit status 0.)
    Stopped,
    /// It gave up and said why, by `supervision::fail`. (A non-zero exit status with a line on stderr.)
    Failed(String),
    /// It panicked: in its constructor, a handler, a hook, a timer, a future of its context or its `Drop`. The text
    /// is the panic's; where it happened is in the log, see `install_panic_hook`. (SIGABRT.)
    Panicked(String),
    /// It was ended without being asked: by `kill`, by its parent's end, or because it refused to stop within its
    /// grace time. None of its hooks ran. (SIGKILL, status 137.)
    Killed,
    /// It is gone, but a thread or job that holds its token is not, and was waited for long enough. The text tells how
    /// the actor itself ended. Starting it again would race with what is left, so this always escalates. (State D:
    /// a process that even SIGKILL does not end.)
    Stuck(String),
}

impl Exit {
    /// Whether this end was an orderly one.
    pub fn is_orderly(&self) -> bool {
        matches!(self, Exit::Stopped)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Stopped => write!(f, "stopped"),
            Exit::Failed(why) => write!(f, "failed: {why}"),
            Exit::Panicked(text) => write!(f, "panicked: {text}"),
            Exit::Killed => write!(f, "killed"),
            Exit::Stuck(before) => write!(f, "{before}, but a thread or job that it started did not end"),
        }
    }
}
