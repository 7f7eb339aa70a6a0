//! A slot of the pool and what lives in it. Knows ordinals: which task is meant by a child's count of its tasks.
//!
//! Invariants: a child runs its runs in order; of a run, the first `done` tasks are reported, those from `kept` on
//! have been taken back, those between are in the child's hands.

use std::{collections::VecDeque, num::NonZeroU32, time::Instant};

use shared::{
    id::{BatchId, JobId, Slot, TaskIndex, TaskRange},
    outcome::Cause,
};

use super::{
    event::{Assignment, Life},
    ranges,
};

/// Runs that a child may hold: the one that it works on, and the next.
pub const RUNS: usize = 2;

/// The stop word of a child that may run all that it has.
pub const NO_STOP: u64 = u64::MAX;

/// A place for one process.
#[derive(Debug)]
pub struct Place {
    /// The process that lives or lived here last, or is to.
    pub life: Life,
    /// A child's id, 0 before it has one.
    pub pid: u32,
    /// Children in a row that died before they were ready.
    pub early_deaths: u32,
    /// Nothing is started here before this.
    pub not_before: Option<Instant>,
    /// What lives here.
    pub state: State,
}

/// What lives in a slot.
#[derive(Debug)]
pub enum State {
    /// Nothing.
    Empty,
    /// A child that loads its function.
    Starting(JobId),
    /// A child that has loaded its function.
    Child(Child),
    /// Commands, never none: the first runs, the others wait behind it.
    Commands(VecDeque<Command>),
    /// A process that nobody needs any more.
    Stopping {
        /// Since when.
        since: Instant,
        /// Whether its patience is over.
        killed: bool,
    },
}

/// A child that has loaded its function.
#[derive(Debug)]
pub struct Child {
    pub job: JobId,
    pub runs: VecDeque<Run>,
    /// The ordinal of the next task that it will be given.
    pub next: u64,
    pub stop: Option<Stop>,
    /// Why it is being killed, and the ordinal of the task that is to blame (0 for none).
    pub doom: Option<(u64, Doom)>,
    /// It gets no more work: another job needs the slot, or it has had its share.
    pub leaving: bool,
    pub weighing: Weighing,
    pub sample: Sample,
}

/// Whether a child's memory is being looked at between two tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighing {
    /// It may be from then on.
    From(Instant),
    /// It is given nothing until it has been.
    Asked,
}

/// What the last readings said.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub running: u64,
    /// When `running` was first seen.
    pub since: Instant,
    pub committed: u64,
    /// Largest resident memory seen, in bytes.
    pub peak: u64,
    /// The last task that the user was warned of.
    pub warned: u64,
}

/// A bound that was set on a child.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// It begins no task of this ordinal or later.
    pub at: u64,
    /// When it was set.
    pub asked: Instant,
    /// It had gone beyond by then: only its own answer can say more.
    pub passed: bool,
    /// Whether other slots wait for what comes back.
    pub steal: bool,
}

/// Why a process is being killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doom {
    /// The fault of the task.
    Guilty(Cause),
    /// What it said makes no sense.
    BrokeProtocol,
    /// Nobody's fault: its tasks go back.
    Withdrawn,
    /// The machine needs its memory: its tasks wait again.
    Squeezed,
}

/// A command.
#[derive(Debug)]
pub struct Command {
    pub life: Life,
    pub job: JobId,
    pub batch: BatchId,
    pub task: TaskIndex,
    /// Its id, 0 before it has one.
    pub pid: u32,
    /// When it was heard to have begun; until then, when it was ordered.
    pub since: Instant,
    /// It has been asked not to begin.
    pub withdrawn: bool,
    pub doom: Option<Doom>,
    /// Its outcome is not wanted any more.
    pub dropped: bool,
    pub peak: u64,
    pub warned: bool,
}

/// Tasks in a child's hands.
#[derive(Debug)]
pub struct Run {
    pub batch: BatchId,
    pub tasks: Vec<TaskRange>,
    /// The ordinal of the first one.
    pub first: u64,
    pub count: u32,
    pub done: u32,
    pub kept: u32,
    /// Processes that died over tasks of this run without a task to blame.
    pub strikes: u32,
    /// Its outcomes are not wanted any more.
    pub dropped: bool,
}

impl Place {
    pub fn new(slot: Slot) -> Place {
        let life = Life { slot, number: 0 };
        Place { life, pid: 0, early_deaths: 0, not_before: None, state: State::Empty }
    }

