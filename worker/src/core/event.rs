//! What a node hears and what it does about it: the whole vocabulary between the core and the actors.
//!
//! Events are in the past tense, effects are commands. Payloads are opaque bytes that pass through.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use shared::{
    id::{BatchId, JobId, ObjectId, ReportId, Slot, TaskIndex, TaskRange},
    job::JobSpec,
    outcome,
    wire::{
        child::{Difference, Raised},
        kv::{Answer, Request},
        worker::{Batch, FromWorker, Joined, Report},
    },
};

use super::{command::Captured, notice::Notice};

/// One life of a slot: what comes from an earlier life is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// The place in the pool.
    pub slot: Slot,
    /// Counts the processes that lived there.
    pub number: u32,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The link is up; the coordinator waits to hear who we are.
    Connected,
    /// The link is down.
    Disconnected,
    /// The coordinator described a job.
    JobDescribed(Arc<JobSpec>),
    /// No more batches of this job will come.
    JobEnded(JobId),
    /// Tasks were leased to us.
    Granted(Batch),
    /// The coordinator wants back what has not begun.
    Recalled(Vec<BatchId>),
    /// Nobody wants the outcomes of these batches any more.
    Dropped(Vec<BatchId>),
    /// These reports are durable.
    Acknowledged(Vec<ReportId>),
    /// What became of an [`Effect::Ask`].
    Answered {
        /// Its number.
        ask: u64,
        /// The answer.
        answer: Answer,
        /// What comes with it.
        payload: Bytes,
    },
    /// So many bytes of an object are here.
    ObjectGrew {
        /// Which.
        object: ObjectId,
        /// How many, from its beginning.
        have: u64,
    },
    /// An object cannot be had on this machine.
    ObjectFailed {
        /// Which.
        object: ObjectId,
        /// Why, in one line.
        message: String,
    },
    /// The job's client wants a signal sent to its commands.
    SignalAsked {
        /// The job.
        job: JobId,
        /// The signal.
        number: i32,
    },
    /// Somebody wants the node to end in order; said again, at once.
    ShutdownAsked {
        /// How long running tasks may go on.
        grace: Duration,
    },
    /// The pool is there and has no processes.
    PoolStarted,
    /// The pool is gone, and all processes with it.
    PoolLost,
    /// Something about a process.
    Process(Life, ProcessEvent),
    /// How far the processes are.
    Sampled {
        /// When it was read.
        at: Instant,
        /// By process.
        readings: Vec<Reading>,
    },
    /// How full the machine is.
    MemoryRead(Memory),
    /// The time of [`Core::wake_at`](super::Core::wake_at) has come.
    Woken,
    /// The node stood still for so long: stopped, or out of turn.
    Paused(Duration),
}

/// What happened to a process.
#[derive(Debug, Clone)]
pub enum ProcessEvent {
    /// It exists.
    Spawned {
        /// Its id.
        pid: u32,
    },
    /// A child has loaded its function.
    Ready,
    /// A child has other versions of packages than its job's caller.
    Differs(Vec<Difference>),
    /// A child could not load its function, and ends.
    Unloadable {
        /// One line.
        message: String,
        /// More, if there is more.
        traceback: String,
    },
    /// A child has run tasks.
    Ran(Ran),
    /// A child runs no task of this ordinal or later of its current run.
    Stopped {
        /// The first that it does not run.
        at: u64,
    },
    /// A child's task asks the coordinator something, and waits.
    Asked(Request, Bytes),
    /// It is gone; nothing follows in this life.
    Ended(Ending),
}

/// Tasks that a child has run.
#[derive(Debug, Clone, Default)]
pub struct Ran {
    /// The ordinal of the first.
    pub first: u64,
    /// How many, failures included.
    pub count: u32,
    /// Wall time, in microseconds.
    pub busy_us: u64,
    /// Those that raised, by rising ordinal.
    pub failures: Vec<Raised>,
    /// The values of the others.
    pub values: Bytes,
    /// The end of what the process wrote to standard output; only with failures.
    pub stdout: String,
    /// The end of what the process wrote to standard error; only with failures.
    pub stderr: String,
}

