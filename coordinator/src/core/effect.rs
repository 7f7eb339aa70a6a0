//! Everything that a coordinator can ask for.

use shared::{
    id::{Attempt, BatchId, JobId, ReportId, TaskIndex, TaskRange, WorkerId},
    outcome::Failure,
    wire::{client::Summary, worker::Batch},
};

use crate::core::ticket::Ticket;

/// Something is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Lease a batch to a worker.
    Grant {
        /// To whom.
        worker: WorkerId,
        /// What.
        batch: Batch,
    },
    /// Ask a worker for tasks that it has not begun.
    Recall {
        /// Whom.
        worker: WorkerId,
        /// Of which leases.
        batches: Vec<BatchId>,
    },
    /// Tell a worker that these leases are void.
    Drop {
        /// Whom.
        worker: WorkerId,
        /// The leases.
        batches: Vec<BatchId>,
    },
    /// Write outcomes to the job's checkpoint and sync.
    Record(Record),
    /// Tell a worker that these reports need not be kept any longer.
    Forget {
        /// Whom.
        worker: WorkerId,
        /// The reports.
        reports: Vec<ReportId>,
    },
    /// A worker is given up: a later incarnation need not wait for it.
    Strike(WorkerId),
    /// What this ticket covers is durable: the client may have it.
    Deliver {
        /// The job.
        job: JobId,
        /// The ticket.
        ticket: Ticket,
    },
    /// Every task has its outcome, or the job is stopped: bring the checkpoint to an orderly end.
    Close(JobId),
    /// A job has ended.
    Finish {
        /// The job.
        job: JobId,
        /// How.
        summary: Box<Summary>,
    },
}

/// Outcomes to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The job.
    pub job: JobId,
    /// Acknowledged by this number.
    pub ticket: Ticket,
    /// Whose report holds the values; `None` for failures that the coordinator found itself.
    pub source: Option<(WorkerId, ReportId)>,
    /// The tasks of the report whose value counts.
    pub values: Vec<TaskRange>,
    /// Which of those values (counted from 0) an attempt has given that was not the first.
    pub attempts: Vec<(u32, Attempt)>,
    /// Failures that are final.
    pub failures: Vec<(TaskIndex, Failure)>,
}

/// Effects in the order in which they are to be carried out.
pub type Effects = Vec<Effect>;
