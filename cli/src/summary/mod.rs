//! How a job ended: its exit code, the words for people, the object for programs. Pure.
//!
//! [`human`] and [`machine`] show one [`Ended`]; both say the truth of [`exit_code`].

use std::time::Duration;

use shared::{
    location::Location,
    wire::client::{StopCause, Summary},
};

mod human;
mod machine;

pub use human::human;
pub use machine::machine;

/// A job that has ended, and what only its client knows of it.
#[derive(Debug, Clone)]
pub struct Ended {
    /// What the coordinator says.
    pub summary: Summary,
    /// Wall time as the user felt it; `None`: who shows this was not there.
    pub wall: Option<Duration>,
    /// The checkpoint, if there is one.
    pub checkpoint: Option<Location>,
}

impl Ended {
    /// Why the job was stopped, if not by its user.
    pub fn error(&self) -> Option<String> {
        let stopped = self.summary.stopped.as_ref().filter(|stopped| stopped.why != StopCause::Cancelled);
        stopped.map(|stopped| stopped.message.clone())
    }

    /// Tasks without an outcome.
    pub fn left(&self) -> u64 {
        left(&self.summary)
    }

    /// Tasks of this run a second.
    pub fn tasks_per_second(&self) -> Option<f64> {
        let ended = self.summary.progress.done + self.summary.progress.failed;
        let seconds = self.wall?.as_secs_f64();
        Some(if seconds > 0.0 { ended as f64 / seconds } else { 0.0 })
    }
}

fn left(summary: &Summary) -> u64 {
    let progress = &summary.progress;
    progress.tasks.saturating_sub(progress.skipped + progress.done + progress.failed)
}

/// The exit code that tells the truth about how a job ended.
///
/// 143 is not here: which signal made the client cancel is known to the client alone.
pub fn exit_code(summary: &Summary) -> u8 {
    match &summary.stopped {
        Some(stopped) => code_of(stopped.why),
        // Nobody stopped it, and yet it has not ended.
        None if left(summary) > 0 => 70,
        None if summary.progress.failed > 0 => 1,
        None => 0,
    }
}

/// The exit code of whatever was stopped for this.
pub fn code_of(why: StopCause) -> u8 {
    match why {
        StopCause::Input => 2,
        StopCause::Checkpoint => 3,
        StopCause::Storage => 4,
        StopCause::Internal => 70,
        StopCause::Cancelled => 130,
    }
}

#[cfg(test)]
mod tests;
