//! The invariants, checked after every event of every test.

use std::collections::{BTreeMap, BTreeSet};

use shared::id::{BatchId, TaskIndex, TaskRange};

use super::{
    Core,
    slot::{NO_STOP, RUNS, State},
};

/// Where the tasks of each batch are.
#[derive(Default)]
struct Whereabouts(BTreeMap<BatchId, BTreeSet<TaskIndex>>);

impl Whereabouts {
    fn add(&mut self, batch: BatchId, tasks: &[TaskRange], place: &str) {
        let seen = self.0.entry(batch).or_default();
        for task in tasks.iter().flat_map(|range| range.tasks()) {
            assert!(seen.insert(task), "task {task} of batch {batch} is in two places, one is {place}");
        }
    }
}

impl Core {
    pub(super) fn check_invariants(&self) {
        let mut tasks = Whereabouts::default();
        for piece in &self.leases.queue {
            assert!(!piece.tasks.is_empty(), "an empty piece waits");
            tasks.add(piece.batch, &piece.tasks, "the queue");
        }
        for place in &self.places {
            match &place.state {
                State::Child(child) => {
                    assert!(child.runs.len() <= RUNS, "a child holds {} runs", child.runs.len());
                    let mut next = child.next;
                    for run in child.runs.iter().rev() {
                        assert!(run.done <= run.count && run.kept <= run.count, "{run:?}");
                        assert!(run.first + u64::from(run.count) <= next, "runs overlap: {child:?}");
                        next = run.first;
                        if !run.dropped {
                            tasks.add(run.batch, &run.rest(), "a child");
                        }
                    }
                    if let Some(stop) = child.stop {
                        assert!(stop.at < NO_STOP && !child.runs.is_empty(), "a stop for nothing: {child:?}");
                    }
                }
                State::Commands(commands) => {
                    assert!(!commands.is_empty(), "no command is in a slot for commands");
                    assert!(commands.iter().is_sorted_by(|one, next| one.life < next.life), "{commands:?}");
                    for command in commands.iter().filter(|command| !command.dropped) {
                        tasks.add(command.batch, &[TaskRange::one(command.task)], "a command");
                    }
                }
                State::Empty => assert_eq!(place.pid, 0, "an empty slot has a process"),
                State::Starting(_) | State::Stopping { .. } => {}
            }
        }
        for (batch, gathered) in &self.gathered {
            tasks.add(*batch, &gathered.tasks(), "the outcomes that are gathered");
        }
        for (batch, lease) in self.leases.batches() {
            let here = tasks.0.get(&batch).map_or(0, BTreeSet::len);
            assert_eq!(here, lease.left as usize, "tasks of batch {batch} are missing");
            assert!(lease.left > 0, "batch {batch} is done and held");
        }
        for (batch, here) in &tasks.0 {
            assert!(here.is_empty() || self.leases.get(*batch).is_some(), "batch {batch} is not held");
        }
        for kept in self.leases.reports.values() {
            tasks.add(kept.batch, &kept.tasks, "a report");
        }
    }
}
