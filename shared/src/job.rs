//! What a user asks for: a function or a command, the limits of each task, and where the results go.
//!
//! The tasks themselves are not here: they are opaque MessagePack keys in a [`TaskList`](crate::tasks::TaskList).

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    id::JobId,
    location::Location,
    object::{ObjectSpec, Purpose},
    shape::ValueShape,
};

/// A job as its client describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Drawn by the client; sending it again is the same job.
    pub id: JobId,
    /// What is done with each task.
    pub work: Work,
    /// What each task may take.
    pub limits: Limits,
    /// Where the outcomes are kept. Without one they only go back to the client.
    pub checkpoint: Option<CheckpointSpec>,
    /// Tasks per batch; `None` lets the coordinator learn it.
    pub batch_size: Option<u32>,
    /// Whether values are sent to the client as they become durable.
    pub wants_results: bool,
    /// Whether those are, too, that its checkpoint had before the job began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wants_known: bool,
    /// Whether the stories of failed tasks are, each of them: a summary has a few.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wants_failures: bool,
    /// Whether equal keys are tasks of their own, each of them computed: for a stream, whose client cannot keep what
    /// came of all earlier keys. Only without a checkpoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeats: bool,
    /// Whether the job goes on when its client is gone.
    pub detached: bool,
    /// What its function needs besides the tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectSpec>,
}

impl JobSpec {
    /// A job of whose outcomes nobody hears and nothing is kept, with the usual limits.
    #[must_use]
    pub fn new(id: JobId, work: Work) -> JobSpec {
        JobSpec {
            id,
            work,
            limits: Limits::default(),
            checkpoint: None,
            batch_size: None,
            wants_results: false,
            wants_known: false,
            wants_failures: false,
            repeats: false,
            detached: false,
            objects: Vec::new(),
        }
    }

    /// Bytes that each of its processes may map without having them for itself.
    #[must_use]
    pub fn shared_bytes(&self) -> u64 {
        let shared = self.objects.iter().filter(|object| object.purpose == Purpose::Shared);
        shared.map(|object| object.size).sum()
    }

    /// The checkpoint is open: from now on it is the one that is gone on from, and its values have this shape.
    pub fn settle(&mut self, shape: &ValueShape) {
        if let Some(checkpoint) = &mut self.checkpoint {
            if checkpoint.existing == Existing::SetAside {
                checkpoint.existing = Existing::Resume;
            }
            checkpoint.shape.clone_from(shape);
        }
    }
}

/// What is done with each task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// A Python function is called with the task's fields.
    Function(FunctionSpec),
    /// A program is executed with the task's fields in its arguments.
    Command(CommandSpec),
}

/// A Python function by import path, or by value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FunctionSpec {
    /// Dotted module name.
    pub module: String,
    /// Dotted name within the module.
    pub function: String,
    /// Folders put before `sys.path`, the caller's own first; the first is the working directory too, where it exists.
    pub path: Vec<String>,
    /// The interpreter to use; `None` leaves it to the worker.
    pub python: Option<String>,
    /// The pickle of the function, where the module does not have it by that name on every machine; module and function
    /// only name it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickled: Option<Bytes>,
    /// The Python that pickled it, such as `3.11`: another one cannot call what was sent by value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The packages that it refers to, and which versions of them its caller has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<(String, String)>,
    /// Dotted names of modules that one process of each machine imports, of which the others are copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preload: Vec<String>,
}

/// A command line, a template for the task's fields.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CommandSpec {
    /// Program and arguments; `{}`, `{1}` and `{name}` stand for the task's fields.
    pub argv: Vec<String>,
    /// Names of the fields, where the tasks have any.
    pub fields: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// What is laid over the worker's environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// Who attends to it while it runs; `None`: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attended: Option<Attended>,
}

/// A command that somebody attends to while it runs: its client hears when it has begun and may send it signals, and
/// what it writes goes where the client reads it at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attended {
    /// The file that it writes standard output to: mostly a pipe, named by way of `/proc`. Its value has none then.
    pub stdout: String,
    /// The same of standard error.
    pub stderr: String,
}

impl Work {
    /// The identity that a checkpoint remembers: the same text means the same work.
    #[must_use]
    pub fn identity(&self) -> String {
        match self {
            Work::Function(function) => format!("function {}:{}", function.module, function.function),
            Work::Command(command) => format!("command {}", command.argv.join(" ")),
        }
    }
}

/// What a task may take, and how often it is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Further attempts after its process died under it.
    pub death_retries: u16,
    /// Further attempts after it failed by itself (exception, exit code, timeout, out of memory).
    pub error_retries: u16,
    /// Wall time of one attempt.
    pub timeout: Option<Duration>,
    /// Resident memory, in bytes, of the process that runs it.
    pub memory: Option<u64>,
    /// Most tasks of a process's life; then another takes its place. A command has a process of its own anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_per_process: Option<NonZeroU32>,
    /// Resident memory, in bytes, that a process may still have after a task; with more another takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recycle_memory: Option<u64>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            death_retries: 3,
            error_retries: 0,
            timeout: None,
            memory: None,
            tasks_per_process: None,
            recycle_memory: None,
        }
    }
}

/// Where a job's outcomes are kept, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSpec {
    /// The file: an absolute path on the coordinator's machine, or a URL.
    pub path: Location,
    /// What to do with a file that is there already.
    pub existing: Existing,
    /// The longest time between a task's end and its outcome on the disk.
    pub flush: Duration,
    /// Names of the values' columns, distinct; empty if they have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Names of the keys' fields, where the tasks have any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_columns: Vec<String>,
    /// How what is written is stored.
    #[serde(default, skip_serializing_if = "Compression::is_none")]
    pub compress: Compression,
    /// What values have to look like: the client leaves it open, or to anything; the coordinator finds it in the file.
    #[serde(default, skip_serializing_if = "ValueShape::is_open")]
    pub shape: ValueShape,
}

/// How what is written to a checkpoint is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Compression {
    /// As it is.
    #[default]
    None,
    /// Each column as a Zstandard frame.
    Zstd,
}

impl Compression {
    fn is_none(&self) -> bool {
        *self == Compression::None
    }
}

/// What to do with a checkpoint that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Existing {
    /// Go on from it; one of other work is refused.
    Resume,
    /// Go on from it, whatever work it was made by.
    ResumeAnyWork,
    /// Rename it and start a new one.
    SetAside,
}
