//! Coordinator and client. A client submits a job, streams its tasks, and hears of its progress and end; after a lost
//! connection it submits again under the same id and goes on where [`ToClient::Accepted`] says.

use serde::{Deserialize, Serialize};

use crate::{
    id::{JobId, ObjectId, TaskIndex, TaskRange, WorkerId},
    job::JobSpec,
    location::Location,
    outcome::Failure,
    wire::{
        kv::{Answer, Request},
        worker::Status,
    },
};

/// What a client says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromClient {
    /// Here is a job; its tasks follow.
    Submit(Box<JobSpec>),
    /// More tasks. Payload: their keys, one behind the other.
    Tasks {
        /// The job.
        job: JobId,
        /// How many keys.
        count: u32,
    },
    /// That was all: so many keys were sent since the job was first submitted.
    TasksEnd {
        /// The job.
        job: JobId,
        /// The count.
        total: u64,
    },
    /// Stop the job: start nothing more; `now`: end what runs, too. Whoever follows the job is told when that is
    /// [kept](ToClient::Stopping).
    Cancel {
        /// The job.
        job: JobId,
        /// Whether running tasks are ended.
        now: bool,
        /// Else after how many milliseconds they are; `None`: when a client says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grace_ms: Option<u64>,
    },
    /// Send a signal to the job's commands that are attended to, each with all that it started.
    Signal {
        /// The job.
        job: JobId,
        /// The signal; SIGKILL spares nothing.
        number: i32,
    },
    /// Something about the key-values, and perhaps a payload with it; answered by [`ToClient::Answered`].
    Ask {
        /// The client's number for it.
        ask: u64,
        /// What.
        request: Request,
    },
    /// Tell how every worker is, now and each time that it says so; or stop that. Each `true` needs a `false`.
    Watch(bool),
    /// Tell of a job that another connection has submitted: its progress, notes and end. Answered by
    /// [`ToClient::Attached`] or [`ToClient::Unknown`].
    Attach(JobId),
    /// Which jobs are known? Answered by [`ToClient::Jobs`].
    List,
    /// A piece of an object, as it was asked for by [`ToClient::Fetch`]. Payload: its bytes.
    Piece {
        /// The job.
        job: JobId,
        /// The object.
        object: ObjectId,
        /// Where the piece begins.
        at: u64,
    },
    /// Results up to here have been taken over; room for more. What was not, is told again over the next connection, and
    /// the job ends when all were.
    Taken {
        /// The job.
        job: JobId,
        /// Payload bytes.
        bytes: u64,
    },
    /// A sign of life.
    Heartbeat,
}

/// What a coordinator says to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToClient {
    /// The job stands.
    Accepted {
        /// The job.
        job: JobId,
        /// How many keys of it are known already: the client goes on behind them.
        known: u64,
    },
    /// So many keys are known to every later life of the coordinator: its client need not keep them any longer. Said
    /// only within one process; elsewhere [`Stored`](ToClient::Stored) says it of all keys together.
    Kept {
        /// The job.
        job: JobId,
        /// The count.
        count: u64,
    },
    /// Every task is kept by the coordinator: a client that detaches may go.
    Stored(JobId),
    /// The checkpoint that was to be set aside has been, and a new one stands in its place: who submits the job again goes
    /// on from that.
    SetAside(JobId),
    /// Something that the user should read, in one line.
    Note(String),
    /// The same, about a job.
    Remark {
        /// The job.
        job: JobId,
        /// The line.
        text: String,
    },
    /// Send a piece of an object of the job, by [`FromClient::Piece`]. Each is asked for when the one before it has come.
    Fetch {
        /// The job.
        job: JobId,
        /// The object.
        object: ObjectId,
        /// Where the piece begins.
        at: u64,
        /// Its bytes at most.
        most: u32,
    },
    /// A command that is attended to runs.
    Began {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIndex,
        /// The process, on the machine that runs it.
        pid: u32,
    },
    /// What became of a [`FromClient::Ask`], and perhaps a payload with it.
    Answered {
        /// The client's number.
        ask: u64,
        /// The answer.
        answer: Answer,
    },
    /// The job that was asked for; what there is to tell of it follows.
    Attached(Box<Listed>),
    /// The job is being stopped, also if client and coordinator end now. Only to those who have attached.
    Stopping(JobId),
    /// There is no such job, or none any more.
    Unknown(JobId),
    /// The latest of the jobs that are known, in the order in which they came.
    Jobs(Vec<Listed>),
    /// How a worker is. Only to those who watch.
    Watched(Box<Watched>),
    /// How far a job is.
    Progress(Progress),
    /// Outcomes that are durable. Payload: the values, one behind the other.
    Results {
        /// The job.
        job: JobId,
        /// The tasks that have a value, in the order of the payload.
        values: Vec<TaskRange>,
    },
    /// A task has failed for good, and that is durable. Only if the job asks for it.
    Failed {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIndex,
        /// Its story.
        failure: Box<Failure>,
    },
    /// The job has ended. The last message about it.
    Finished(Box<Summary>),
    /// A sign of life.
    Heartbeat,
}

