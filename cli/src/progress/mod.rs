//! A job's progress on standard error: a bar on a terminal, a plain line now and then elsewhere, or nothing.
//!
//! It draws what it is told when it is told; it has no clock, no thread and no connection. Counts go to [`rate`],
//! words to [`render`].

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shared::wire::client::Progress;

use crate::output::{self, Terminal};

mod rate;
mod render;

use rate::Rate;
use render::{Look, View};
pub use render::{clock, count, per_second};

/// The first plain line comes so long after the start: shorter jobs have none.
const FIRST_LINE: Duration = Duration::from_secs(2);
/// Further plain lines are so far apart.
const NEXT_LINE: Duration = Duration::from_secs(5);
/// Widest bar line; beyond, the eye has to travel.
const WIDEST: usize = 120;
/// Width where the terminal does not tell.
const USUAL_WIDTH: usize = 80;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A line that is drawn again in its place.
    Bar {
        /// Whether in colour.
        colour: bool,
    },
    /// A line every few seconds.
    Lines,
    /// Not at all.
    Nothing,
}

impl Mode {
    /// What suits the terminal and the user.
    pub fn choose(quiet: bool, terminal: &Terminal) -> Mode {
        match (quiet, terminal.can_redraw()) {
            (true, _) => Mode::Nothing,
            (false, true) => Mode::Bar { colour: output::has_colour(terminal) },
            (false, false) => Mode::Lines,
        }
    }
}

/// Shows the progress of a job. Dropping it clears the bar.
pub struct Reporter {
    rate: Rate,
    lines: Lines,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar, Look),
    Lines,
    Nothing,
}

impl Reporter {
    /// Nothing is shown before the first [`update`](Self::update).
    pub fn new(mode: Mode, now: Instant) -> Reporter {
        let shown = match mode {
            Mode::Bar { colour } => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is well formed"));
                output::set_bar(Some(bar.clone()));
                Shown::Bar(bar, if colour { Look::Coloured } else { Look::Plain })
            }
            Mode::Lines => Shown::Lines,
            Mode::Nothing => Shown::Nothing,
        };
        Reporter { rate: Rate::new(now), lines: Lines::new(now), shown }
    }

    /// Shows how far the job is. To be called a few times a second, whether or not something has changed.
    pub fn update(&mut self, progress: &Progress, now: Instant) {
        let computed = progress.done + progress.failed;
        self.rate.observe(computed, now);
        let rate = self.rate.per_second();
        let view = View { progress: *progress, rate, left: time_left(progress, rate) };
        match &self.shown {
            Shown::Bar(bar, look) => {
                let width =
                    console::Term::stderr().size_checked().map_or(USUAL_WIDTH, |(_, wide)| usize::from(wide));
                // The last column stays free: a cursor behind it would wrap.
                bar.set_message(view.bar(width.saturating_sub(1).min(WIDEST), *look));
            }
            Shown::Lines if self.lines.is_due(progress, now) => {
                output::say(&format!("maniple: {}", view.line()))
            }
            Shown::Lines | Shown::Nothing => {}
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Shown::Bar(bar, _) = &self.shown {
            output::set_bar(None);
            bar.finish_and_clear();
        }
    }
}

/// How long the rest takes at this rate, where that is known.
fn time_left(progress: &Progress, rate: f64) -> Option<Duration> {
    let ended = progress.skipped + progress.done + progress.failed;
    let left = progress.tasks.saturating_sub(ended) as f64;
    if !progress.complete || rate <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(left / rate).ok()
}

/// When the next plain line is due, and whether there is anything new to say.
#[derive(Debug)]
struct Lines {
    next: Instant,
    last: Option<Progress>,
}

impl Lines {
    fn new(now: Instant) -> Lines {
        Lines { next: now + FIRST_LINE, last: None }
    }

    fn is_due(&mut self, progress: &Progress, now: Instant) -> bool {
        if now < self.next || self.last.as_ref() == Some(progress) {
            return false;
        }
        self.next = now + NEXT_LINE;
        self.last = Some(*progress);
        true
    }
}

#[cfg(test)]
mod tests;
