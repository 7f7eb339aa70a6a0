//! The two streams that people and scripts read. A closed one is no error: whoever reads decides how much.
//!
//! Everything that goes to standard error passes here, because a progress bar may stand there: it steps aside for
//! each line. Invariant: no `print!` or `eprint!` anywhere, since they panic on a closed stream.

use std::{
    io::{self, Write},
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use indicatif::ProgressBar;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// The bar that stands on the terminal now.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes text to standard output. A reader that has gone away (`| head`) has what it wanted: that is no error.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Columns of the terminal that standard output is; where there is none, nothing is cut.
pub fn width() -> usize {
    console::Term::stdout().size_checked().map_or(usize::MAX, |(_, columns)| columns.into())
}

/// Text that came from elsewhere, as one line that leaves the terminal alone.
pub fn in_a_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Writes a line to standard error, above the bar if there is one.
pub fn say(line: &str) {
    above_bar(|| {
        // Nobody is left to be told about a closed standard error.
        let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
    });
}

/// From now on this bar steps aside for what is written to standard error; `None`: it is gone.
pub fn set_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

fn above_bar<T>(write: impl FnOnce() -> T) -> T {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Standard error for the log.
struct LogStream;

impl Write for LogStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        above_bar(|| {
            let _ = io::stderr().lock().write_all(bytes);
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts logging to standard error at `level`, else at `$MANIPLE_LOG`, else at `default`.
pub fn log(level: Option<&str>, default: &str) -> Result<(), String> {
    let from_environment = std::env::var("MANIPLE_LOG").ok().filter(|text| !text.is_empty());
    let (source, text) = match (level, &from_environment) {
        (Some(level), _) => ("--log", level),
        (None, Some(level)) => ("MANIPLE_LOG", level.as_str()),
        (None, None) => ("the default", default),
    };
    let mistaken = |why: String| format!("{source} {text:?}: {why}");
    // To the library a word without a level is a part of the program; here it is a level that was misspelt.
    let is_misspelt = |part: &&str| !part.contains(['=', '[']) && LevelFilter::from_str(part).is_err();
    if let Some(word) = text.split(',').map(str::trim).find(is_misspelt) {
        let levels = "error, warn, info, debug, trace or off, or a part's level such as worker=debug";
        return Err(mistaken(format!("{word:?} is no level; expected {levels}")));
    }
    let filter = EnvFilter::try_new(text).map_err(|error| mistaken(error.to_string()))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LogStream)
        .with_ansi(has_colour(&Terminal::of_this_process()))
        .try_init()
        .map_err(|error| error.to_string())
}

/// What standard error is connected to, and what the user wants of it.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    /// Whether it is a terminal.
    pub is_terminal: bool,
    /// `$TERM`.
    pub term: Option<String>,
    /// Whether `$NO_COLOR` is set and not empty.
    pub no_colour: bool,
}

impl Terminal {
    /// As it is for this process.
    pub fn of_this_process() -> Terminal {
        Terminal {
            is_terminal: io::IsTerminal::is_terminal(&io::stderr()),
            term: std::env::var("TERM").ok(),
            no_colour: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }

    /// Whether the cursor can be moved, so that a line can be drawn again in its place.
    pub fn can_redraw(&self) -> bool {
        self.is_terminal && self.term.as_deref().is_some_and(|term| !term.is_empty() && term != "dumb")
    }
}

/// Whether to colour what goes there.
pub fn has_colour(terminal: &Terminal) -> bool {
    terminal.can_redraw() && !terminal.no_colour
}
