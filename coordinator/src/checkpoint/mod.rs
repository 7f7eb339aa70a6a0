//! The checkpoint of a job as its one writer sees it: open or create, push outcomes, write, sync, close.
//!
//! Blocking; a thread of the checkpointer owns it. The format is `shared::checkpoint`'s, the machine is behind
//! [`Disk`](crate::disk::Disk). It does not know which tasks a job has: who opens it is shown the keys that it holds.
//!
//! Invariants: only what a successful [`CheckpointFile::sync`] covers is durable; after a failed write that is not
//! for lack of room, and after any failed sync, the file is never touched again; nothing is changed by an
//! [`open`](CheckpointFile::open) that fails for what is in the file.

use std::{io, path::Path, path::PathBuf};

use shared::{
    checkpoint::{Options, Place, Totals, encode_close, encode_failures, encode_values},
    id::Attempt,
    msgpack::Malformed,
    outcome::Failure,
};

use self::{
    buffer::{Buffer, Chunk},
    error::is_full,
};
use crate::disk::{Disk, DiskFile, Lock};

mod buffer;
mod error;
mod open;

pub use self::{error::CheckpointError, open::Recorded};

/// A checkpoint that is open for writing, and locked.
pub struct CheckpointFile {
    path: PathBuf,
    disk: Box<dyn Disk>,
    file: Box<dyn DiskFile>,
    _lock: Box<dyn Lock>,
    tag: u32,
    /// Where the next frame goes.
    end: u64,
    /// How much of it is durable.
    durable: u64,
    sequence: u64,
    totals: Totals,
    /// Whether the last frame is a close frame.
    closed: bool,
    buffer: Buffer,
    broken: bool,
}

/// Which kind of frame a chunk becomes.
#[derive(Clone, Copy)]
enum Queue {
    Values,
    Failures,
}

impl CheckpointFile {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
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
        self.buffer.push_values(keys, values, count, attempts)
    }

    /// Takes an outcome without value into memory.
    pub fn push_failure(&mut self, key: &[u8], failure: &Failure) -> Result<(), Malformed> {
        self.buffer.push_failure(key, failure)
    }

    /// How many outcomes are in memory only.
    #[must_use]
    pub fn buffered_rows(&self) -> u64 {
        self.buffer.rows()
    }

    /// How many bytes those take.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.bytes()
    }

    /// How long the file is, without what is in memory only.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end
    }

    /// Whether it holds no outcome.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.totals.values + self.totals.failures == 0
    }

    /// How much of the file is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Appends what is in memory. With [`CheckpointError::StorageFull`] the rest stays there, for another try.
    pub fn write(&mut self) -> Result<(), CheckpointError> {
        self.write_all_of(Queue::Values)?;
        self.write_all_of(Queue::Failures)
    }

    /// Makes durable what has been written.
    pub fn sync(&mut self) -> Result<(), CheckpointError> {
        self.refuse_if_broken("sync")?;
        if self.durable < self.end {
            self.file.sync().map_err(|source| self.give_up("sync", source))?;
            self.durable = self.end;
        }
        Ok(())
    }

    /// Writes and syncs what is left, ends the file in order and gives up the lock.
    pub fn close(mut self) -> Result<(), CheckpointError> {
        self.write()?;
        self.sync()?;
        if self.closed {
            return Ok(());
        }
        let mut frame = Vec::new();
        encode_close(self.place(), self.totals, None, None, &mut frame);
        match self.append(&frame) {
            // All outcomes are durable; the file is only a little slower to read without.
            Err(CheckpointError::StorageFull { .. } | CheckpointError::TooLong { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(),
        }
    }

    fn write_all_of(&mut self, queue: Queue) -> Result<(), CheckpointError> {
        let mut frame = Vec::new();
        while let Some(chunk) = self.queue(queue).pop_front() {
            frame.clear();
            let Chunk { keys, outcomes, rows, attempts } = &chunk;
            let rows = *rows;
            match queue {
                Queue::Values => {
                    let options = Options::default();
                    encode_values(self.place(), keys, outcomes, rows, attempts, options, &mut frame);
                }
                Queue::Failures => {
                    encode_failures(self.place(), keys, outcomes, rows, Options::default(), &mut frame);
                }
            }
            if let Err(error) = self.append(&frame) {
                self.queue(queue).push_front(chunk);
                return Err(error);
            }
            match queue {
                Queue::Values => self.totals.values += u64::from(rows),
                Queue::Failures => self.totals.failures += u64::from(rows),
            }
            self.closed = false;
        }
        Ok(())
    }

    fn queue(&mut self, queue: Queue) -> &mut std::collections::VecDeque<Chunk> {
        match queue {
            Queue::Values => &mut self.buffer.values,
            Queue::Failures => &mut self.buffer.failures,
        }
    }

    fn place(&self) -> Place {
        Place { tag: self.tag, sequence: self.sequence, durable: self.durable, at: self.disk.unix_ms() }
    }

    fn append(&mut self, frame: &[u8]) -> Result<(), CheckpointError> {
        self.refuse_if_broken("write to")?;
        match self.file.write_at(self.end, frame) {
            Ok(()) => {
                self.end += frame.len() as u64;
                self.sequence += 1;
                self.totals.frames += 1;
                Ok(())
            }
            Err(full) if is_full(&full) => {
                self.file.truncate(self.end).map_err(|source| self.give_up("cut", source))?;
                Err(CheckpointError::from_write(self.path.clone(), "write to", full))
            }
            Err(source) => Err(self.give_up("write to", source)),
        }
    }

    fn give_up(&mut self, action: &'static str, source: io::Error) -> CheckpointError {
        self.broken = true;
        CheckpointError::StorageFailed { path: self.path.clone(), action, source }
    }

    fn refuse_if_broken(&self, action: &'static str) -> Result<(), CheckpointError> {
        if !self.broken {
            return Ok(());
        }
        let source = io::Error::other("an earlier write or sync failed");
        Err(CheckpointError::StorageFailed { path: self.path.clone(), action, source })
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod lock_tests;
