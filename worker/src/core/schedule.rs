//! Who starts and who gets what: the queue meets the slots.
//!
//! The oldest batch goes first. A child belongs to one job, so a slot changes its job only when its child is idle or
//! a job with work has no slot at all; then each job has at least one slot in turn.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use shared::id::{BatchId, JobId, TaskIndex, count};

use super::{
    Core,
    event::{Effect, Effects, Life},
    slot::{Command, Place, RUNS, State},
};

/// A task that runs for so long is not waited for by a job without a slot. Each process is looked at twice in that time.
const LONG: Duration = Duration::from_secs(1);

impl Core {
    pub(super) fn schedule(&mut self, now: Instant, out: &mut Effects) {
        self.relax();
        if self.pool_up {
            self.feed(out);
            self.fill(now, out);
            self.vacate(now, out);
            self.order_ahead(now, out);
        }
    }

    /// Gives runs to the children that are ready, first to those that have none.
    fn feed(&mut self, out: &mut Effects) {
        for depth in 0..RUNS {
            for index in 0..self.places.len() {
                let State::Child(child) = &self.places[index].state else { continue };
                if !child.accepts() || child.runs.len() != depth {
                    continue;
                }
                let job = child.job;
                if !self.admits() {
                    return;
                }
                let limit = self.jobs.get(&job).and_then(|job| job.spec.limits.tasks_per_process);
                let room = child.room(limit);
                let Some(piece) = self.leases.take(job, room) else { continue };
                let place = &mut self.places[index];
                let State::Child(child) = &mut place.state else { continue };
                let number = count(&piece.tasks);
                let assignment = child.give(piece.batch, piece.tasks, number, piece.strikes);
                child.leaving = number == room;
                out.push(Effect::Run(place.life, assignment));
            }
        }
    }

    /// Whether more may run: with the memory nearly used up, only if nothing else does.
    fn admits(&self) -> bool {
        let runs = |state: &State| match state {
            State::Child(child) => !child.runs.is_empty(),
            State::Starting(_) | State::Commands(_) => true,
            State::Empty | State::Stopping { .. } => false,
        };
        !self.is_tight() || !self.places.iter().any(|place| runs(&place.state))
    }

    /// Puts something into the empty slots.
    fn fill(&mut self, now: Instant, out: &mut Effects) {
        for index in 0..self.places.len() {
            let place = &self.places[index];
            let waits = place.not_before.is_some_and(|at| at > now);
            if !matches!(place.state, State::Empty) || waits {
                continue;
            }
            if !self.admits() {
                return;
            }
            let Some(job) = self.next_job() else { return };
            let is_command = self.is_command(job);
            let place = &mut self.places[index];
            place.not_before = None;
            if is_command {
                self.execute(index, job, now, out);
            } else {
                place.life.number += 1;
                place.state = State::Starting(job);
                out.push(Effect::Start(place.life, job));
            }
        }
    }

    /// Puts a waiting command of a job into a slot, behind those that are there.
    pub(super) fn execute(&mut self, index: usize, job: JobId, now: Instant, out: &mut Effects) {
        let Some((batch, task)) = self.leases.take_one(job) else { return };
        let place = &mut self.places[index];
        place.life.number += 1;
        let command = Command::new(place.life, job, batch, task, now);
        match &mut place.state {
            State::Commands(commands) => commands.push_back(command),
            State::Empty | State::Starting(_) | State::Child(_) | State::Stopping { .. } => {
                place.state = State::Commands(VecDeque::from([command]));
            }
        }
        out.push(Effect::Execute(place.life, job, batch, task));
    }

    /// Of the jobs that wait, the one with the fewest slots; the latest job, if none waits.
    fn next_job(&self) -> Option<JobId> {
        let fewest = |job: &JobId| (self.places_of(*job), self.places_left_to(*job));
        let waiting = self.waiting_jobs().into_iter().min_by_key(fewest);
        let latest = || {
            let warm = |(id, job): &(&JobId, &super::Job)| {
                job.unloadable.is_none() && !self.is_command(**id) && !self.lacks_objects(**id)
            };
            let jobs = self.jobs.iter().filter(warm);
            jobs.filter_map(|(id, job)| Some((job.granted?, *id))).max().map(|(_, id)| id)
        };
        waiting.or_else(latest)
    }

    /// The jobs with waiting tasks that can be run, in the order of the queue.
    pub(super) fn waiting_jobs(&self) -> Vec<JobId> {
        let mut jobs = Vec::new();
        for piece in &self.leases.queue {
            if !jobs.contains(&piece.job) {
                jobs.push(piece.job);
            }
        }
        jobs.retain(|job| !self.lacks_objects(*job));
        jobs
    }