/// How a worker is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// Who.
    pub worker: WorkerId,
    /// Its machine.
    pub host: String,
    /// How many processes it runs.
    pub slots: u16,
    /// What it has said; `None`: it is not connected any more.
    pub status: Option<Status>,
}

/// A job, for whoever has not submitted it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The job.
    pub job: JobId,
    /// What is done with each task, cut where it is long.
    pub work: String,
    /// Where the outcomes are kept.
    pub checkpoint: Option<Location>,
    /// The time of day when it came, in seconds since 1970.
    pub began: u64,
    /// Whether it goes on when its client is gone.
    pub detached: bool,
    /// Whether its client is connected.
    pub followed: bool,
    /// Whether its values go to its client, and to nobody else.
    pub wants_results: bool,
    /// How far it is, or was at its end.
    pub progress: Progress,
    /// Whether it has ended.
    pub ended: bool,
    /// Why it ended before every task had an outcome.
    pub stopped: Option<Stopped>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The job, where a client may follow several over one connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Distinct tasks known so far.
    pub tasks: u64,
    /// Whether the client has sent them all.
    pub complete: bool,
    /// Tasks whose value was in the checkpoint already.
    pub skipped: u64,
    /// Tasks that have got a value.
    pub done: u64,
    /// Tasks that have failed for good.
    pub failed: u64,
    /// Outcomes (values and failures) of this run that are durable.
    pub durable: u64,
    /// Processes that run a task now.
    pub busy: u32,
    /// Processes there are.
    pub slots: u32,
    /// Workers connected.
    pub workers: u32,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// The job.
    pub job: Option<JobId>,
    /// The last count.
    pub progress: Progress,
    /// Failed tasks by reason, the most frequent first.
    pub groups: Vec<FailureGroup>,
    /// Why it ended before every task had an outcome.
    pub stopped: Option<Stopped>,
    /// Deaths of processes and workers, and retries, that the job survived.
    pub incidents: Incidents,
}

/// Failed tasks that share a reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// The reason in one line.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The first few: (key as MessagePack, or a text in its place where it is long; the story, cut).
    pub examples: Vec<(bytes::Bytes, Failure)>,
}

/// What a job survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Incidents {
    /// Attempts that were followed by another.
    pub retries: u64,
    /// Workers lost while they held tasks.
    pub workers_lost: u64,
    /// Outcomes that came when the task had one already.
    pub late: u64,
}

/// Why a job ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The kind, which decides the exit code.
    pub why: StopCause,
    /// One line for the user, with the next step.
    pub message: String,
}

/// The kinds of early end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCause {
    /// The client asked for it.
    Cancelled,
    /// The function cannot be loaded, the tasks are malformed, or the like: exit code 2.
    Input,
    /// The checkpoint is damaged, foreign or in use: exit code 3.
    Checkpoint,
    /// The checkpoint cannot be written: exit code 4.
    Storage,
    /// A defect of the program: exit code 70.
    Internal,
}
