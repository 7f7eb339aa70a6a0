//! Processes that grow: what one still has between two tasks decides whether another takes its place.
//!
//! What a task has while it runs says nothing. So a process that was seen to be large is let end its task, and given nothing
//! before it has been looked at once more. Invariant: each process is given a task at least.

use std::time::{Duration, Instant};

use super::{
    Core,
    event::{Effects, Reading},
    slot::{State, Weighing},
};

/// How long a process that turned out not to have grown is left alone.
const PAUSE: Duration = Duration::from_secs(1);

impl Core {
    /// Looks at a child of a job that wants large ones replaced; whether it has been.
    pub(super) fn weigh(
        &mut self,
        index: usize,
        reading: &Reading,
        grown: Option<bool>,
        at: Instant,
        now: Instant,
        out: &mut Effects,
    ) -> bool {
        let Some(grown) = grown else { return false };
        let State::Child(child) = &mut self.places[index].state else { return false };
        if child.doom.is_some() || child.leaving || child.next == 1 {
            return false;
        }
        let is_idle = child.runs.is_empty() && reading.running == 0;
        match child.weighing {
            _ if is_idle && grown => {
                self.stop(index, now, out);
                return true;
            }
            Weighing::Asked if is_idle => child.weighing = Weighing::From(at + PAUSE),
            Weighing::From(time) if grown && time <= at && !child.runs.is_empty() => {
                child.weighing = Weighing::Asked;
                let from = child.stoppable_from();
                self.ask_stop(index, from, false, now, out);
            }
            Weighing::From(_) | Weighing::Asked => {}
        }
        false
    }
}
