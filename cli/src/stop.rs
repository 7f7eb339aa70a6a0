//! Why a client has its job stopped, and whether running tasks are given time.
//!
//! It does not know how the coordinator is told. Invariant: the time that was given is never prolonged.

use std::time::Instant;

use crate::fault::Fault;

/// See the module.
#[derive(Debug)]
pub enum Stop {
    /// The task file or the standard output is not as it should be.
    Fault(Fault),
    /// The client was sent this signal. Running tasks may go on until then; without a time they may not.
    Signal(i32, Option<Instant>),
    /// Nobody reads the results any more.
    Unread,
}

impl Stop {
    /// Whether running tasks are given no time.
    pub fn is_at_once(&self) -> bool {
        match self {
            Stop::Signal(_, until) => until.is_none(),
            Stop::Fault(_) | Stop::Unread => true,
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

/// The signal after which running tasks were given some time, when that is over; never, if they were not.
pub async fn grace_over(stop: Option<&Stop>) -> i32 {
    match stop {
        Some(Stop::Signal(signal, Some(until))) => {
            tokio::time::sleep_until((*until).into()).await;
            *signal
        }
        Some(Stop::Signal(_, None) | Stop::Fault(_) | Stop::Unread) | None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_that_matters_most_is_kept_and_a_second_one_leaves_no_time() {
        let fault = |text: &str| Stop::Fault(Fault::usage(text));
        let signal = |number| Stop::Signal(number, Some(Instant::now()));
        assert!(!signal(2).is_at_once() && Stop::Unread.is_at_once() && fault("").is_at_once());
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
