//! The journal beside a checkpoint: how it comes to be, is taken over by the next writer, and is put away.
//!
//! Its frames are appended by [`commit`](super::commit).
//!
//! Invariant: a journal that has its name has a whole, durable header that says which checkpoint it belongs to, and the
//! whole of that checkpoint is durable when the journal is made.

use std::path::{Path, PathBuf};

use shared::checkpoint::{FileHeader, Inspection, JournalOf};

use super::{
    CheckpointError,
    log::{Log, Spot},
};
use crate::disk::{Disk, DiskFile, beside};

/// A journal that is written.
pub struct Journal {
    /// Its frames.
    pub log: Log,
    /// Its own name for itself.
    pub id: [u8; 16],
}

/// Where the journal of a checkpoint is.
pub fn path_of(checkpoint: &Path) -> PathBuf {
    beside(checkpoint, ".wal")
}

impl Journal {
    /// Makes one for a checkpoint whose header and length these are.
    pub fn create(disk: &dyn Disk, of: &Log, header: &FileHeader) -> Result<Journal, CheckpointError> {
        let path = path_of(of.path());
        let failed = |source| CheckpointError::from_write(path.clone(), "create", source);
        let id = disk.random().map_err(failed)?;
        let header = FileHeader {
            created: disk.unix_ms(),
            id,
            journal: Some(JournalOf { of: header.id, end: of.next().offset }),
            ..header.clone()
        };
        Ok(Journal { log: Log::create(disk, &path, &header)?, id })
    }

    /// The one that was found to hold this.
    pub fn found(path: PathBuf, file: Box<dyn DiskFile>, inside: &Inspection) -> Journal {
        let header = inside.header.as_ref().expect("what counts has a header");
        let next = Spot { offset: inside.end, sequence: inside.next_sequence };
        Journal { log: Log::new(path, file, header.tag(), next), id: header.id }
    }
}
