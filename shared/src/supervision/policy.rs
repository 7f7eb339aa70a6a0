//! What to do about a child's end: whether to start it again, whom it takes along, how soon, and how often at most.
//! Pure: it knows no actor and no clock.

use std::{collections::VecDeque, time::Duration, time::Instant};

use super::Exit;

/// Whether a child that ended without being asked is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always: it is meant to live as long as its parent.
    Permanent,
    /// After every end that was not orderly: it has work that can be finished.
    Transient,
    /// Never: its loss is reported and nothing else follows.
    Temporary,
}

impl Restart {
    pub(super) fn wants(self, exit: &Exit) -> bool {
        match self {
            Restart::Permanent => true,
            Restart::Transient => !exit.is_orderly(),
            Restart::Temporary => false,
        }
    }
}

/// Whom the restart of a declared child takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody.
    OneForOne,
    /// All that were declared after it, and all dynamic children: they may hold its address.
    RestForOne,
    /// All children.
    OneForAll,
}

/// At most `restarts` restarts of a whole family within any `window`; one more escalates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub restarts: usize,
    pub window: Duration,
}

/// The delay before a child's n-th restart within the window: `first`, doubled each time, never above `cap`.
/// A window shorter than the delays that lead up to the limit would never escalate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub cap: Duration,
}

impl Backoff {
    /// The delay before the `nth` restart, counted from 1.
    pub fn delay(&self, nth: usize) -> Duration {
        let doublings = u32::try_from(nth.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
        self.first.saturating_mul(1 << doublings).min(self.cap)
    }
}

/// The rules of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub strategy: Strategy,
    pub limit: Limit,
    pub backoff: Backoff,
}

impl Policy {
    /// The usual rules with this strategy: 5 restarts in 60 s, after 100 ms, 200 ms .. 10 s.
    pub const fn new(strategy: Strategy) -> Policy {
        Policy {
            strategy,
            limit: Limit { restarts: 5, window: Duration::from_secs(60) },
            backoff: Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(10) },
        }
    }

    /// The same rules with another limit.
    pub const fn limit(mut self, restarts: usize, window: Duration) -> Policy {
        self.limit = Limit { restarts, window };
        self
    }

    /// The same rules with another backoff.
    pub const fn backoff(mut self, first: Duration, cap: Duration) -> Policy {
        self.backoff = Backoff { first, cap };
        self
    }
}

/// The restarts of a family within its limit's window.
pub(super) struct Window<S> {
    limit: Limit,
    recent: VecDeque<(Instant, S)>,
}

impl<S: PartialEq> Window<S> {
    pub(super) fn new(limit: Limit) -> Window<S> {
        Window { limit, recent: VecDeque::new() }
    }

    /// Spends one restart: which one of `slot` it is within the window, or none if the limit is reached.
    pub(super) fn spend(&mut self, slot: S, now: Instant) -> Option<usize> {
        self.recent.retain(|(at, _)| now.saturating_duration_since(*at) < self.limit.window);
        if self.recent.len() >= self.limit.restarts {
            return None;
        }
        self.recent.push_back((now, slot));
        let (_, slot) = self.recent.back().expect("one was pushed above");
        Some(self.recent.iter().filter(|(_, other)| other == slot).count())
    }
}