/// How full the machine is, in bytes.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// In use.
    pub used: u64,
    /// All there is.
    pub total: u64,
    /// What the processes have of it.
    pub pool: Vec<(Life, u64)>,
    /// How many processes the kernel has ended for want of it since the machine was started, if it says so.
    pub oom_kills: Option<u64>,
}

/// How a process ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// The manner.
    pub how: How,
    /// The beacon's last word: the ordinal of the task that ran, 0 if none did.
    pub running: u64,
    /// What it wrote.
    pub stdout: Captured,
    /// What it wrote.
    pub stderr: Captured,
    /// What it took.
    pub toll: Toll,
}

/// What is known of an ended process's memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Toll {
    /// The most that it had, in bytes; 0 if there was no process.
    pub peak: u64,
    /// How many processes the kernel had ended for want of memory by then; only if it was killed.
    pub oom_kills: Option<u64>,
}

/// The manner of an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// It exited.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// The kernel ended it for want of memory; the most that it had, in bytes.
    Starved(u64),
    /// There never was a process; one line says why.
    NotStarted(String),
    /// Nor will there be one of this program in this folder; one line says why.
    NoProgram(String),
    /// It was taken back before it began.
    Withdrawn,
    /// It was ended because this node lost hold of it, which is nobody's fault.
    Lost,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Exited(code) => write!(f, "it ended with exit code {code}"),
            How::Signalled(number) => {
                write!(f, "it was ended by signal {number} ({})", outcome::signal_name(*number))
            }
            How::Starved(peak) => {
                write!(f, "memory ran out and the kernel ended it (peak {})", outcome::Bytes(*peak))
            }
            How::NotStarted(why) | How::NoProgram(why) => write!(f, "it was not started ({why})"),
            How::Withdrawn => f.write_str("it was taken back before it began"),
            How::Lost => f.write_str("this node lost hold of it"),
        }
    }
}

/// One look at a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Whose.
    pub life: Life,
    /// The ordinal of the task that runs; 0 for none.
    pub running: u64,
    /// The end of the stretch of ordinals that it has bound itself to.
    pub committed: u64,
    /// Resident memory in bytes, if it was read this time.
    pub memory: Option<u64>,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Say who we are; all reports that are kept follow.
    Join(Joined),
    /// Say something to the coordinator. Only asked for while connected.
    Send(FromWorker),
    /// Ask the coordinator what a task asks, under this number. Only asked for while connected.
    Ask(u64, Request, Bytes),
    /// Give a child the answer that its task waits for.
    Answer(Life, Answer, Bytes),
    /// Keep this report, and send it if connected.
    Report(Report, Bytes),
    /// The report is durable: let it go.
    Discard(ReportId),
    /// No task of this batch is left to be run: let its keys go.
    ForgetBatch(BatchId),
    /// Nobody needs this object any more: let its memory go.
    DropObject(ObjectId),
    /// Start a child for this job.
    Start(Life, JobId),
    /// Give a child a run.
    Run(Life, Assignment),
    /// Ask a child to begin no task of this ordinal or later.
    SetStop(Life, u64),
    /// Start a command, as soon as those before it in its slot are gone.
    Execute(Life, JobId, BatchId, TaskIndex),
    /// Take a command back, unless it has begun.
    Withdraw(Life),
    /// Let an idle or loading child end by itself.
    Stop(Life),
    /// Send a signal to a command that is attended to, and to all that it started.
    Signal(Life, i32),
    /// End a process, and all that it started.
    Kill(Life),
    /// Tell the user.
    Say(Notice),
    /// All is said: the node may end.
    End,
}

/// A run: a batch, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The batch.
    pub batch: BatchId,
    /// Its tasks.
    pub tasks: Vec<TaskRange>,
    /// The ordinal of the first.
    pub first: u64,
}

/// Effects in the order in which they are to be carried out.
pub type Effects = Vec<Effect>;
