//! Who starts and who gets what: the queue meets the slots.
//!
//! The oldest batch goes first. A child belongs to one job, so a slot changes its job only when its child is idle or
//! a job with work has no slot at all; then each job has at least one slot in turn.

use std::time::Instant;

use shared::id::{BatchId, JobId, count};

use super::{
    Core,
    event::{Effect, Effects},
    slot::{Command, RUNS, State},
};

impl Core {
    pub(super) fn schedule(&mut self, now: Instant, out: &mut Effects) {
        if self.pool_up {
            self.feed(out);
            self.fill(now, out);
            self.vacate(now, out);
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
                let Some(piece) = self.leases.take(job) else { continue };
                let place = &mut self.places[index];
                let State::Child(child) = &mut place.state else { continue };
                let number = count(&piece.tasks);
                let assignment = child.give(piece.batch, piece.tasks, number, piece.strikes);
                out.push(Effect::Run(place.life, assignment));
            }
        }
    }

    /// Whether more may run: with the memory nearly used up, only if nothing else does.
    fn admits(&self) -> bool {
        let runs = |state: &State| match state {
            State::Child(child) => !child.runs.is_empty(),
            State::Starting(_) | State::Command(_) => true,
            State::Empty | State::Stopping { .. } => false,
        };
        !self.scarce || !self.places.iter().any(|place| runs(&place.state))
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
            place.life.number += 1;
            place.not_before = None;
            if is_command {
                let Some((batch, task)) = self.leases.take_one(job) else { continue };
                place.state = State::Command(Command::new(job, batch, task, now));
                out.push(Effect::Execute(place.life, job, batch, task));
            } else {
                place.state = State::Starting(job);
                out.push(Effect::Start(place.life, job));
            }
        }
    }

    /// Of the jobs that wait, the one with the fewest slots; the latest job, if none waits.
    fn next_job(&self) -> Option<JobId> {
        let waiting = self.waiting_jobs().into_iter().min_by_key(|job| self.places_of(*job));
        let latest = || {
            let warm = |(id, job): &(&JobId, &super::Job)| job.unloadable.is_none() && !self.is_command(**id);
            let jobs = self.jobs.iter().filter(warm);
            jobs.filter_map(|(id, job)| Some((job.granted?, *id))).max().map(|(_, id)| id)
        };
        waiting.or_else(latest)
    }

    /// The jobs with waiting tasks, in the order of the queue.
    fn waiting_jobs(&self) -> Vec<JobId> {
        let mut jobs = Vec::new();
        for piece in &self.leases.queue {
            if !jobs.contains(&piece.job) {
                jobs.push(piece.job);
            }
        }
        jobs
    }

    fn places_of(&self, job: JobId) -> usize {
        self.places.iter().filter(|place| place.job() == Some(job)).count()
    }

    /// Ends children whose slots other jobs need.
    fn vacate(&mut self, now: Instant, out: &mut Effects) {
        let waiting = self.waiting_jobs();
        let is_coming = |state: &State| match state {
            State::Empty | State::Stopping { .. } => true,
            State::Child(child) => child.leaving || child.doom.is_some(),
            State::Starting(_) | State::Command(_) => false,
        };
        let mut coming = self.places.iter().filter(|place| is_coming(&place.state)).count();
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
            let runs_commands = self.places.iter().any(|place| matches!(place.state, State::Command(_)));
            if coming == 0 && !runs_commands && self.places_of(*job) == 0 {
                coming += usize::from(self.ask_to_leave(*job));
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
    fn is_spare(&self, index: usize, waiting: &[JobId]) -> bool {
        match &self.places[index].state {
            State::Child(child) => {
                let is_free = child.runs.is_empty() && !child.leaving && child.doom.is_none();
                is_free && !waiting.contains(&child.job)
            }
            State::Empty | State::Starting(_) | State::Command(_) | State::Stopping { .. } => false,
        }
    }

    /// Takes a slot from the job that has most of them, for one that has none.
    fn ask_to_leave(&mut self, needy: JobId) -> bool {
        let candidate = |index: &usize| match &self.places[*index].state {
            State::Child(child) if child.job != needy && !child.leaving && child.doom.is_none() => {
                Some((self.places_of(child.job), RUNS.saturating_sub(child.runs.len())))
            }
            State::Child(_)
            | State::Empty
            | State::Starting(_)
            | State::Command(_)
            | State::Stopping { .. } => None,
        };
        let chosen = (0..self.places.len()).filter(|index| candidate(index).is_some()).max_by_key(candidate);
        let Some(index) = chosen else { return false };
        if let State::Child(child) = &mut self.places[index].state {
            child.leaving = true;
        }
        true
    }
}

impl Command {
    fn new(job: JobId, batch: BatchId, task: shared::id::TaskIndex, now: Instant) -> Command {
        Command { job, batch, task, since: now, doom: None, dropped: false, peak: 0, warned: false }
    }
}
