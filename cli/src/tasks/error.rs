//! What can be wrong with a task file. Each is the user's to mend: one line that names the place, exit code 2.

use std::io;

/// Why tasks cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It cannot be opened.
    #[error("cannot open {name}: {source}")]
    Open {
        /// The file as the user named it.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Its name does not tell its format.
    #[error(
        "{name}: a task file's name has to end in .csv, .jsonl, .ndjson, .msgpack or .txt (or be - for standard input)"
    )]
    UnknownFormat {
        /// The file.
        name: String,
    },
    /// `--text` was given for a format that has no columns.
    #[error("{name} has no columns: --text is for .csv files")]
    TextWithoutColumns {
        /// The file.
        name: String,
    },
    /// Reading failed midway.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A line is malformed.
    #[error("{name}, line {line}: {what}")]
    Line {
        /// The file.
        name: String,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A MessagePack value is malformed.
    #[error("{name}, key {number} (byte {offset}): {what}")]
    Key {
        /// The file.
        name: String,
        /// Which value, from 1.
        number: u64,
        /// Where it starts.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// There are more tasks than can be numbered.
    #[error("{name} holds more than 4,294,967,295 tasks; split it")]
    TooMany {
        /// The file.
        name: String,
    },
}

/// A [`TaskError`] by someone who does not know the file's name.
#[derive(Debug)]
pub(super) enum Fault {
    /// See [`TaskError::Read`].
    Read(io::Error),
    /// See [`TaskError::Line`].
    Line(u64, String),
    /// See [`TaskError::Key`].
    Key(u64, u64, String),
}

impl Fault {
    pub(super) fn within(self, name: &str) -> TaskError {
        let name = name.to_owned();
        match self {
            Fault::Read(source) => TaskError::Read { name, source },
            Fault::Line(line, what) => TaskError::Line { name, line, what },
            Fault::Key(number, offset, what) => TaskError::Key { name, number, offset, what },
        }
    }
}

/// The place of the first byte of `text` that is no UTF-8, as words.
pub(super) fn check_utf8(text: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|error| {
        let good = String::from_utf8_lossy(&text[..error.valid_up_to()]);
        format!("not valid UTF-8 at column {}", good.chars().count() + 1)
    })
}
