//! The seam between the checkpoint and the machine: files, names, the lock, the clock that stamps frames.
//!
//! [`Local`] is the machine's own, [`object`] is an object store. In tests there is one in memory that keeps live and durable bytes apart, loses, reorders
//! and tears what was not synced, and fails the call that it is told to.
//!
//! Invariant: no implementation tries a failed sync again, or hides one.

use std::{io, path::Path, path::PathBuf};

use shared::{checkpoint::ReadAt, location::Location};

pub mod civil;
#[cfg(test)]
mod contract;
mod local;
mod lock;
#[cfg(test)]
pub mod memory;
pub mod object;

pub use self::local::Local;

/// A file that is read and written in place.
pub trait DiskFile: ReadAt + Send {
    /// Writes all of `bytes` at `at`, or some of them and an error.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes content and length durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// Held until it is dropped, or its process ends.
pub trait Lock: Send {}

/// Why a lock cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// Somebody has it; what they wrote about themselves.
    Held(String),
    /// It could not be tried.
    Failed(io::Error),
}

/// Where files are.
pub trait Disk: Send {
    /// The one name of the file that `path` leads to, through links, too; it need not exist. What is there and no
    /// regular file is an error: `IsADirectory` or `InvalidInput`.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// Opens a file to read and write; `None` if there is none.
    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>>;

    /// Makes an empty file, whatever was there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Whether something has this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Gives a file another name, in place of what has that.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in the folder of `path` durable.
    fn sync_folder_of(&self, path: &Path) -> io::Result<()>;

    /// Takes the exclusive lock that belongs to `path`, without waiting.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError>;

    /// Now, Unix time in milliseconds.
    fn unix_ms(&self) -> u64;

    /// Sixteen random bytes.
    fn random(&self) -> io::Result<[u8; 16]>;
}

/// The disk that a checkpoint is on.
pub fn of(location: &Location) -> io::Result<Box<dyn Disk>> {
    Ok(match object::ObjectDisk::connect(location)? {
        Some(disk) => Box::new(disk),
        None => Box::new(Local),
    })
}

/// `path` with `suffix` behind its name.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
