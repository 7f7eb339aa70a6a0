//! One writer for each file: an exclusive `flock` on a file beside it, in which the holder says who it is.
//!
//! The kernel gives the lock up when its process ends, however it ends; what is left then is a file that nobody has
//! locked. It works over NFS too, where Linux makes a byte-range lock of it.
//!
//! Invariant: who has the lock has it on the file that the name leads to. The holder removes the file before it
//! lets go, and who locked a file that has been removed meanwhile tries again.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::{Lock, LockError, beside, civil::Civil};

/// Longest text that is believed to be a holder's.
const HOLDER_LIMIT: u64 = 512;

/// A lock that is held.
pub struct FileLock {
    _file: Flock<File>,
    path: PathBuf,
}

impl Lock for FileLock {}

impl FileLock {
    /// Takes the lock that belongs to `of`, or says who has it.
    pub fn take(of: &Path, unix_ms: u64) -> Result<FileLock, LockError> {
        let path = beside(of, ".lock");
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&path).map_err(LockError::Failed)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut file) => {
                    if leads_to(&path, &file).map_err(LockError::Failed)? {
                        introduce(&mut file, unix_ms).map_err(LockError::Failed)?;
                        return Ok(FileLock { _file: file, path });
                    }
                }
                Err((file, Errno::EWOULDBLOCK)) => return Err(LockError::Held(holder(file))),
                Err((_, Errno::EINTR)) => {}
                Err((_, errno)) => return Err(LockError::Failed(errno.into())),
            }
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // A file that cannot be removed is only litter: the lock itself goes with the descriptor.
        let _litter = fs::remove_file(&self.path);
    }
}

fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(theirs) => Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn introduce(file: &mut File, unix_ms: u64) -> io::Result<()> {
    let host =
        nix::unistd::gethostname().map_or_else(|_| "?".into(), |host| host.to_string_lossy().into_owned());
    let since = Civil::from_unix_ms(unix_ms).iso();
    let text = format!("host {host}, pid {}, since {since}\n", std::process::id());
    file.set_len(0)?;
    file.rewind()?;
    // On a full disk the lock holds all the same; it only cannot say whose it is.
    match file.write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(error),
        _ => Ok(()),
    }
}

fn holder(file: File) -> String {
    let mut text = String::new();
    let read = file.take(HOLDER_LIMIT).read_to_string(&mut text);
    match text.trim() {
        holder if read.is_ok() && !holder.is_empty() => holder.to_owned(),
        _ => "another process".to_owned(),
    }
}
