//! Which killed processes the kernel has ended for want of memory. It counts such ends, and names nobody: a process that
//! was killed by somebody unknown, while the count has just risen, is taken to be one of them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// For how long a rise of the count may explain an end: a large process takes a while to be gone.
const RECENT: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub struct OomKills {
    /// The counts of the last while, and the one before.
    readings: VecDeque<(Instant, u64)>,
    /// What is counted up to this has explained ends already, as far as it could.
    explained: u64,
}

impl OomKills {
    /// So many there have been since the machine was started.
    pub fn read(&mut self, count: u64, now: Instant) {
        self.readings.push_back((now, count));
        self.forget(now);
    }

    /// Whether an end, at which so many had been counted, is one of them; each explains one end.
    pub fn explain(&mut self, count: u64, now: Instant) -> bool {
        self.forget(now);
        let Some((_, before)) = self.readings.front() else { return false };
        let explained = self.explained.max(*before);
        let is_one = count > explained;
        self.explained = explained + u64::from(is_one);
        is_one
    }

    fn forget(&mut self, now: Instant) {
        let is_old = |at: &Instant| *at + RECENT <= now;
        while self.readings.get(1).is_some_and(|(at, _)| is_old(at)) {
            self.readings.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_explains_as_many_ends_as_it_counts_and_not_for_ever() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut kills = OomKills::default();
        assert!(!kills.explain(7, at(0)), "nobody knows how many there were before");
        kills.read(7, at(0));
        assert!(!kills.explain(7, at(1)), "somebody else has killed it");
        assert!(kills.explain(9, at(1)) && kills.explain(9, at(2)) && !kills.explain(9, at(3)));
        // What the monitor has read meanwhile is not what was counted before.
        kills.read(10, at(4));
        assert!(kills.explain(10, at(5)) && !kills.explain(10, at(6)));
        kills.read(12, at(8));
        kills.read(12, at(17));
        assert!(kills.explain(12, at(17)), "9 s after it was counted");
        kills.read(12, at(20));
        assert!(!kills.explain(12, at(20)), "12 s after");
    }

    #[test]
    fn reproduces_a_rise_that_explained_an_end_twice() {
        let start = Instant::now();
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        let mut kills = OomKills::default();
        kills.read(0, at(0));
        assert!(kills.explain(1, at(2)));
        (1..=10).for_each(|second| kills.read(1, at(10 * second)));
        assert!(!kills.explain(1, at(105)), "the rise is forgotten later than what it has explained");
    }
}
