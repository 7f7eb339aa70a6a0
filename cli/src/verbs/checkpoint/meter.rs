//! How far a tool has come with a large file, on standard error: a bar on a terminal, else a line now and then.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use shared::outcome::Bytes;

use crate::output::{self, Terminal};

/// Smaller files are done before anybody wonders.
const LARGE: u64 = 1 << 30;
/// Lines are so far apart.
const APART: Duration = Duration::from_secs(5);

/// See the module.
pub struct Meter {
    verb: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    said: Instant,
}

impl Meter {
    /// Begins to do something with so many bytes.
    pub fn new(verb: &'static str, total: u64) -> Meter {
        let draws = total >= LARGE && Terminal::of_this_process().can_redraw();
        let bar = draws.then(|| {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {bytes}/{total_bytes} {eta} left");
            let bar = ProgressBar::new(total).with_style(style.expect("the template is right"));
            bar.set_prefix(verb);
            bar
        });
        output::set_bar(bar.clone());
        Meter { verb, total, bar, said: Instant::now() }
    }

    /// So much is done.
    pub fn at(&mut self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if self.total >= LARGE && self.said.elapsed() >= APART => {
                self.said = Instant::now();
                output::say(&format!("maniple: {}: {} of {}", self.verb, Bytes(done), Bytes(self.total)));
            }
            None => {}
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        output::set_bar(None);
    }
}
