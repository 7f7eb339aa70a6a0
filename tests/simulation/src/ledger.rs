//! What has to hold, task by task: one outcome, the right one, and nothing durable forgotten.

use shared::{
    id::TaskRange,
    outcome::{Cause, Failure},
};

use crate::scenario::Scenario;

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Open,
    /// It has an outcome that a crash could still take.
    Recorded,
    /// It has a value for ever.
    Done,
    /// It has failed, and that is on the disk.
    Failed,
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    marks: Vec<Mark>,
}

impl Ledger {
    pub fn new(tasks: u32) -> Ledger {
        Ledger { marks: vec![Mark::Open; tasks as usize] }
    }

    fn set(&mut self, task: u32, mark: Mark) -> Mark {
        std::mem::replace(&mut self.marks[task as usize], mark)
    }

    /// The coordinator has given tasks their outcome.
    pub fn recorded(&mut self, tasks: impl Iterator<Item = u32>) {
        for task in tasks {
            let before = self.set(task, Mark::Recorded);
            assert_eq!(before, Mark::Open, "task {task} gets a second outcome");
        }
    }

    /// What was recorded is on the disk.
    pub fn durable(&mut self, values: &[TaskRange], failures: impl Iterator<Item = u32>) {
        let values = values.iter().flat_map(|range| range.start..range.end).map(|task| (task, Mark::Done));
        for (task, mark) in values.chain(failures.map(|task| (task, Mark::Failed))) {
            let before = self.set(task, mark);
            assert_eq!(before, Mark::Recorded, "task {task} is durable without having been recorded");
        }
    }

    /// A coordinator died: what it had not synced is forgotten, and failures are tried again by its successor.
    pub fn forget(&mut self) {
        for mark in &mut self.marks {
            if matches!(mark, Mark::Recorded | Mark::Failed) {
                *mark = Mark::Open;
            }
        }
    }

    /// Tasks that have a value for ever, as ranges.
    pub fn done(&self) -> Vec<TaskRange> {
        let mut ranges: Vec<TaskRange> = Vec::new();
        for (task, _) in (0..).zip(&self.marks).filter(|(_, mark)| **mark == Mark::Done) {
            shared::id::push_task(&mut ranges, shared::id::TaskIndex(task));
        }
        ranges
    }

    /// A node is told to forget values of these tasks.
    pub fn check_forgotten(&self, tasks: &[TaskRange]) {
        for task in tasks.iter().flat_map(|range| range.start..range.end) {
            assert_ne!(self.marks[task as usize], Mark::Open, "a value of task {task} is forgotten");
        }
    }

    /// A failure that is final has a reason.
    pub fn check_failure(&self, task: u32, failure: &Failure, scenario: &Scenario) {
        let known = match failure.cause {
            Cause::Exception(_) => scenario.raising.contains(&task),
            // Every fault may have killed the process of a task, once.
            Cause::Signal(_) | Cause::NodeLost => {
                scenario.poison.contains(&task) || scenario.faults.len() > usize::from(RETRIES)
            }
            _ => false,
        };
        assert!(known, "task {task} fails for no reason: {}", failure.cause);
    }

    pub fn check_end(&self, scenario: &Scenario) {
        for (task, mark) in (0..).zip(&self.marks) {
            assert!(
                matches!(mark, Mark::Done | Mark::Failed),
                "task {task} has no outcome at the end: {mark:?}"
            );
            let bad = scenario.poison.contains(&task) || scenario.raising.contains(&task);
            assert!(!(bad && *mark == Mark::Done), "task {task} cannot have a value");
        }
    }

    pub fn failed(&self) -> u64 {
        self.marks.iter().filter(|mark| **mark == Mark::Failed).count() as u64
    }

    /// How many are where.
    pub fn shown(&self) -> String {
        let count = |wanted| self.marks.iter().filter(|mark| **mark == wanted).count();
        format!(
            "{} open, {} recorded, {} done, {} failed",
            count(Mark::Open),
            count(Mark::Recorded),
            count(Mark::Done),
            count(Mark::Failed)
        )
    }
}

/// How often a task is tried again when its process died.
pub const RETRIES: u16 = 3;
