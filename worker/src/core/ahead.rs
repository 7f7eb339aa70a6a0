//! Commands that wait behind others in their slot, where the keeper starts them: so that a slot is not empty for as long
//! as the news of an end and the next order travel.
//!
//! That pays for short commands alone. Nothing waits behind a command that turns out to be long, nor while memory is
//! scarce: it is taken back. A command that began just before it could be taken back says so by its `Spawned`.

use std::time::{Duration, Instant};

use shared::id::{JobId, count};

use super::{
    Core,
    event::{Effect, Effects},
    slot::{Command, Place, State},
};

/// How many commands may wait behind one.
const AHEAD: usize = 3;

/// A job's commands are short if they take less than this on average.
const SHORT: Duration = Duration::from_millis(10);

/// What waits behind a command that runs for this long is better off elsewhere.
const LONG: Duration = Duration::from_millis(20);

impl Core {
    /// Gives commands to slots that run some already. A last one for each slot stays: who is idle first gets it.
    pub(super) fn order_ahead(&mut self, now: Instant, out: &mut Effects) {
        let Some(job) = self.leases.queue.front().map(|piece| piece.job) else { return };
        let is_alone = self.leases.queue.iter().all(|piece| piece.job == job);
        if self.is_tight() || !is_alone || !self.runs_short(job) {
            return;
        }
        let waiting = self.leases.queue.iter().map(|piece| count(&piece.tasks) as usize).sum::<usize>();
        let mut spare = waiting.saturating_sub(self.places.len());
        for depth in 1..=AHEAD {
            for index in 0..self.places.len() {
                let State::Commands(commands) = &self.places[index].state else { continue };
                let is_open =
                    commands.len() == depth && commands[0].job == job && !is_long(&commands[0], now);
                if is_open && spare > 0 {
                    spare -= 1;
                    self.execute(index, job, now, out);
                }
            }
        }
    }

    /// Takes back what waits where it should not wait any longer.
    pub(super) fn withdraw_late(&mut self, now: Instant, out: &mut Effects) {
        let all = self.is_tight() || self.closing.is_some();
        for place in &mut self.places {
            if all || matches!(&place.state, State::Commands(commands) if is_long(&commands[0], now)) {
                place.withdraw(|_| true, out);
            }
        }
    }

    /// Whether a job's commands are short, as far as is known.
    fn runs_short(&self, job: JobId) -> bool {
        self.jobs.get(&job).and_then(|job| job.pace).is_some_and(|pace| pace < SHORT)
    }

    /// Learns how long a job's commands take; the last ones count most.
    pub(super) fn learn_pace(&mut self, job: JobId, took: Duration) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.pace = Some(job.pace.map_or(took, |pace| (pace * 7 + took) / 8));
        }
    }
}

impl Place {
    /// Takes back commands that wait here.
    pub fn withdraw(&mut self, wanted: impl Fn(&Command) -> bool, out: &mut Effects) {
        let State::Commands(commands) = &mut self.state else { return };
        let is_waiting = |command: &Command| command.pid == 0 && !command.withdrawn && command.doom.is_none();
        for command in commands.iter_mut().skip(1).filter(|command| is_waiting(command) && wanted(command)) {
            command.withdrawn = true;
            out.push(Effect::Withdraw(command.life));
        }
    }

    /// When what waits here waits for too long.
    pub fn withdraw_at(&self) -> Option<Instant> {
        let State::Commands(commands) = &self.state else { return None };
        let is_open = commands.iter().skip(1).any(|command| !command.withdrawn);
        is_open.then(|| commands[0].since + LONG)
    }
}

fn is_long(command: &Command, now: Instant) -> bool {
    command.since + LONG <= now
}
