//! Limits that somebody has to watch: time and memory of each task, patience, the lease.

use std::time::{Duration, Instant};

use shared::outcome::Cause;

use super::{
    Core,
    closing::PATIENCE,
    event::{Effect, Effects, Life, Reading},
    notice::Notice,
    slot::{Child, Command, Doom, Place, State},
};

/// A task that runs for so long is worth a line.
const STUCK: Duration = Duration::from_secs(60);

/// What is to be done with a process after a look at it.
enum Sentence {
    Spare,
    Condemn(Cause),
    /// It is idle and has grown beyond the limit: a fresh one takes its place.
    Replace,
}

impl Core {
    /// Readings of processes, taken at `at`.
    pub(super) fn sampled(&mut self, readings: &[Reading], at: Instant, now: Instant, out: &mut Effects) {
        for reading in readings {
            let index = usize::from(reading.life.slot.0);
            let is_current = |place: &&mut Place| place.holds(reading.life);
            let Some(place) = self.places.get_mut(index).filter(is_current) else { continue };
            let job = if let Some(command) = place.command(reading.life) {
                command.peak = command.peak.max(reading.memory.unwrap_or(0));
                command.job
            } else if let State::Child(child) = &mut place.state {
                child.sample.see(reading, at);
                child.job
            } else {
                continue;
            };
            let Some(job) = self.jobs.get(&job) else { continue };
            let limits = &job.spec.limits;
            let own = reading.memory.map(|used| used.saturating_sub(job.spec.shared_bytes()));
            let over = limits.memory.zip(own).filter(|(limit, used)| used > limit);
            let grown = limits.recycle_memory.zip(own).map(|(limit, used)| used > limit);
            match self.judge(index, reading, limits.timeout, over, at) {
                Sentence::Spare if self.weigh(index, reading, grown, at, now, out) => {}
                Sentence::Spare => self.warn_if_stuck(reading.life, at, out),
                Sentence::Condemn(cause) => {
                    self.condemn(reading.life, reading.running, Doom::Guilty(cause), out)
                }
                Sentence::Replace => self.stop(index, now, out),
            }
            self.seen_committed(index, reading.committed, at, out);
        }
    }

    fn judge(
        &self,
        index: usize,
        reading: &Reading,
        timeout: Option<Duration>,
        over: Option<(u64, u64)>,
        at: Instant,
    ) -> Sentence {
        let (since, idle) = match &self.places[index].state {
            State::Child(child) => {
                let held = child.runs.iter().any(|run| run.position(reading.running).is_some());
                (held.then_some(child.sample.since), child.runs.is_empty())
            }
            State::Commands(commands) => {
                let command = commands.iter().find(|command| command.life == reading.life);
                (command.map(|command| command.since), false)
            }
            State::Empty | State::Starting(_) | State::Stopping { .. } => return Sentence::Spare,
        };
        match (since, over) {
            (Some(_), Some((limit, used))) => Sentence::Condemn(Cause::OutOfMemory(limit, used)),
            (None, Some(_)) if idle => Sentence::Replace,
            (Some(since), None) => {
                match timeout.filter(|limit| at.saturating_duration_since(since) >= *limit) {
                    Some(limit) => Sentence::Condemn(Cause::Timeout(limit.as_millis() as u64)),
                    None => Sentence::Spare,
                }
            }
            (None, _) => Sentence::Spare,
        }
    }

    /// What ended while nobody looked has not run until now: the pause counts for no limit.
    pub(super) fn paused(&mut self, lasted: Duration) {
        for place in &mut self.places {
            match &mut place.state {
                State::Child(child) => child.sample.since += lasted,
                State::Commands(commands) => commands.iter_mut().for_each(|command| command.since += lasted),
                State::Empty | State::Starting(_) | State::Stopping { .. } => {}
            }
        }
    }

    /// When the time of the task that runs in a slot will be over, as far as is known.
    pub(super) fn timeout_at(&self, place: &Place) -> Option<Instant> {
        let (job, since) = match &place.state {
            State::Child(child) if child.doom.is_none() && child.sample.running > 0 => {
                (child.job, child.sample.since)
            }
            State::Commands(commands) if commands[0].doom.is_none() => (commands[0].job, commands[0].since),
            State::Child(_)
            | State::Commands(_)
            | State::Empty
            | State::Starting(_)
            | State::Stopping { .. } => return None,
        };
        Some(since + self.jobs.get(&job)?.spec.limits.timeout?)
    }

