//! Everything that can happen to a coordinator.

use std::time::Instant;

use crate::core::ticket::Ticket;
use shared::{
    id::{BatchId, JobId, ReportId, TaskIndex, TaskRange, WorkerId},
    job::Limits,
    outcome::Failure,
    task_set::TaskSet,
    wire::worker::Held,
};

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A job stands; its tasks are still to come.
    JobOpened {
        /// The job.
        job: JobId,
        /// What each task may take.
        limits: Limits,
        /// Tasks per batch, where the user chose.
        batch_size: Option<u32>,
    },
    /// Tasks of a job became known. They follow those that were known already.
    TasksAdded {
        /// The job.
        job: JobId,
        /// How many.
        count: u32,
        /// Bytes of their keys together.
        bytes: u64,
        /// Those of them, by their place in the job, of which the checkpoint holds a value already.
        skipped: TaskSet,
    },
    /// All tasks of a job are known.
    TasksComplete(JobId),
    /// A job is to stop.
    JobCancelled {
        /// The job.
        job: JobId,
        /// When tasks are given up that still run; the earliest that is said counts.
        by: Instant,
    },
    /// The client does not keep up with its results, or does again.
    ClientBehind {
        /// The job.
        job: JobId,
        /// Whether to wait for it.
        behind: bool,
    },
    /// Objects that a job needs are not here yet, or all are.
    ObjectsLack {
        /// The job.
        job: JobId,
        /// Whether to wait for some.
        lack: bool,
    },
    /// A job cannot go on.
    JobFailed {
        /// The job.
        job: JobId,
        /// Why, for the client.
        stopped: shared::wire::client::Stopped,
    },
    /// A worker came, or came back.
    WorkerJoined {
        /// Who.
        worker: WorkerId,
        /// Where it runs.
        host: String,
        /// Its processes.
        slots: u16,
        /// What it still holds.
        holds: Vec<Held>,
    },
    /// A worker's connection broke. It may come back in a moment.
    WorkerAway(WorkerId),
    /// A worker ended in order, or was silent for a whole lease.
    WorkerLost(WorkerId),
    /// A worker reported outcomes.
    Reported(Reported),
    /// A worker gave tasks back that have not begun.
    Returned {
        /// Who.
        worker: WorkerId,
        /// The lease.
        batch: BatchId,
        /// Its tasks.
        tasks: Vec<TaskRange>,
    },
    /// A worker cannot load a job's function.
    Unloadable {
        /// Who.
        worker: WorkerId,
        /// The job.
        job: JobId,
        /// One line.
        message: String,
    },
    /// Everything that was to be recorded up to this ticket is durable.
    Durable {
        /// The job.
        job: JobId,
        /// The ticket.
        upto: Ticket,
    },
    /// A job's checkpoint is closed in order: nothing of it is left to do.
    Closed(JobId),
    /// Time has passed.
    Tick,
}

/// A report as the core sees it: no values, only whose outcome came.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// Who.
    pub worker: WorkerId,
    /// The worker's number for the report.
    pub report: ReportId,
    /// The lease.
    pub batch: BatchId,
    /// The job.
    pub job: JobId,
    /// Tasks that have a value.
    pub values: Vec<TaskRange>,
    /// Bytes of those values together.
    pub bytes: u64,
    /// Tasks whose attempt failed.
    pub failures: Vec<(TaskIndex, Failure)>,
    /// Wall time spent on them, in microseconds.
    pub busy_us: u64,
}