    /// The job whose process lives here and may get work.
    pub fn job(&self) -> Option<JobId> {
        match &self.state {
            State::Starting(job) => Some(*job),
            State::Child(child) if child.leaving || child.doom.is_some() => None,
            State::Child(child) => Some(child.job),
            State::Commands(commands) => commands.front().map(|command| command.job),
            State::Empty | State::Stopping { .. } => None,
        }
    }

    /// The processes that live here or are about to.
    pub fn lives(&self) -> Vec<Life> {
        match &self.state {
            State::Commands(commands) => commands.iter().map(|command| command.life).collect(),
            State::Starting(_) | State::Child(_) | State::Stopping { .. } => vec![self.life],
            State::Empty => Vec::new(),
        }
    }

    /// Whether a process lives here or is about to; what others have to say is stale.
    pub fn holds(&self, life: Life) -> bool {
        match &self.state {
            State::Commands(commands) => commands.iter().any(|command| command.life == life),
            State::Starting(_) | State::Child(_) | State::Stopping { .. } | State::Empty => self.life == life,
        }
    }

    /// A command that lives here or is about to.
    pub fn command(&mut self, life: Life) -> Option<&mut Command> {
        match &mut self.state {
            State::Commands(commands) => commands.iter_mut().find(|command| command.life == life),
            State::Starting(_) | State::Child(_) | State::Stopping { .. } | State::Empty => None,
        }
    }

    /// Takes a command out that has ended; those behind it move up.
    pub fn take_command(&mut self, life: Life) -> Option<Command> {
        let State::Commands(commands) = &mut self.state else { return None };
        let at = commands.iter().position(|command| command.life == life)?;
        let ended = commands.remove(at);
        if commands.is_empty() {
            self.state = State::Empty;
        }
        ended
    }

    /// Whether a task runs here.
    pub fn is_busy(&self) -> bool {
        match &self.state {
            State::Child(child) => !child.runs.is_empty(),
            State::Commands(_) => true,
            State::Empty | State::Starting(_) | State::Stopping { .. } => false,
        }
    }
}

impl Child {
    pub fn new(job: JobId, now: Instant) -> Child {
        let sample = Sample { running: 0, since: now, committed: 0, peak: 0, warned: 0 };
        let weighing = Weighing::From(now);
        Child {
            job,
            runs: VecDeque::new(),
            next: 1,
            stop: None,
            doom: None,
            leaving: false,
            weighing,
            sample,
        }
    }

    /// Puts a run into the child's hands.
    pub fn give(&mut self, batch: BatchId, tasks: Vec<TaskRange>, count: u32, strikes: u32) -> Assignment {
        let first = self.next;
        self.next += u64::from(count);
        let assignment = Assignment { batch, tasks: tasks.clone(), first };
        self.runs.push_back(Run {
            batch,
            tasks,
            first,
            count,
            done: 0,
            kept: count,
            strikes,
            dropped: false,
        });
        assignment
    }

    /// Whether it may be given a run now.
    pub fn accepts(&self) -> bool {
        let is_free = self.stop.is_none() && self.weighing != Weighing::Asked;
        is_free && self.doom.is_none() && !self.leaving && self.runs.len() < RUNS
    }

    /// How many tasks it may still be given, of so many in its life.
    pub fn room(&self, limit: Option<NonZeroU32>) -> u32 {
        let given = self.next - 1;
        limit.map_or(u32::MAX, |limit| u64::from(limit.get()).saturating_sub(given) as u32)
    }

    /// The first ordinal that it can still be stopped at.
    pub fn stoppable_from(&self) -> u64 {
        let begun = self.runs.front().map_or(self.next, |run| run.first + u64::from(run.done));
        self.sample.committed.max(begun).max(self.sample.running + 1).min(self.next)
    }
}

impl Run {
    /// Position of an ordinal among the tasks in the child's hands.
    pub fn position(&self, ordinal: u64) -> Option<u32> {
        let position = u32::try_from(ordinal.checked_sub(self.first)?).ok()?;
        (self.done..self.kept).contains(&position).then_some(position)
    }

    pub fn task(&self, position: u32) -> TaskIndex {
        ranges::nth(&self.tasks, position).expect("a position within a run has a task")
    }

    /// The tasks in the child's hands.
    pub fn rest(&self) -> Vec<TaskRange> {
        ranges::slice(&self.tasks, self.done, self.kept.max(self.done))
    }

    /// Takes back the tasks of this ordinal and later ones, as far as they are in the child's hands.
    pub fn withdraw(&mut self, from: u64) -> Vec<TaskRange> {
        let position = from.saturating_sub(self.first).min(u64::from(self.kept)) as u32;
        let position = position.max(self.done);
        let taken = ranges::slice(&self.tasks, position, self.kept);
        self.kept = position.min(self.kept);
        taken
    }
}
