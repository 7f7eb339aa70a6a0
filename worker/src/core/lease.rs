//! The batches that are leased to this node: what of them waits, and which reports have not been acknowledged.
//!
//! It does not know which tasks run. Invariant: `left` counts the tasks of a batch that are neither reported nor
//! handed back, so a batch is forgotten with its last task.

use std::collections::{BTreeMap, VecDeque};

use shared::id::{Attempt, BatchId, JobId, ReportId, TaskIndex, TaskRange, count};
use shared::wire::worker::Batch;

use super::{
    event::{Effect, Effects},
    ranges,
};

/// All that this node holds.
#[derive(Debug, Default)]
pub struct Leases {
    held: BTreeMap<BatchId, Lease>,
    pub queue: VecDeque<Piece>,
    pub reports: BTreeMap<ReportId, Kept>,
    last_report: u64,
}

/// One batch.
#[derive(Debug)]
pub struct Lease {
    pub job: JobId,
    attempts: BTreeMap<TaskIndex, Attempt>,
    pub left: u32,
    /// The coordinator wants back what has not begun.
    pub recalled: bool,
}

/// Tasks of one batch that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub batch: BatchId,
    pub job: JobId,
    pub tasks: Vec<TaskRange>,
    /// Processes that died over these tasks without a task to blame.
    pub strikes: u32,
}

/// A report that the coordinator may not have written yet.
#[derive(Debug)]
pub struct Kept {
    pub batch: BatchId,
    pub job: JobId,
    pub tasks: Vec<TaskRange>,
}

impl Leases {
    /// Takes a batch, unless it is here already.
    pub fn grant(&mut self, batch: Batch) {
        let left = count(&batch.tasks);
        if left == 0 || self.held.contains_key(&batch.id) {
            return;
        }
        let attempts = batch.attempts.into_iter().collect();
        self.held.insert(batch.id, Lease { job: batch.job, attempts, left, recalled: false });
        self.queue.push_back(Piece { batch: batch.id, job: batch.job, tasks: batch.tasks, strikes: 0 });
    }

    pub fn get(&self, batch: BatchId) -> Option<&Lease> {
        self.held.get(&batch)
    }

    pub fn recall(&mut self, batch: BatchId) {
        if let Some(lease) = self.held.get_mut(&batch) {
            lease.recalled = true;
        }
    }

    pub fn recall_all(&mut self) {
        self.held.values_mut().for_each(|lease| lease.recalled = true);
    }

    pub fn batches(&self) -> impl Iterator<Item = (BatchId, &Lease)> {
        self.held.iter().map(|(id, lease)| (*id, lease))
    }

    pub fn attempt(&self, batch: BatchId, task: TaskIndex) -> Attempt {
        let lease = self.held.get(&batch);
        lease.and_then(|lease| lease.attempts.get(&task)).copied().unwrap_or(Attempt::FIRST)
    }

    /// So many tasks of a batch are off our hands.
    pub fn release(&mut self, batch: BatchId, tasks: u32, out: &mut Effects) {
        let Some(lease) = self.held.get_mut(&batch) else { return };
        lease.left = lease.left.checked_sub(tasks).expect("a task leaves its batch once");
        if lease.left == 0 {
            self.held.remove(&batch);
            out.push(Effect::ForgetBatch(batch));
        }
    }

    /// Forgets a batch whatever is left of it.
    pub fn forget(&mut self, batch: BatchId, out: &mut Effects) {
        self.queue.retain(|piece| piece.batch != batch);
        if self.held.remove(&batch).is_some() {
            out.push(Effect::ForgetBatch(batch));
        }
    }

    /// The oldest waiting piece of a job, or as many tasks of it.
    pub fn take(&mut self, job: JobId, most: u32) -> Option<Piece> {
        let at = self.queue.iter().position(|piece| piece.job == job)?;
        let piece = &mut self.queue[at];
        if count(&piece.tasks) <= most {
            return self.queue.remove(at);
        }
        let taken = Piece { tasks: ranges::slice(&piece.tasks, 0, most), ..piece.clone() };
        piece.tasks = ranges::slice(&piece.tasks, most, u32::MAX);
        Some(taken)
    }

    /// The oldest waiting task of a job.
    pub fn take_one(&mut self, job: JobId) -> Option<(BatchId, TaskIndex)> {
        let at = self.queue.iter().position(|piece| piece.job == job)?;
        let piece = &mut self.queue[at];
        let task = ranges::nth(&piece.tasks, 0).expect("no empty piece waits");
        piece.tasks = ranges::slice(&piece.tasks, 1, u32::MAX);
        let batch = piece.batch;
        if piece.tasks.is_empty() {
            self.queue.remove(at);
        }
        Some((batch, task))
    }

    /// Takes all waiting pieces for which this holds.
    pub fn take_where(&mut self, wanted: impl Fn(&Piece) -> bool) -> Vec<Piece> {
        let (taken, left) = std::mem::take(&mut self.queue).into_iter().partition(wanted);
        self.queue = left;
        Vec::from(taken)
    }

    /// A number for the next report, under which its tasks are remembered.
    pub fn report(&mut self, batch: BatchId, job: JobId, tasks: Vec<TaskRange>) -> ReportId {
        self.last_report += 1;
        let id = ReportId(self.last_report);
        self.reports.insert(id, Kept { batch, job, tasks });
        id
    }
}

/// Cuts a piece into at most so many about equal ones.
#[must_use]
pub fn cut(piece: Piece, parts: u32) -> Vec<Piece> {
    let all = count(&piece.tasks);
    let parts = parts.clamp(1, all.max(1));
    let bound = |part: u32| (u64::from(all) * u64::from(part) / u64::from(parts)) as u32;
    let tasks = |part| ranges::slice(&piece.tasks, bound(part), bound(part + 1));
    (0..parts).map(|part| Piece { tasks: tasks(part), ..piece.clone() }).collect()
}
