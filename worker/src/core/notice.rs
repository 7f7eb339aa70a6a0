//! What a node tells its user: one line each, with the next step where there is one.

use std::{fmt, time::Duration};

use shared::{
    id::{BatchId, JobId, Slot, TaskIndex},
    outcome::{Bytes, Cause},
};

/// Something worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The machine's memory is nearly used up.
    MemoryScarce {
        /// In use.
        percent: u8,
    },
    /// It is not any more.
    MemoryFreed {
        /// In use.
        percent: u8,
    },
    /// A task was stopped, since the machine needs its memory.
    TaskSqueezed {
        /// Where.
        slot: Slot,
        /// Which.
        task: TaskIndex,
        /// What its process had, in bytes.
        memory: u64,
        /// In use on the machine.
        percent: u8,
    },
    /// A task runs for very long.
    TaskStuck {
        /// Where.
        slot: Slot,
        /// Its job.
        job: JobId,
        /// Its batch.
        batch: BatchId,
        /// Which.
        task: TaskIndex,
        /// How long.
        running: Duration,
    },
    /// A process died under a task.
    TaskKilled {
        /// Where.
        slot: Slot,
        /// Which.
        task: TaskIndex,
        /// How.
        cause: Cause,
    },
    /// A process ended, and no task is to blame.
    ProcessLost {
        /// Where.
        slot: Slot,
        /// How.
        end: String,
    },
    /// Further ends of these two kinds, which were not told one by one.
    MoreLost {
        /// How many.
        count: u64,
        /// Over how long.
        within: Duration,
    },
    /// A child said what makes no sense, and was ended.
    ProtocolBroken {
        /// Where.
        slot: Slot,
        /// What.
        what: String,
    },
    /// A job's work cannot be started on this machine.
    JobUnloadable {
        /// The job.
        job: JobId,
        /// Why, in one line.
        message: String,
    },
    /// A batch of a job that was never described.
    JobUnknown(JobId),
    /// Commands are being stopped because their lease has run out.
    CommandsCutOff,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::MemoryScarce { percent } => {
                write!(f, "{percent} % of the machine's memory is in use: new tasks wait until it is less")
            }
            Notice::MemoryFreed { percent } => {
                write!(f, "{percent} % of the machine's memory is in use: going on")
            }
            Notice::TaskSqueezed { slot, task, memory, percent } => {
                let memory = Bytes(*memory);
                write!(
                    f,
                    "{percent} % of the machine's memory is in use: task {task} in slot {slot} ({memory}) is stopped, to be run again alone"
                )
            }
            Notice::TaskStuck { slot, task, running, .. } => {
                let seconds = running.as_secs();
                write!(f, "task {task} has been running for {seconds} s in slot {slot}; --timeout limits it")
            }
            Notice::TaskKilled { slot, task, cause } => {
                write!(f, "the process of slot {slot} ended under task {task}: {cause}")
            }
            Notice::ProcessLost { slot, end } => {
                write!(f, "the process of slot {slot} was lost: {end}")
            }
            Notice::MoreLost { count, within } => {
                let processes = if *count == 1 { "process was" } else { "processes were" };
                write!(f, "{count} more {processes} lost in the last {} s", within.as_secs())
            }
            Notice::ProtocolBroken { slot, what } => {
                write!(f, "the process of slot {slot} broke the protocol and is ended: {what}")
            }
            Notice::JobUnloadable { job, message } => {
                write!(f, "job {job} cannot be run on this machine: {message}")
            }
            Notice::JobUnknown(job) => write!(f, "tasks of the unknown job {job} came and are handed back"),
            Notice::CommandsCutOff => {
                f.write_str("no coordinator for a whole lease: running commands are stopped")
            }
        }
    }
}
