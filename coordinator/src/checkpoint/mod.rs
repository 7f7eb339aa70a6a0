//! The checkpoint of a job as its one writer sees it: open or create, push outcomes, flush, close.
//!
//! Blocking; a thread of the checkpointer owns it. The format is `shared::checkpoint`'s, the machine is behind
//! [`Disk`](crate::disk::Disk). It does not know which tasks a job has: who opens it is shown the keys that it holds.
//!
//! [`open`] makes the files, or goes on with what is [`found`] in them, or sets them [`aside`]; [`commit`] has the order
//! of operations on them, [`buffer`] what waits in memory, [`log`] a file that is appended to (the checkpoint and its
//! [`journal`]), [`tally`] what the end of the file will say.
//!
//! Invariants: only what a successful [`CheckpointFile::flush`] covers is durable; after a failed write that is not
//! for lack of room, and after any failed sync, the files are never touched again; nothing is changed by an
//! [`open`](CheckpointFile::open) that fails for what is in a file.

use std::path::Path;

use shared::{
    checkpoint::{Compress, FileHeader, Shape},
    id::Attempt,
    msgpack::Malformed,
    outcome::Failure,
};

use self::{buffer::Buffer, journal::Journal, log::Log, tally::Tally};
use crate::disk::{Disk, Lock};

mod aside;
mod buffer;
mod commit;
mod error;
mod found;
mod journal;
mod log;
mod open;
mod tally;
mod terms;

pub use self::{error::CheckpointError, open::Recorded, terms::Terms};

/// A checkpoint that is open for writing, and locked.
pub struct CheckpointFile {
    disk: Box<dyn Disk>,
    _lock: Box<dyn Lock>,
    header: FileHeader,
    main: Log,
    journal: Option<Journal>,
    buffer: Buffer,
    tally: Tally,
    /// Whether the last frame is a close frame.
    closed: bool,
    compress: Compress,
    broken: bool,
    /// The frame that was made last; its memory is used again, since new memory is slower than making the frame.
    frame: Vec<u8>,
}

impl CheckpointFile {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.main.path()
    }

    /// The names of its columns, if they have any.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.header.columns
    }

    /// What all values in it have in common, if they have anything.
    #[must_use]
    pub fn shape(&self) -> Option<&Shape> {
        self.tally.shape()
    }

    /// Takes `count` outcomes with values into memory: keys and values one behind the other.
    ///
    /// `attempts` names those rows, ascending, whose attempt was not the first. Refused if these are not as many
    /// whole values; then nothing was taken.
    pub fn push_values(
        &mut self,
        keys: &[u8],
        values: &[u8],
        count: u32,
        attempts: &[(u32, Attempt)],
    ) -> Result<(), Malformed> {
        self.buffer.push_rows(Recorded::Values, keys, values, count, attempts)
    }

    /// Takes an outcome without value into memory.
    pub fn push_failure(&mut self, key: &[u8], failure: &Failure) -> Result<(), Malformed> {
        self.buffer.push_failure(key, failure)
    }

    /// Takes `count` outcomes without values into memory as another checkpoint has them: keys and stories one behind
    /// the other.
    pub fn push_stories(&mut self, keys: &[u8], stories: &[u8], count: u32) -> Result<(), Malformed> {
        self.buffer.push_rows(Recorded::Failures, keys, stories, count, &[])
    }

    /// Whether so much waits in memory that a flush makes a large frame of it.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.buffer.is_large()
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod lock_tests;
#[cfg(test)]
mod terms_tests;
