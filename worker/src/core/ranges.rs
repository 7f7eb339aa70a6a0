//! Positions within a list of ranges: a batch's tasks have positions, not only indices. Pure arithmetic.

use shared::id::{TaskIndex, TaskRange};

/// The tasks at the positions from `from` up to, not including, `to`.
#[must_use]
pub fn slice(ranges: &[TaskRange], from: u32, to: u32) -> Vec<TaskRange> {
    let mut taken = Vec::new();
    let mut position = 0;
    for range in ranges {
        let end = position + range.len();
        let (first, last) = (from.max(position), to.min(end));
        if first < last {
            taken.push(TaskRange::new(range.start + (first - position), range.start + (last - position)));
        }
        position = end;
    }
    taken
}

/// The task at a position.
#[must_use]
pub fn nth(ranges: &[TaskRange], position: u32) -> Option<TaskIndex> {
    let mut left = position;
    for range in ranges {
        if left < range.len() {
            return Some(TaskIndex(range.start + left));
        }
        left -= range.len();
    }
    None
}

/// Where a task stands.
#[must_use]
pub fn position(ranges: &[TaskRange], task: TaskIndex) -> Option<u32> {
    let mut before = 0;
    for range in ranges {
        if (range.start..range.end).contains(&task.0) {
            return Some(before + (task.0 - range.start));
        }
        before += range.len();
    }
    None
}

/// Puts ranges behind others, growing the last one where it can.
pub fn append(ranges: &mut Vec<TaskRange>, more: &[TaskRange]) {
    for range in more {
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(*range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_run_through_the_gaps() {
        let ranges = [TaskRange::new(5, 7), TaskRange::new(20, 21), TaskRange::new(1, 4)];
        let tasks: Vec<u32> = (0..6).map(|at| nth(&ranges, at).expect("six tasks").0).collect();
        assert_eq!(tasks, [5, 6, 20, 1, 2, 3]);
        assert_eq!(nth(&ranges, 6), None);
        assert_eq!(
            slice(&ranges, 1, 5),
            [TaskRange::new(6, 7), TaskRange::new(20, 21), TaskRange::new(1, 3)]
        );
        assert_eq!(slice(&ranges, 3, 3), []);
        assert_eq!(position(&ranges, TaskIndex(2)), Some(4));
        assert_eq!(position(&ranges, TaskIndex(7)), None);
    }
}
