//! One job: its tasks' states, what it has learned of them, and how it is to end.

use std::{collections::HashSet, time::Instant};

use shared::{
    id::{Attempt, JobId, TaskIndex, TaskRange, WorkerId, count, push_task},
    job::Limits,
    outcome::Failure,
    task_set::TaskSet,
    wire::client::{Incidents, Progress, Stopped},
};

use crate::core::{
    effect::Record,
    event::Reported,
    failures::Failures,
    pace::Pace,
    retry::{Tries, Verdict},
    table::{State, Table},
    ticket::Tickets,
};

/// How far a job is on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Tasks are leased and recorded.
    Running,
    /// It was stopped: nothing is leased any more, what runs may end.
    Stopping,
    /// Nothing is left to do; the checkpoint is being closed.
    Closing,
    /// It has ended.
    Ended,
}

/// One job.
#[derive(Debug)]
pub struct Job {
    pub id: JobId,
    pub limits: Limits,
    pub phase: Phase,
    pub complete: bool,
    pub table: Table,
    pub tries: Tries,
    pub pace: Pace,
    pub tickets: Tickets,
    pub failures: Failures,
    pub stopped: Option<Stopped>,
    /// It is to stop, and what runs is given up at this time.
    pub stop_by: Option<Instant>,
    /// Workers that cannot load its function.
    pub unloadable: HashSet<WorkerId>,
    pub client_behind: bool,
    /// Something that its tasks need is not here yet.
    pub objects_lack: bool,
    pub skipped: u64,
    done: u64,
    failed: u64,
    pub durable: u64,
    pub late: u64,
    pub workers_lost: u64,
}

impl Job {
    pub fn new(id: JobId, limits: Limits, batch_size: Option<u32>) -> Job {
        Job {
            id,
            limits,
            phase: Phase::Running,
            complete: false,
            table: Table::default(),
            tries: Tries::default(),
            pace: Pace::new(batch_size),
            tickets: Tickets::default(),
            failures: Failures::default(),
            stopped: None,
            stop_by: None,
            unloadable: HashSet::new(),
            client_behind: false,
            objects_lack: false,
            skipped: 0,
            done: 0,
            failed: 0,
            durable: 0,
            late: 0,
            workers_lost: 0,
        }
    }

    /// The checkpoint has these already.
    pub fn skip(&mut self, tasks: &TaskSet) {
        for range in tasks.ranges() {
            self.table.settle(&[range], State::Done);
            self.skipped += u64::from(range.len());
        }
    }

    /// Takes the outcomes of a report that count; the first outcome of a task wins.
    ///
    /// Tasks to be tried again are put back. Returns what is to be recorded, if anything is.
    pub fn accept(&mut self, reported: &Reported) -> Option<Record> {
        let values = self.table.still_open(&reported.values);
        self.late += u64::from(count(&reported.values) - count(&values));
        self.table.settle(&values, State::Done);
        self.done += u64::from(count(&values));
        let mut failures = Vec::new();
        for (task, failure) in &reported.failures {
            match self.table.state(*task) {
                Some(State::Waiting | State::Leased) => {}
                Some(State::Done | State::Failed) | None => {
                    self.late += 1;
                    continue;
                }
            }
            match self.tries.judge(*task, &failure.cause, &self.limits) {
                Verdict::Again if self.phase == Phase::Running => {
                    self.table.requeue(&[TaskRange::one(*task)], 0, true);
                }
                Verdict::Again => failures.push((*task, failure.clone())),
                Verdict::Final(attempt) => failures.push((*task, Failure { attempt, ..failure.clone() })),
            }
        }
        self.record(Some((reported.worker, reported.report)), values, failures, reported.bytes)
    }

    /// Makes failures that are final the outcome of their tasks.
    pub fn record(
        &mut self,
        source: Option<(WorkerId, shared::id::ReportId)>,
        values: Vec<TaskRange>,
        failures: Vec<(TaskIndex, Failure)>,
        bytes: u64,
    ) -> Option<Record> {
        let mut failed = Vec::new();
        for (task, failure) in &failures {
            self.failures.add(*task, failure);
            push_task(&mut failed, *task);
        }
        self.table.settle(&failed, State::Failed);
        self.failed += failures.len() as u64;
        let outcomes = u64::from(count(&values)) + failures.len() as u64;
        if outcomes == 0 {
            return None;
        }
        let ticket = self.tickets.open(source, outcomes, bytes);
        let attempts = self.later_attempts(&values);
        Some(Record { job: self.id, ticket, source, values, attempts, failures })
    }

    /// Which of these tasks needed more than one attempt, by their place among them.
    fn later_attempts(&mut self, values: &[TaskRange]) -> Vec<(u32, Attempt)> {
        if self.tries.is_empty() {
            return Vec::new();
        }
        let tasks = values.iter().flat_map(|range| range.tasks());
        (0..).zip(tasks).filter_map(|(row, task)| Some((row, self.tries.succeeded(task)?))).collect()
    }

    /// Whether every task has its outcome and nothing more can come.
    pub fn is_finished(&self) -> bool {
        self.complete && self.table.open() == 0
    }

    /// Counts for the user. Processes and workers are not the job's to count.
    pub fn progress(&self) -> Progress {
        Progress {
            tasks: self.table.len(),
            complete: self.complete,
            skipped: self.skipped,
            done: self.done,
            failed: self.failed,
            durable: self.durable,
            ..Progress::default()
        }
    }

    /// What it survived.
    pub fn incidents(&self) -> Incidents {
        Incidents { retries: self.tries.retries(), workers_lost: self.workers_lost, late: self.late }
    }
}