    fn places_of(&self, job: JobId) -> usize {
        self.places.iter().filter(|place| place.job() == Some(job)).count()
    }

    /// How many slots a job still has that it is to leave.
    fn places_left_to(&self, job: JobId) -> usize {
        let leaves =
            |place: &&Place| matches!(&place.state, State::Child(child) if child.job == job && child.leaving);
        self.places.iter().filter(leaves).count()
    }

    /// Ends children whose slots other jobs need.
    fn vacate(&mut self, now: Instant, out: &mut Effects) {
        let waiting = self.waiting_jobs();
        let mut coming = self.places.iter().filter(|place| place.state.is_coming()).count();
        for job in &waiting {
            let starting = |state: &State| matches!(state, State::Starting(own) if own == job);
            let starting = self.places.iter().filter(|place| starting(&place.state)).count();
            let wanted = self.units(*job).saturating_sub(starting);
            for index in 0..self.places.len() {
                if wanted > coming && self.is_spare(index, &waiting) {
                    self.stop(index, now, out);
                    coming += 1;
                }
            }
            if coming == 0 && self.places_of(*job) == 0 {
                self.ask_to_leave(*job, now);
            }
        }
        for index in 0..self.places.len() {
            if matches!(&self.places[index].state, State::Child(child) if child.leaving && child.runs.is_empty())
            {
                self.stop(index, now, out);
            }
        }
    }

    /// How many slots a job's waiting tasks could use.
    fn units(&self, job: JobId) -> usize {
        let pieces = self.leases.queue.iter().filter(|piece| piece.job == job);
        if self.is_command(job) {
            pieces.map(|piece| count(&piece.tasks) as usize).sum()
        } else {
            pieces.count()
        }
    }

    /// Whether a slot's child is idle and will be for now.
    pub(super) fn is_spare(&self, index: usize, waiting: &[JobId]) -> bool {
        match &self.places[index].state {
            State::Child(child) => {
                let is_free = child.runs.is_empty() && !child.leaving && child.doom.is_none();
                is_free && !waiting.contains(&child.job)
            }
            State::Empty | State::Starting(_) | State::Commands(_) | State::Stopping { .. } => false,
        }
    }

    /// Takes a slot from the job that has most of them, for one that has none, unless one comes free soon anyway.
    fn ask_to_leave(&mut self, needy: JobId, now: Instant) {
        let is_short = |place: &Place| !place.is_long(now);
        let leaves = |place: &Place| match &place.state {
            State::Child(child) => child.leaving,
            State::Commands(_) => true,
            State::Empty | State::Starting(_) | State::Stopping { .. } => false,
        };
        if self.places.iter().any(|place| leaves(place) && is_short(place)) {
            return;
        }
        let somebody_leaves = self.places.iter().any(leaves);
        let candidate = |index: &usize| {
            let place = &self.places[*index];
            let State::Child(child) = &place.state else { return None };
            let may = child.job != needy && !child.leaving && child.doom.is_none();
            let short = is_short(place);
            let room = RUNS.saturating_sub(child.runs.len());
            (may && (short || !somebody_leaves)).then(|| (short, self.places_of(child.job), room))
        };
        let chosen = (0..self.places.len()).filter(|index| candidate(index).is_some()).max_by_key(candidate);
        if let Some(index) = chosen
            && let State::Child(child) = &mut self.places[index].state
        {
            child.leaving = true;
        }
    }
}

impl State {
    /// Whether the slot comes free by itself, without a task that it would wait for.
    fn is_coming(&self) -> bool {
        match self {
            State::Empty | State::Stopping { .. } => true,
            State::Child(child) => child.doom.is_some() || child.leaving && child.runs.is_empty(),
            State::Starting(_) | State::Commands(_) => false,
        }
    }
}

impl Place {
    /// Whether its task has been seen to run for so long that nobody should wait for its end.
    fn is_long(&self, now: Instant) -> bool {
        let since = match &self.state {
            State::Child(child) => (child.sample.running > 0).then_some(child.sample.since),
            State::Commands(commands) => commands.front().map(|command| command.since),
            State::Empty | State::Starting(_) | State::Stopping { .. } => None,
        };
        since.is_some_and(|since| now.saturating_duration_since(since) >= LONG)
    }
}

impl Command {
    fn new(life: Life, job: JobId, batch: BatchId, task: TaskIndex, now: Instant) -> Command {
        let (withdrawn, doom, dropped, warned) = (false, None, false, false);
        Command { life, job, batch, task, pid: 0, since: now, withdrawn, doom, dropped, peak: 0, warned }
    }
}