    /// Kills a process, once, for a reason.
    pub(super) fn condemn(&mut self, life: Life, ordinal: u64, doom: Doom, out: &mut Effects) {
        let place = &mut self.places[usize::from(life.slot.0)];
        let is_new = match &mut place.state {
            State::Child(Child { doom: none @ None, .. }) => none.replace((ordinal, doom)).is_none(),
            State::Commands(_) => match place.command(life) {
                Some(Command { doom: none @ None, .. }) => none.replace(doom).is_none(),
                Some(_) | None => false,
            },
            State::Child(_) | State::Empty | State::Starting(_) | State::Stopping { .. } => false,
        };
        if is_new {
            out.push(Effect::Kill(life));
        }
    }

    /// Kills all that runs in some places and is nobody's fault.
    pub(super) fn condemn_all(&mut self, wanted: impl Fn(&State) -> bool, out: &mut Effects) {
        let places = self.places.iter().filter(|place| wanted(&place.state));
        let lives: Vec<Life> = places.flat_map(Place::lives).collect();
        lives.into_iter().for_each(|life| self.condemn(life, 0, Doom::Withdrawn, out));
    }

    fn warn_if_stuck(&mut self, life: Life, at: Instant, out: &mut Effects) {
        let place = &mut self.places[usize::from(life.slot.0)];
        let slot = life.slot;
        let (job, since, batch, task) = match &mut place.state {
            State::Child(child) => {
                let ordinal = child.sample.running;
                let since = child.sample.since;
                let is_due = child.sample.warned != ordinal && at.saturating_duration_since(since) >= STUCK;
                let found =
                    child.runs.iter().find_map(|run| Some((run.batch, run.task(run.position(ordinal)?))));
                let Some((batch, task)) = found.filter(|_| is_due) else { return };
                child.sample.warned = ordinal;
                (child.job, since, batch, task)
            }
            State::Commands(_) => {
                let is_due = |command: &&mut Command| {
                    !command.warned && at.saturating_duration_since(command.since) >= STUCK
                };
                let Some(command) = place.command(life).filter(is_due) else { return };
                command.warned = true;
                (command.job, command.since, command.batch, command.task)
            }
            State::Empty | State::Starting(_) | State::Stopping { .. } => return,
        };
        let running = at.saturating_duration_since(since);
        out.push(Effect::Say(Notice::TaskStuck { slot, job, batch, task, running }));
    }

    /// Kills processes that were asked to end and did not.
    pub(super) fn lose_patience(&mut self, now: Instant, out: &mut Effects) {
        for place in &mut self.places {
            if let State::Stopping { since, killed: killed @ false } = &mut place.state
                && *since + PATIENCE <= now
            {
                *killed = true;
                out.push(Effect::Kill(place.life));
            }
        }
    }

    /// When commands have to stop for want of a coordinator.
    pub(super) fn cut_off_at(&self) -> Option<Instant> {
        let runs = |state: &State| match state {
            State::Commands(commands) => commands.iter().any(|command| command.doom.is_none()),
            State::Child(_) | State::Empty | State::Starting(_) | State::Stopping { .. } => false,
        };
        let running = self.places.iter().any(|place| runs(&place.state));
        let waiting = self.leases.queue.iter().any(|piece| self.is_command(piece.job));
        self.lost_at.filter(|_| running || waiting).map(|at| at + self.settings.lease)
    }

    /// Stops commands one lease after the coordinator was lost: others may have got them by now.
    pub(super) fn cut_off(&mut self, now: Instant, out: &mut Effects) {
        if self.cut_off_at().is_none_or(|at| at > now) {
            return;
        }
        out.push(Effect::Say(Notice::CommandsCutOff));
        let jobs: Vec<_> = self.jobs.keys().copied().filter(|job| self.is_command(*job)).collect();
        for piece in self.leases.take_where(|piece| jobs.contains(&piece.job)) {
            self.hand_back(piece.batch, piece.tasks, out);
        }
        self.condemn_all(|state| matches!(state, State::Commands(_)), out);
    }
}

impl super::slot::Sample {
    fn see(&mut self, reading: &Reading, at: Instant) {
        if self.running != reading.running {
            self.running = reading.running;
            self.since = at;
        }
        self.committed = self.committed.max(reading.committed);
        self.peak = self.peak.max(reading.memory.unwrap_or(0));
    }
}
