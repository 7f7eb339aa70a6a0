//! A machine whose memory is nearly used up: nothing new is begun beside what runs, and at last a task is stopped, to be
//! run again alone.
//!
//! It is nobody's fault, so nobody is charged. Invariant: one task always goes on.

use std::time::Instant;

use shared::id::{BatchId, TaskIndex};

use super::{
    Core,
    event::{Effects, Life, Memory},
    notice::Notice,
    slot::{Doom, State},
};

/// Percent of the machine's memory in use above which nothing new is run, and below which it is again.
const SCARCE: (u64, u64) = (90, 85);

/// Percent above which a task is stopped.
const CRITICAL: u64 = 95;

/// The part of all memory that a task has to have, at least, for its end to be of use.
const OF_USE: u64 = 20;

/// A task that runs.
struct Running {
    life: Life,
    /// What it is in its process: 0 in that of a command.
    ordinal: u64,
    batch: BatchId,
    task: TaskIndex,
    since: Instant,
    memory: u64,
}

impl Core {
    pub(super) fn memory_read(&mut self, memory: &Memory, now: Instant, out: &mut Effects) {
        if let Some(count) = memory.oom_kills {
            self.oom_kills.read(count, now);
        }
        self.objects.free = Some(memory.total.saturating_sub(memory.used));
        let percent = (u128::from(memory.used) * 100 / u128::from(memory.total.max(1))).min(100) as u8;
        if !self.scarce && u64::from(percent) >= SCARCE.0 {
            self.scarce = true;
            out.push(super::Effect::Say(Notice::MemoryScarce { percent }));
        } else if self.scarce && u64::from(percent) < SCARCE.1 {
            self.scarce = false;
            out.push(super::Effect::Say(Notice::MemoryFreed { percent }));
        }
        if u64::from(percent) >= CRITICAL {
            self.squeeze(memory, percent, now, out);
        }
    }

    /// Whether only one task may run at a time.
    pub(super) fn is_tight(&self) -> bool {
        self.scarce || self.squeezed.is_some()
    }

    /// Lets others run again beside each other once the task that was stopped for them has ended.
    pub(super) fn relax(&mut self) {
        if self.squeezed.is_some_and(|(batch, task)| !self.has(batch, task)) {
            self.squeezed = None;
        }
    }

    /// Stops, of the tasks that have at least half as much memory as the largest one, the one that has begun last: so
    /// much memory is won, and little work is lost.
    fn squeeze(&mut self, memory: &Memory, percent: u8, now: Instant, out: &mut Effects) {
        let running = self.running(memory);
        let largest = running.iter().map(|task| task.memory).max().unwrap_or(0);
        // While one is on its way out, or for a task that runs alone, there is nothing to do but to wait.
        if running.len() < 2 || self.is_being_squeezed() || largest < memory.total / OF_USE {
            return;
        }
        let large = running.into_iter().filter(|task| task.memory >= largest.div_ceil(2));
        let Some(Running { life, ordinal, batch, task, memory, .. }) = large.max_by_key(|task| task.since)
        else {
            return;
        };
        self.squeezed = Some((batch, task));
        out.push(super::Effect::Say(Notice::TaskSqueezed { slot: life.slot, task, memory, percent }));
        self.condemn(life, ordinal, Doom::Squeezed, out);
        // What waits behind the tasks of others would be begun beside them.
        for index in 0..self.places.len() {
            if let State::Child(child) = &self.places[index].state
                && child.doom.is_none()
            {
                let at = child.stoppable_from();
                self.ask_stop(index, at, false, now, out);
            }
        }
    }

    fn running(&self, memory: &Memory) -> Vec<Running> {
        let of = |life: Life| memory.pool.iter().find(|(other, _)| *other == life).map(|(_, memory)| *memory);
        let mut found = Vec::new();
        for place in &self.places {
            match &place.state {
                State::Child(child) if child.doom.is_none() => {
                    let (ordinal, since, life) = (child.sample.running, child.sample.since, place.life);
                    let held = child.runs.iter().filter(|run| !run.dropped);
                    let task =
                        held.filter_map(|run| Some((run.batch, run.task(run.position(ordinal)?)))).next();
                    found.extend(task.zip(of(life)).map(|((batch, task), memory)| Running {
                        life,
                        ordinal,
                        batch,
                        task,
                        since,
                        memory,
                    }));
                }
                State::Commands(commands) => {
                    let first = commands.front().filter(|command| command.pid != 0 && command.doom.is_none());
                    found.extend(first.filter(|command| !command.dropped).and_then(|command| {
                        let (life, ordinal, batch, task) = (command.life, 0, command.batch, command.task);
                        Some(Running { life, ordinal, batch, task, since: command.since, memory: of(life)? })
                    }));
                }
                State::Child(_) | State::Empty | State::Starting(_) | State::Stopping { .. } => {}
            }
        }
        found
    }

    fn is_being_squeezed(&self) -> bool {
        self.places.iter().any(|place| match &place.state {
            State::Child(child) => matches!(child.doom, Some((_, Doom::Squeezed))),
            State::Commands(commands) => commands.iter().any(|command| command.doom == Some(Doom::Squeezed)),
            State::Empty | State::Starting(_) | State::Stopping { .. } => false,
        })
    }

    /// Whether a task waits here or is in the hands of a process.
    fn has(&self, batch: BatchId, task: TaskIndex) -> bool {
        let among = |tasks: &[shared::id::TaskRange]| super::ranges::position(tasks, task).is_some();
        let waits = self.leases.queue.iter().any(|piece| piece.batch == batch && among(&piece.tasks));
        let runs = |state: &State| match state {
            State::Child(child) => child.runs.iter().any(|run| run.batch == batch && among(&run.rest())),
            State::Commands(commands) => {
                commands.iter().any(|command| (command.batch, command.task) == (batch, task))
            }
            State::Empty | State::Starting(_) | State::Stopping { .. } => false,
        };
        waits || self.places.iter().any(|place| runs(&place.state))
    }
}
