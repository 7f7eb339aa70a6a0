//! Taking back what has not begun: for the coordinator, or for a slot of our own that has nothing to do.
//!
//! A child is asked by its beacon's stop word. What lies beyond is ours again when the child says so, or, if it is
//! busy with one long task, as soon as a later look at the beacon shows that it had not committed itself further.
//! Until the child has answered for every run that it holds, it is given nothing new and the stop word stays.

use std::time::{Duration, Instant};

use shared::id::{BatchId, JobId};

use super::{
    Core,
    event::{Effect, Effects},
    lease::{Piece, cut},
    slot::{Child, State, Stop},
};

/// From then on after the stop word was set, a look at the beacon counts: the child's own store is no longer on its way.
pub const SETTLED: Duration = Duration::from_millis(2);

/// A task that has run for this long may run for much longer: what waits behind it is better off elsewhere.
const LONG: Duration = Duration::from_millis(20);

/// How often an idle slot looks for work to take.
const LOOK: Duration = Duration::from_millis(10);

impl Core {
    pub(super) fn recalled(&mut self, batches: &[BatchId], now: Instant, out: &mut Effects) {
        batches.iter().for_each(|batch| self.leases.recall(*batch));
        for piece in self.leases.take_where(|piece| batches.contains(&piece.batch)) {
            self.hand_back(piece.batch, piece.tasks, out);
        }
        for index in 0..self.places.len() {
            let is_wanted = |batch| batches.contains(&batch);
            self.places[index].withdraw(|command| is_wanted(command.batch), out);
            let State::Child(child) = &self.places[index].state else { continue };
            let first =
                child.runs.iter().find(|run| is_wanted(run.batch) && !run.dropped && run.kept > run.done);
            if let Some(first) = first.map(|run| run.first) {
                let at = child.stoppable_from().max(first);
                self.ask_stop(index, at, false, now, out);
            }
        }
    }

    /// Asks a child to begin nothing of this ordinal or later, unless it has been asked for more already.
    pub(super) fn ask_stop(&mut self, index: usize, at: u64, steal: bool, now: Instant, out: &mut Effects) {
        let place = &mut self.places[index];
        let State::Child(child) = &mut place.state else { return };
        if at < child.next && child.stop.is_none_or(|stop| at < stop.at) {
            child.stop = Some(Stop { at, asked: now, passed: false, steal });
            out.push(Effect::SetStop(place.life, at));
        }
    }

    /// A child has answered a stop.
    pub(super) fn stopped(&mut self, index: usize, at: u64, out: &mut Effects) {
        let State::Child(child) = &self.places[index].state else { return };
        let begun = child.runs.front().map(|run| run.first + u64::from(run.done));
        if begun != Some(at) || child.stop.is_none() {
            return self.protocol_broken(index, format!("it stopped at ordinal {at}"), out);
        }
        self.take_back(index, at, out);
        if let State::Child(child) = &mut self.places[index].state
            && let Some(run) = child.runs.front_mut()
        {
            run.count = run.done;
        }
        self.finish_runs(index, out);
    }

    /// A look at a child's beacon, at this time.
    pub(super) fn seen_committed(&mut self, index: usize, committed: u64, at: Instant, out: &mut Effects) {
        let State::Child(child) = &mut self.places[index].state else { return };
        let Some(stop) = child.stop.as_mut().filter(|stop| !stop.passed && stop.asked + SETTLED <= at) else {
            return;
        };
        stop.passed = true;
        let from = stop.at;
        if committed <= from {
            self.take_back(index, from, out);
        }
    }

    /// Tasks from this ordinal on are not the child's any more.
    fn take_back(&mut self, index: usize, from: u64, out: &mut Effects) {
        let idle = match &self.places[index].state {
            State::Child(child) if child.stop.is_some_and(|stop| stop.steal) => {
                self.takers(child.job, &self.waiting_jobs())
            }
            State::Child(_)
            | State::Empty
            | State::Starting(_)
            | State::Commands(_)
            | State::Stopping { .. } => 0,
        };
        let State::Child(child) = &mut self.places[index].state else { return };
        let job = child.job;
        let runs = child.runs.iter_mut();
        let taken = runs.map(|run| (run.dropped, run.batch, run.strikes, run.withdraw(from)));
        let taken: Vec<_> = taken.filter(|(dropped, _, _, tasks)| !dropped && !tasks.is_empty()).collect();
        for (_, batch, strikes, tasks) in taken.into_iter().rev() {
            let piece = Piece { batch, job, tasks, strikes };
            for part in cut(piece, idle + 1).into_iter().rev() {
                self.requeue(part, out);
            }
        }
    }

    /// How many slots could take work of a job at once: its idle children, and those of jobs that have nothing to do.
    fn takers(&self, job: JobId, waiting: &[JobId]) -> u32 {
        let takes = |index: &usize| match &self.places[*index].state {
            State::Child(child) if child.job == job => child.accepts() && child.runs.is_empty(),
            State::Child(_)
            | State::Empty
            | State::Starting(_)
            | State::Commands(_)
            | State::Stopping { .. } => self.is_spare(*index, waiting),
        };
        (0..self.places.len()).filter(takes).count() as u32
    }

    /// Takes work from a child that is busy with a long task, if another has nothing to do.
    pub(super) fn steal(&mut self, now: Instant, out: &mut Effects) {
        let waiting = self.waiting_jobs();
        let can_spare = |index: &usize| self.can_spare(*index, &waiting);
        let victims: Vec<usize> = (0..self.places.len()).filter(can_spare).collect();
        if victims.is_empty() || self.is_tight() {
            self.look_at = None;
            return;
        }
        if *self.look_at.get_or_insert(now + LOOK) > now {
            return;
        }
        self.look_at = Some(now + LOOK);
        let is_long = |child: &Child| {
            child.sample.running > 0 && now.saturating_duration_since(child.sample.since) >= LONG
        };
        let spare = |index: &usize| match &self.places[*index].state {
            State::Child(child) if is_long(child) => child.next - child.stoppable_from(),
            State::Child(_)
            | State::Empty
            | State::Starting(_)
            | State::Commands(_)
            | State::Stopping { .. } => 0,
        };
        let Some(index) = victims.into_iter().max_by_key(spare).filter(|index| spare(index) > 0) else {
            return;
        };
        if let State::Child(child) = &self.places[index].state {
            let at = child.stoppable_from();
            self.ask_stop(index, at, true, now, out);
        }
    }

    /// Whether a child has tasks that it has not begun while another slot could.
    fn can_spare(&self, index: usize, waiting: &[JobId]) -> bool {
        match &self.places[index].state {
            State::Child(child) => {
                let is_free = child.stop.is_none() && child.doom.is_none() && !child.runs.is_empty();
                is_free && child.stoppable_from() < child.next && self.takers(child.job, waiting) > 0
            }
            State::Empty | State::Starting(_) | State::Commands(_) | State::Stopping { .. } => false,
        }
    }
}
