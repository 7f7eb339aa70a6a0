//! A file that frames are appended to: the checkpoint itself, or its journal.
//!
//! It knows where the next frame goes and how much of the file is durable, not what the frames hold, nor what else has
//! to be durable first.
//!
//! Invariant: after [`CheckpointError::StorageFull`] the file is as long as what was durable, and the same may be
//! written again; after any other error it is not to be touched again, which its owner sees to.

use std::path::{Path, PathBuf};

use shared::checkpoint::{FileHeader, Place};

use super::{CheckpointError, error::is_full};
use crate::disk::{Disk, DiskFile, beside};

/// A file that frames are appended to.
pub struct Log {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    tag: u32,
    /// Where the next frame goes, and its number.
    next: Spot,
    /// The same as of the last sync.
    durable: Spot,
}

/// A place between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// From the start of the file.
    pub offset: u64,
    /// Number of the frame that begins here.
    pub sequence: u64,
}

impl Log {
    /// A file all of whose frames, up to `next`, are durable.
    pub fn new(path: PathBuf, file: Box<dyn DiskFile>, tag: u32, next: Spot) -> Log {
        Log { path, file, tag, next, durable: next }
    }

    /// Makes a file of this name that has only a header; a file that has its name has a whole, durable header.
    pub fn create(disk: &dyn Disk, path: &Path, header: &FileHeader) -> Result<Log, CheckpointError> {
        let failed = |source| CheckpointError::from_write(path.to_owned(), "create", source);
        let bytes = header.encode();
        let new = beside(path, ".new");
        let mut file = disk.create(&new).map_err(failed)?;
        let written = file.write_at(0, &bytes).and_then(|()| file.sync());
        if let Err(source) = written {
            // Nobody takes it for a checkpoint; the next creation overwrites it anyway.
            let _litter = disk.remove(&new);
            return Err(failed(source));
        }
        disk.rename(&new, path).map_err(failed)?;
        sync_names(disk, path)?;
        let start = Spot { offset: bytes.len() as u64, sequence: 0 };
        Ok(Log::new(path.to_owned(), file, header.tag(), start))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next frame goes.
    pub fn next(&self) -> Spot {
        self.next
    }

    /// What the next frame says of its place.
    pub fn place(&self, at: u64) -> Place {
        Place { tag: self.tag, sequence: self.next.sequence, durable: self.durable.offset, at }
    }

    /// Appends a frame. If there is no room for it, all that was appended since the last sync is cut off again.
    pub fn append(&mut self, frame: &[u8]) -> Result<(), CheckpointError> {
        match self.file.write_at(self.next.offset, frame) {
            Ok(()) => {
                self.next.offset += frame.len() as u64;
                self.next.sequence += 1;
                Ok(())
            }
            Err(full) if is_full(&full) => {
                self.next = self.durable;
                self.file.truncate(self.next.offset).map_err(|source| self.failed("cut", source))?;
                Err(CheckpointError::from_write(self.path.clone(), "write to", full))
            }
            Err(source) => Err(self.failed("write to", source)),
        }
    }

    /// Makes durable what was appended.
    pub fn sync(&mut self) -> Result<(), CheckpointError> {
        self.file.sync().map_err(|source| self.failed("sync", source))?;
        self.durable = self.next;
        Ok(())
    }

    /// Removes the file.
    pub fn remove(self, disk: &dyn Disk) -> Result<(), CheckpointError> {
        let Log { path, file, .. } = self;
        // A file that is open cannot be removed from every file system.
        drop(file);
        remove(disk, &path)
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> CheckpointError {
        CheckpointError::StorageFailed { path: self.path.clone(), action, source }
    }
}

/// Removes a file, durably.
pub fn remove(disk: &dyn Disk, path: &Path) -> Result<(), CheckpointError> {
    disk.remove(path).map_err(|source| CheckpointError::StorageFailed {
        path: path.to_owned(),
        action: "remove",
        source,
    })?;
    sync_names(disk, path)
}

/// Makes the names in the folder of `path` durable.
pub fn sync_names(disk: &dyn Disk, path: &Path) -> Result<(), CheckpointError> {
    let action = "sync the folder of";
    disk.sync_folder_of(path).map_err(|source| CheckpointError::StorageFailed {
        path: path.to_owned(),
        action,
        source,
    })
}
