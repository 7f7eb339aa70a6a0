//! How many tasks make a batch: learned from what tasks took, so that nobody has to choose.
//!
//! A batch should take about [`TARGET`]: long enough that what it costs to hand it over does not count, short enough
//! that little is lost or waited for. Towards the end of a job batches shrink, so that all slots end together.

use std::time::Duration;

/// The wall time that a batch should take.
pub const TARGET: Duration = Duration::from_millis(100);
/// Tasks in a batch as long as nothing is known of their duration.
pub const FIRST_GUESS: u32 = 4;
/// Most tasks in a batch; beyond it nothing is gained (measured: 2,000 to 5,000 is best for trivial tasks).
pub const MOST_TASKS: u32 = 5_000;
/// Most bytes of keys in a batch.
pub const MOST_BYTES: u64 = 1 << 20;
/// At the end of a job a batch is not cut to less than this.
const SMALLEST: Duration = Duration::from_millis(2);
/// How much larger than the largest one seen a batch may be: a guess is tried before it is trusted.
const GROWTH: u32 = 16;
/// Weight of a new observation in the moving average.
const WEIGHT: f64 = 0.3;

/// What is known of a job's tasks.
#[derive(Debug, Clone)]
pub struct Pace {
    fixed: Option<u32>,
    task_us: Option<f64>,
    largest: u32,
    keys: u64,
    key_bytes: u64,
}

impl Pace {
    /// Nothing is known yet; `fixed` is the user's choice.
    #[must_use]
    pub fn new(fixed: Option<u32>) -> Pace {
        Pace { fixed, task_us: None, largest: 1, keys: 0, key_bytes: 0 }
    }

    /// So many keys of so many bytes became known.
    pub fn keys_known(&mut self, count: u32, bytes: u64) {
        self.keys += u64::from(count);
        self.key_bytes += bytes;
    }

    /// So many tasks took so long together.
    pub fn observed(&mut self, tasks: u32, busy_us: u64) {
        if tasks == 0 {
            return;
        }
        let seen = busy_us as f64 / f64::from(tasks);
        // A sudden slowness counts at once, a sudden quickness step by step.
        let known = self.task_us.unwrap_or(seen);
        self.task_us = Some(if seen > known * 4.0 { seen } else { known + WEIGHT * (seen - known) });
        self.largest = self.largest.max(tasks);
    }

    /// Tasks in the next batch, when `waiting` tasks are left for `slots` processes; `complete`: no more will come.
    #[must_use]
    pub fn batch_size(&self, waiting: u64, slots: u32, complete: bool) -> u32 {
        if let Some(fixed) = self.fixed {
            // At the end of a job even a chosen size gives way, so that every slot has some.
            let share = if complete { waiting.div_ceil(u64::from(slots.max(1))) } else { u64::MAX };
            return fixed.min(u32::try_from(share).unwrap_or(u32::MAX)).max(1);
        }
        let Some(task_us) = self.task_us else { return FIRST_GUESS };
        let within = |time: Duration| (time.as_micros() as f64 / task_us.max(0.01)) as u32;
        let mut size = within(TARGET).min(self.largest.saturating_mul(GROWTH)).min(MOST_TASKS);
        if complete {
            let share = waiting / u64::from(2 * slots.max(1));
            size = size.min(u32::try_from(share).unwrap_or(u32::MAX).max(within(SMALLEST)));
        }
        let average = self.key_bytes.checked_div(self.keys).unwrap_or(0).max(1);
        size.min(u32::try_from(MOST_BYTES / average).unwrap_or(u32::MAX)).max(1)
    }

    /// What a batch of so many tasks will take, as far as is known.
    #[must_use]
    pub fn expected(&self, tasks: u32) -> Option<Duration> {
        self.task_us.map(|task_us| Duration::from_micros((task_us * f64::from(tasks)) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_trivial_tasks_grow_in_steps_to_the_most() {
        let mut pace = Pace::new(None);
        let mut sizes = vec![];
        for _ in 0..5 {
            let size = pace.batch_size(1_000_000, 2, true);
            sizes.push(size);
            pace.observed(size, u64::from(size));
        }
        assert_eq!(sizes, [4, 64, 1_024, 5_000, 5_000]);
    }

    #[test]
    fn a_batch_of_slow_tasks_is_one_task() {
        let mut pace = Pace::new(None);
        pace.observed(1, 5_000_000);
        assert_eq!(pace.batch_size(1_000, 2, true), 1);
    }

    #[test]
    fn batches_shrink_towards_the_end() {
        let mut pace = Pace::new(None);
        (0..4).for_each(|_| pace.observed(5_000, 5_000 * 20));
        assert_eq!(pace.batch_size(100_000, 2, true), 5_000);
        assert_eq!(pace.batch_size(2_000, 2, true), 500);
        assert_eq!(pace.batch_size(2_000, 2, false), 5_000, "only when no more tasks can come");
        assert_eq!(pace.batch_size(10, 2, true), 100, "but not to less than 2 ms of work");
    }

    #[test]
    fn a_chosen_size_gives_way_at_the_end() {
        let pace = Pace::new(Some(20));
        assert_eq!([1_000, 30, 3, 1].map(|waiting| pace.batch_size(waiting, 2, true)), [20, 15, 2, 1]);
        assert_eq!(pace.batch_size(3, 2, false), 20);
    }

    #[test]
    fn long_keys_make_small_batches() {
        let mut pace = Pace::new(None);
        pace.keys_known(10, 10 << 19);
        (0..4).for_each(|_| pace.observed(5_000, 5_000));
        assert_eq!(pace.batch_size(100_000, 2, true), 2);
    }

    #[test]
    fn one_slow_batch_is_believed_at_once() {
        let mut pace = Pace::new(None);
        (0..4).for_each(|_| pace.observed(5_000, 5_000));
        pace.observed(100, 100_000_000);
        assert_eq!(pace.batch_size(100_000, 2, true), 1);
    }
}
