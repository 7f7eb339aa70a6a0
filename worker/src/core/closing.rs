//! The end of a node in order: nothing new, a grace time for what runs, then force; then the last words.

use std::time::{Duration, Instant};

use shared::wire::worker::FromWorker;

use super::{
    Core,
    event::{Effect, Effects},
    slot::State,
};

/// How long a process may take to end by itself.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long killed processes are waited for.
const LAST: Duration = Duration::from_secs(5);

/// How far the end has come.
#[derive(Debug)]
pub struct Closing {
    deadline: Instant,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Running tasks have until the deadline.
    Grace,
    /// What was left has been killed.
    Killed,
    /// All is said.
    Over,
}

impl Closing {
    pub fn wake_at(&self) -> Option<Instant> {
        (self.stage != Stage::Over).then_some(self.deadline)
    }
}

impl Core {
    pub(super) fn shutdown_asked(&mut self, grace: Duration, now: Instant, out: &mut Effects) {
        if let Some(closing) = &mut self.closing {
            if closing.stage == Stage::Grace {
                closing.deadline = now;
            }
            return;
        }
        self.closing = Some(Closing { deadline: now + grace, stage: Stage::Grace });
        self.look_at = None;
        self.leases.recall_all();
        for piece in self.leases.take_where(|_| true) {
            self.hand_back(piece.batch, piece.tasks, out);
        }
        for index in 0..self.places.len() {
            if let State::Child(child) = &self.places[index].state {
                let at = child.stoppable_from();
                self.ask_stop(index, at, false, now, out);
            }
        }
    }

    /// One step towards the end, if there is one to take.
    pub(super) fn close(&mut self, now: Instant, out: &mut Effects) {
        for index in 0..self.places.len() {
            match &self.places[index].state {
                State::Starting(_) => self.stop(index, now, out),
                State::Child(child) if child.runs.is_empty() => self.stop(index, now, out),
                State::Child(_) | State::Commands(_) | State::Empty | State::Stopping { .. } => {}
            }
        }
        let Some(closing) = &mut self.closing else { return };
        let is_late = now >= closing.deadline;
        let is_empty = self.places.iter().all(|place| matches!(place.state, State::Empty));
        match closing.stage {
            Stage::Over => {}
            Stage::Grace if !is_empty && is_late => {
                closing.stage = Stage::Killed;
                closing.deadline = now + LAST;
                self.kill_all(out);
            }
            Stage::Grace | Stage::Killed if is_empty || is_late => {
                closing.stage = Stage::Over;
                self.send(FromWorker::Leaving, out);
                out.push(Effect::End);
            }
            Stage::Grace | Stage::Killed => {}
        }
    }

    fn kill_all(&mut self, out: &mut Effects) {
        self.condemn_all(|_| true, out);
        for place in &mut self.places {
            if let State::Stopping { killed: killed @ false, .. } = &mut place.state {
                *killed = true;
                out.push(Effect::Kill(place.life));
            }
        }
    }
}
