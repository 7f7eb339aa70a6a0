//! Coordinator and worker. After [`Hello`](super::Hello) and [`Welcome`](super::Welcome) the worker sends
//! [`FromWorker::Joined`]; then both speak freely.
//!
//! Invariant: a worker keeps a report until [`ToWorker::Forget`] names it, over any number of connections.

use serde::{Deserialize, Serialize};

use crate::{
    id::{Attempt, BatchId, JobId, ObjectId, ReportId, TaskIndex, TaskRange, WorkerId},
    job::JobSpec,
    outcome::Failure,
    wire::{
        child::Difference,
        kv::{Answer, Request},
    },
};

/// What a coordinator says to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// A job whose batches may follow. Sent before the first of them on each connection.
    Job(Box<JobSpec>),
    /// No more batches of this job will come; its processes may end.
    JobEnded(JobId),
    /// Run these tasks. Payload: their keys, one behind the other.
    Run(Batch),
    /// Hand back tasks of these batches that have not begun; [`FromWorker::Returned`] says which.
    Recall(Vec<BatchId>),
    /// Somebody else has these batches, or nobody needs them any more: stop them, report nothing.
    Drop(Vec<BatchId>),
    /// These reports are durable.
    Forget(Vec<ReportId>),
    /// Send a signal to the job's commands that are attended to, each with all that it started.
    Signal {
        /// The job.
        job: JobId,
        /// The signal; SIGKILL spares nothing.
        number: i32,
    },
    /// A piece of an object, as it was asked for by [`FromWorker::Fetch`]. Payload: its bytes.
    Piece {
        /// The object.
        object: ObjectId,
        /// Where the piece begins.
        at: u64,
    },
    /// What became of a [`FromWorker::Ask`], and perhaps a payload with it.
    Answered {
        /// The worker's number.
        ask: u64,
        /// The answer.
        answer: Answer,
    },
    /// A sign of life.
    Heartbeat,
    /// End in order.
    Shutdown,
}

/// The tasks that are leased to a worker as a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The lease.
    pub id: BatchId,
    /// The job that they belong to.
    pub job: JobId,
    /// The tasks, in the order of the keys.
    pub tasks: Vec<TaskRange>,
    /// The attempt that this is, for those tasks where it is not the first.
    pub attempts: Vec<(TaskIndex, Attempt)>,
}

/// What a worker says to its coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// Who it is and what it brings with it.
    Joined(Joined),
    /// Outcomes. Payload: the values, one behind the other.
    Report(Report),
    /// Tasks that have not begun and will not: queued work taken back, or lost with a pool.
    Returned {
        /// The lease.
        batch: BatchId,
        /// Its tasks.
        tasks: Vec<TaskRange>,
    },
    /// A command that is attended to runs.
    Began {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIndex,
        /// The process.
        pid: u32,
    },
    /// The job's function cannot be had on this machine.
    Unloadable {
        /// The job.
        job: JobId,
        /// One line: what could not be loaded, where, and why.
        message: String,
        /// The traceback, if there is one.
        traceback: String,
    },
    /// Processes of the job have other versions of packages than its client. Said once a job.
    Differs {
        /// The job.
        job: JobId,
        /// Which.
        packages: Vec<Difference>,
    },
    /// Something about the key-values that a task asks, and perhaps a payload with it.
    Ask {
        /// The worker's number for it.
        ask: u64,
        /// What.
        request: Request,
    },
    /// Send a piece of an object of a job that was described. It says, too, that all before it has come: so the last one
    /// asks for what is behind the end, and nothing follows.
    Fetch {
        /// The object.
        object: ObjectId,
        /// Where the piece begins.
        at: u64,
        /// Its bytes at most.
        most: u32,
    },
    /// How the machine is, from the monitor.
    Status(Status),
    /// A sign of life.
    Heartbeat,
    /// It ends in order; what it holds may be given to others.
    Leaving,
}

/// A worker that comes, or comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Who.
    pub worker: WorkerId,
    /// How many processes it runs.
    pub slots: u16,
    /// The leases of which it still holds tasks that it has not reported yet.
    pub holds: Vec<Held>,
    /// The jobs that it knows, and may have processes for. It is told which of them have ended meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobId>,
}

/// What is left of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The lease.
    pub batch: BatchId,
    /// The job.
    pub job: JobId,
    /// The tasks that run or wait.
    pub tasks: Vec<TaskRange>,
    /// Tasks whose outcomes are in reports that no coordinator has acknowledged; the reports follow.
    pub unacknowledged: Vec<TaskRange>,
}

/// Outcomes of tasks of one batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The worker's number for it.
    pub id: ReportId,
    /// The lease.
    pub batch: BatchId,
    /// The job.
    pub job: JobId,
    /// The tasks that have a value, in the order of the payload.
    pub values: Vec<TaskRange>,
    /// The tasks that have none.
    pub failures: Vec<(TaskIndex, Failure)>,
    /// Wall time that a process spent on them, in microseconds.
    pub busy_us: u64,
}

/// A monitor's reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Processes that run a task now.
    pub busy: u16,
    /// CPU use of the machine, 0 to 100.
    pub cpu_percent: f32,
    /// Memory in use on the machine, in bytes.
    pub memory_used: u64,
    /// Memory of the machine, in bytes.
    pub memory_total: u64,
    /// Resident memory of the worker's processes, in bytes.
    pub pool_memory: u64,
    /// What nobody decides by, for those who watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<Detail>>,
}

/// More of a monitor's reading.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Detail {
    /// Processes on the machine.
    pub processes: u32,
    /// Bytes in use on the root file system.
    pub disk_used: u64,
    /// Bytes that users can have there at most.
    pub disk_total: u64,
    /// What the network interfaces have carried.
    pub traffic: Traffic,
    /// The worker and its processes, the largest first, and not more than [`LISTED`].
    pub own: Vec<OwnProcess>,
}

/// How many processes a [`Detail`] lists: it goes with a sign of life, so it stays small.
pub const LISTED: usize = 256;

/// What all network interfaces of a machine have carried since it was started, the loopback included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes out.
    pub bytes_sent: u64,
    /// Bytes in.
    pub bytes_received: u64,
    /// Packets out.
    pub packets_sent: u64,
    /// Packets in.
    pub packets_received: u64,
}

/// A worker, or a process that it has started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnProcess {
    /// Its id.
    pub pid: u32,
    /// What the system calls it.
    pub name: String,
    /// CPU use, where 100 is a core.
    pub cpu_percent: f32,
    /// Resident memory, in bytes.
    pub memory: u64,
}
