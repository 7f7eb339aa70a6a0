//! Why a client has its job stopped, and whether running tasks are given time.
//!
//! It does not know how the coordinator is told, nor when the time is over: the coordinator does, since we may be gone then.

use std::time::Duration;

use crate::fault::Fault;

/// See the module.
#[derive(Debug)]
pub enum Stop {
    /// The task file or the standard output is not as it should be.
    Fault(Fault),
    /// The client was sent this signal. Running tasks may take so long; without a time they are ended.
    Signal(i32, Option<Duration>),
    /// Nobody reads the results any more.
    Unread,
}

impl Stop {
    /// How long running tasks may take, if they are given time.
    pub fn grace(&self) -> Option<Duration> {
        match self {
            Stop::Signal(_, grace) => *grace,
            Stop::Fault(_) | Stop::Unread => None,
        }
    }

    /// What there is to say if there is a further reason: the first fault, else the first signal.
    pub fn and(self, further: Stop) -> Stop {
        match (self, further) {
            (Stop::Fault(fault), _) | (Stop::Signal(..) | Stop::Unread, Stop::Fault(fault)) => {
                Stop::Fault(fault)
            }
            (Stop::Signal(number, _), Stop::Signal(..) | Stop::Unread)
            | (Stop::Unread, Stop::Signal(number, _)) => Stop::Signal(number, None),
            (Stop::Unread, Stop::Unread) => Stop::Unread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_that_matters_most_is_kept_and_a_second_one_leaves_no_time() {
        let fault = |text: &str| Stop::Fault(Fault::usage(text));
        let signal = |number| Stop::Signal(number, Some(Duration::ZERO));
        assert_eq!(signal(2).grace(), Some(Duration::ZERO));
        assert_eq!((Stop::Unread.grace(), fault("").grace()), (None, None));
        for (first, further, kept) in [
            (fault("a"), fault("b"), "a"),
            (fault("a"), signal(2), "a"),
            (fault("a"), Stop::Unread, "a"),
            (signal(2), fault("a"), "a"),
            (signal(2), signal(15), "Signal(2, None)"),
            (signal(2), Stop::Unread, "Signal(2, None)"),
            (Stop::Unread, signal(2), "Signal(2, None)"),
            (Stop::Unread, fault("a"), "a"),
            (Stop::Unread, Stop::Unread, "Unread"),
        ] {
            let told = match first.and(further) {
                Stop::Fault(fault) => fault.message,
                other => format!("{other:?}"),
            };
            assert_eq!(told, kept);
        }
    }
}
