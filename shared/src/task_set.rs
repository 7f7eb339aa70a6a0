//! Some of a job's tasks, one bit each: whatever their order, it costs the same. It does not know what they are for.

use crate::id::{TaskIndex, TaskRange};

/// A set of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskSet {
    words: Vec<u64>,
}

impl TaskSet {
    /// An empty one that has room for the tasks below `count`.
    #[must_use]
    pub fn below(count: u32) -> TaskSet {
        TaskSet { words: vec![0; count.div_ceil(u64::BITS) as usize] }
    }

    /// Adds a task; whether it was not in.
    pub fn insert(&mut self, task: TaskIndex) -> bool {
        let (word, bit) = ((task.0 / u64::BITS) as usize, 1 << (task.0 % u64::BITS));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }

    /// Takes a task out; whether it was in.
    #[must_use]
    pub fn remove(&mut self, task: TaskIndex) -> bool {
        let bit = 1 << (task.0 % u64::BITS);
        let Some(word) = self.words.get_mut((task.0 / u64::BITS) as usize) else { return false };
        let was_in = *word & bit != 0;
        *word &= !bit;
        was_in
    }

    /// How many tasks are in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Its tasks in order, as few ranges.
    pub fn ranges(&self) -> impl Iterator<Item = TaskRange> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.next(at, true)?;
            let end = self.next(start, false).unwrap_or(self.bound());
            at = end;
            Some(TaskRange::new(start, end))
        })
    }

    /// The first task from `at` on that is in the set, or is not.
    fn next(&self, at: u32, inside: bool) -> Option<u32> {
        let first = (at / u64::BITS) as usize;
        let mut mask = u64::MAX << (at % u64::BITS);
        for (place, &word) in self.words.iter().enumerate().skip(first) {
            let wanted = mask & if inside { word } else { !word };
            if wanted != 0 {
                return Some(place as u32 * u64::BITS + wanted.trailing_zeros());
            }
            mask = u64::MAX;
        }
        None
    }

    fn bound(&self) -> u32 {
        u32::try_from(self.words.len() as u64 * u64::from(u64::BITS)).unwrap_or(u32::MAX)
    }
}

impl FromIterator<TaskRange> for TaskSet {
    fn from_iter<I: IntoIterator<Item = TaskRange>>(ranges: I) -> TaskSet {
        let mut set = TaskSet::default();
        for task in ranges.into_iter().flat_map(|range| range.tasks()) {
            set.insert(task);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranges: &[(u32, u32)]) {
        let ranges: Vec<TaskRange> = ranges.iter().map(|&(start, end)| TaskRange::new(start, end)).collect();
        let set: TaskSet = ranges.iter().copied().collect();
        assert_eq!(set.ranges().collect::<Vec<_>>(), ranges);
    }

    #[test]
    fn tasks_come_back_as_ranges() {
        check(&[]);
        check(&[(0, 1)]);
        check(&[(3, 64)]);
        check(&[(0, 64), (65, 128)]);
        check(&[(1, 2), (63, 65), (70, 300), (1_000, 1_001)]);
    }

    #[test]
    fn tasks_may_be_added_in_any_order() {
        let mut set = TaskSet::below(100);
        let new = [199, 5, 128, 4, 127, 5].map(|task| set.insert(TaskIndex(task)));
        assert_eq!((new, set.count()), ([true, true, true, true, true, false], 5));
        let ranges: Vec<TaskRange> = set.ranges().collect();
        assert_eq!(ranges, [(4, 6), (127, 129), (199, 200)].map(|(start, end)| TaskRange::new(start, end)));
    }
}
