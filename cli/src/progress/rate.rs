//! Tasks a second, smoothed: recent seconds count more than old ones, and the start is not pulled towards zero.

use std::time::{Duration, Instant};

/// What happened this long ago counts 1/e.
const MEMORY: Duration = Duration::from_secs(15);
/// Observations nearer to each other than this are taken together.
const SHORTEST: Duration = Duration::from_millis(50);

/// A smoothed rate.
#[derive(Debug)]
pub struct Rate {
    seen: u64,
    at: Instant,
    /// Tasks and seconds, both fading: their ratio is the rate.
    tasks: f64,
    seconds: f64,
}

impl Rate {
    /// A rate of what is counted from now on.
    pub fn new(now: Instant) -> Rate {
        Rate { seen: 0, at: now, tasks: 0.0, seconds: 0.0 }
    }

    /// So many tasks have ended until now. A count that went back (another job) starts anew.
    pub fn observe(&mut self, count: u64, now: Instant) {
        if count < self.seen {
            *self = Rate { seen: count, ..Rate::new(now) };
        }
        let passed = now.saturating_duration_since(self.at);
        if passed < SHORTEST {
            return;
        }
        let fade = (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.tasks = self.tasks * fade + (count - self.seen) as f64;
        self.seconds = self.seconds * fade + passed.as_secs_f64();
        (self.seen, self.at) = (count, now);
    }

    /// Tasks a second; 0 while nothing has ended.
    pub fn per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.tasks / self.seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[(u64, u64)]) -> f64 {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for &(millis, count) in steps {
            rate.observe(count, start + Duration::from_millis(millis));
        }
        rate.per_second()
    }

    #[test]
    fn a_steady_rate_is_met_from_the_start() {
        assert_eq!(after(&[]), 0.0);
        assert_eq!(after(&[(100, 0)]), 0.0);
        assert!((after(&[(100, 50)]) - 500.0).abs() < 1e-6);
        let steady: Vec<_> = (1..1000).map(|n| (n * 100, n * 50)).collect();
        assert!((after(&steady) - 500.0).abs() < 5.0);
    }

    #[test]
    fn old_times_fade() {
        let mut steps: Vec<_> = (1..=100).map(|n| (n * 100, n * 100)).collect();
        steps.extend((1..=600).map(|n| (10_000 + n * 100, 10_000 + n * 10)));
        let rate = after(&steps);
        assert!((100.0..130.0).contains(&rate), "1,000/s for 10 s, then 100/s for 60 s: {rate}");
    }

    #[test]
    fn a_burst_of_observations_is_one() {
        assert_eq!(after(&[(1, 1000), (2, 2000)]), 0.0, "too near to tell");
        assert!((after(&[(1, 1000), (2, 2000), (1000, 2000)]) - 2000.0).abs() < 1e-6);
    }

    #[test]
    fn a_count_that_goes_back_starts_anew() {
        assert!((after(&[(1000, 900), (2000, 10), (3000, 30)]) - 20.0).abs() < 1e-6);
    }
}
