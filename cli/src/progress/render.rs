//! Progress as one line of text that fits a width. Pure.
//!
//! Parts have an order on the line and a rank: where the width does not hold them all, the least important are left
//! out whole. The bar takes what is left over. ASCII only, so that a character is a column everywhere.

use std::{fmt::Write, time::Duration};

use shared::wire::client::Progress;

/// Narrowest and widest bar, brackets included.
const BAR: (usize, usize) = (10, 40);
/// The rank of the number of failures.
const FAILURES: u8 = 1;
/// Parts of a higher rank give way to the bar.
const BAR_RANK: u8 = 4;
const GAP: &str = "  ";

/// What a line shows.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The counts.
    pub progress: Progress,
    /// Tasks a second.
    pub rate: f64,
    /// Time until the end, where it is known.
    pub left: Option<Duration>,
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Text alone.
    Plain,
    /// The bar and the failures are coloured.
    Coloured,
}

/// A part of the line and its rank: 0 is never left out.
struct Part {
    rank: u8,
    text: String,
    is_failure: bool,
}

impl View {
    /// The line of a bar in at most `width` columns.
    pub fn bar(&self, width: usize, look: Look) -> String {
        let mut parts = self.parts();
        let room = |parts: &[Part]| {
            let taken: usize = parts.iter().map(|part| part.text.len() + GAP.len()).sum();
            (width + GAP.len()).checked_sub(taken)
        };
        // The bar comes before the least important parts, where there is a length that it could show.
        let has_bar = self.progress.complete && self.progress.tasks > 0;
        let wanted = |parts: &[Part]| {
            let optional = parts.iter().any(|part| part.rank > BAR_RANK);
            if has_bar && optional { BAR.0 + GAP.len() } else { 0 }
        };
        while room(&parts).is_none_or(|left| left < wanted(&parts)) {
            let Some(worst) =
                (0..parts.len()).filter(|&at| parts[at].rank > 0).max_by_key(|&at| parts[at].rank)
            else {
                break;
            };
            parts.remove(worst);
        }
        let left = room(&parts).unwrap_or(0).saturating_sub(GAP.len());
        let mut line = String::new();
        if has_bar && left >= BAR.0 {
            line = self.drawing(left.min(BAR.1), look);
        }
        for part in &parts {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            match (part.is_failure, look) {
                (true, Look::Coloured) => line.extend(["\x1b[31m", &part.text, "\x1b[0m"]),
                (true, Look::Plain) | (false, _) => line.push_str(&part.text),
            }
        }
        if parts.len() == 1 && parts[0].text.len() > width {
            line.chars().take(width).collect()
        } else {
            line
        }
    }

    /// A plain line, as long as it gets.
    pub fn line(&self) -> String {
        self.parts().iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn parts(&self) -> Vec<Part> {
        let Progress { tasks, complete, failed, durable, busy, slots, workers, .. } = self.progress;
        let ended = self.ended();
        let mut parts = Vec::new();
        let mut add = |rank, text| parts.push(Part { rank, text, is_failure: rank == FAILURES });
        if complete && tasks > 0 {
            // Rounded down: 100% is all.
            add(3, format!("{}%", u128::from(ended) * 100 / u128::from(tasks)));
        }
        add(0, format!("{}/{}{}", count(ended), count(tasks), if complete { "" } else { "+" }));
        if failed > 0 {
            add(FAILURES, format!("{} failed", count(failed)));
        }
        if self.rate > 0.0 {
            add(2, per_second(self.rate));
        }
        if let Some(left) = self.left.filter(|_| ended < tasks) {
            add(4, format!("{} left", clock(left)));
        }
        add(5, format!("{busy}/{slots} busy"));
        add(7, format!("{workers} {}", if workers == 1 { "worker" } else { "workers" }));
        if durable > 0 {
            add(6, format!("{} saved", count(durable)));
        }
        parts
    }

    fn drawing(&self, width: usize, look: Look) -> String {
        let inner = width - 2;
        let filled = (u128::from(self.ended()) * inner as u128 / u128::from(self.progress.tasks)) as usize;
        let filled = filled.min(inner);
        let mut done = "=".repeat(filled);
        if filled < inner && filled > 0 {
            done.pop();
            done.push('>');
        }
        let rest = " ".repeat(inner - filled);
        match look {
            Look::Plain => format!("[{done}{rest}]"),
            Look::Coloured => format!("[\x1b[32m{done}\x1b[0m{rest}]"),
        }
    }

    /// Tasks that have an outcome, now or from an earlier run.
    fn ended(&self) -> u64 {
        let Progress { skipped, done, failed, .. } = self.progress;
        skipped + done + failed
    }
}

/// A number with thousands set apart: 1,234,567.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate with three digits or so, in the unit that suits it.
pub fn per_second(rate: f64) -> String {
    match rate {
        rate if rate >= 99.5 => format!("{}/s", count(rate.round() as u64)),
        rate if rate >= 0.995 => format!("{rate:.1}/s"),
        rate if rate * 60.0 >= 0.995 => format!("{:.1}/min", rate * 60.0),
        rate => format!("{:.1}/h", rate * 3600.0),
    }
}

/// A time as a clock shows it, rounded up: 0:07, 12:30, 3:00:00, 2d 04h.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let mut text = String::new();
    let written = match (days, hours) {
        (0, 0) => write!(text, "{minutes}:{:02}", seconds % 60),
        (0, _) => write!(text, "{hours}:{minutes:02}:{:02}", seconds % 60),
        (1..=99, _) => write!(text, "{days}d {hours:02}h"),
        (_, _) => write!(text, "{}d", count(days)),
    };
    written.expect("memory takes every write");
    text
}
