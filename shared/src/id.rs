//! The names of things: one newtype each, so that no bare integer crosses a function boundary.
//!
//! Ids are made at the edge (randomness is an argument everywhere else) and only compared and shown here.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($int:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
    };
}

newtype!(
    /// A job, drawn at random by the client that submits it: submitting the same id twice is one job.
    JobId(u64),
    "{:016x}"
);
newtype!(
    /// An object of a job, drawn at random by the client that has it.
    ObjectId(u64),
    "{:016x}"
);
newtype!(
    /// A worker node for as long as its process lives, drawn at random at its start; it survives reconnections.
    WorkerId(u64),
    "{:016x}"
);
newtype!(
    /// The incarnation of a coordinator: raised at each of its starts on the same state.
    Epoch(u32),
    "{}"
);
newtype!(
    /// A task's position in its job's list of distinct tasks.
    TaskIndex(u32),
    "{}"
);
newtype!(
    /// How often a task has been started, the first time being 1.
    Attempt(u16),
    "{}"
);
newtype!(
    /// A place for one process in a worker's pool.
    Slot(u16),
    "{}"
);
newtype!(
    /// A worker's number for one report of outcomes, unique in the worker's life.
    ReportId(u64),
    "{}"
);

impl Attempt {
    /// The first start of a task.
    pub const FIRST: Attempt = Attempt(1);

    /// The start that follows this one.
    #[must_use]
    pub fn next(self) -> Attempt {
        Attempt(self.0.saturating_add(1))
    }
}

/// A lease on a batch of tasks: the epoch that granted it, and its number within that epoch.
///
/// Invariant: no two leases of one state directory are equal, so a stale one is recognised for what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchId {
    /// Who granted it.
    pub epoch: Epoch,
    /// Its number there.
    pub number: u32,
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

/// A run of neighbouring tasks: `start` is in it, `end` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskRange {
    /// The first task.
    pub start: u32,
    /// One past the last task.
    pub end: u32,
}

impl TaskRange {
    /// The tasks from `start` up to, not including, `end`.
    #[must_use]
    pub fn new(start: u32, end: u32) -> TaskRange {
        debug_assert!(start <= end, "a range of tasks runs forward");
        TaskRange { start, end }
    }

    /// The range that holds one task.
    #[must_use]
    pub fn one(task: TaskIndex) -> TaskRange {
        TaskRange { start: task.0, end: task.0 + 1 }
    }

    /// How many tasks it holds.
    #[must_use]
    pub fn len(self) -> u32 {
        self.end - self.start
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Its tasks in order.
    pub fn tasks(self) -> impl Iterator<Item = TaskIndex> {
        (self.start..self.end).map(TaskIndex)
    }

    /// Splits off the first `count` tasks (or all, if there are fewer): (those, the rest).
    #[must_use]
    pub fn split(self, count: u32) -> (TaskRange, TaskRange) {
        let middle = self.start.saturating_add(count).min(self.end);
        (TaskRange::new(self.start, middle), TaskRange::new(middle, self.end))
    }
}

impl fmt::Display for TaskRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// How many tasks some ranges hold together.
#[must_use]
pub fn count(ranges: &[TaskRange]) -> u32 {
    ranges.iter().map(|range| range.len()).sum()
}

/// Puts one more task behind others, growing the last range where it can.
pub fn push_task(ranges: &mut Vec<TaskRange>, task: TaskIndex) {
    match ranges.last_mut() {
        Some(last) if last.end == task.0 => last.end += 1,
        _ => ranges.push(TaskRange::one(task)),
    }
}
