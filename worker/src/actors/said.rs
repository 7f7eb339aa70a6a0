//! What the actors of a node say to each other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Message, Recipient};
use bytes::Bytes;
use shared::{
    id::JobId,
    job::JobSpec,
    wire::{
        kv::Answer,
        worker::{Detail, FromWorker, ToWorker},
    },
};
use tokio::sync::mpsc;

use crate::{
    core::{
        Life, ProcessEvent,
        event::{How, Reading, Toll},
    },
    process::event::KeeperEvent,
};

/// Where messages to the coordinator are put; they leave in that order. Dropping it ends the connection in order.
pub type Outbox = mpsc::UnboundedSender<(FromWorker, Bytes)>;

/// To a node, from whoever holds its address: end in order; said again, at once.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Shutdown {
    /// How long running tasks may go on.
    pub grace: Duration,
}

/// From a node, to whoever embeds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Alarm {
    /// The process was sent this signal.
    Signal(i32),
    /// The keeper died, and all processes with it: the engine has to end.
    KeeperLost,
}

/// Whoever embeds a node and hears its alarms.
pub type Alarms = Recipient<Alarm>;

/// From the keeper, to the node and on to the pool.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Kept(pub KeeperEvent);

/// From the link, to the node.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Linked {
    /// There is a coordinator.
    Up {
        /// The way to it.
        outbox: Outbox,
        /// How long silence is waited for.
        lease: Duration,
    },
    /// It said something.
    Told(ToWorker, Bytes),
    /// There is none any more.
    Down,
    /// It does not want us, and trying again is of no use.
    Refused(String),
}

/// From the pool, to the node: there is a pool without processes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PoolReady;

/// From a process, to the node.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Happened(pub Life, pub ProcessEvent);

/// From the monitor, to the node.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Observed {
    /// Readings of processes.
    Processes {
        /// When they were taken.
        at: Instant,
        /// By process.
        readings: Vec<Reading>,
    },
    /// A reading of the machine.
    Machine {
        /// CPU use, 0 to 100.
        cpu_percent: f32,
        /// Memory in use, in bytes.
        used: u64,
        /// All memory, in bytes.
        total: u64,
        /// Resident memory of the processes, in bytes.
        pool: Vec<(Life, u64)>,
        /// How many processes the kernel has ended for want of memory, if it says so.
        oom_kills: Option<u64>,
        /// The rest.
        detail: Box<Detail>,
    },
}

/// From the node, to the monitor: whether tasks have limits that have to be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Watch {
    /// Some have a time limit.
    pub time: bool,
    /// Some have a memory limit.
    pub memory: bool,
}

/// From the node, to the pool.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Order {
    /// Start a child for this job.
    Start(Life, Arc<JobSpec>),
    /// Start a command for the task with this key, when those before it in its slot are gone.
    Execute(Life, Arc<JobSpec>, Bytes),
    /// Something for a process that lives.
    Process(Life, ProcessOrder),
    /// Nothing of this job will be started any more.
    Forget(JobId),
}

/// To a process.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum ProcessOrder {
    /// Run these tasks.
    Run {
        /// The ordinal of the first one.
        first: u64,
        /// How many.
        count: u32,
        /// One MessagePack array of keys.
        keys: Bytes,
    },
    /// Here is what your task has asked for.
    Answer(Answer, Bytes),
    /// End when idle.
    Stop,
    /// The keeper says that it exists.
    Begun {
        /// Its id.
        pid: u32,
    },
    /// Be sent a signal, with all that it started.
    Signal(i32),
    /// Do not begin, if it has not.
    Withdraw,
    /// Be ended, with all that it started.
    Kill,
    /// The keeper says that it is gone.
    Gone(How, Toll),
}
