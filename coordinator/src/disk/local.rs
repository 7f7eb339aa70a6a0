//! The machine's own file system.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use shared::checkpoint::ReadAt;

use super::{Disk, DiskFile, Lock, LockError, lock};

/// Files hold what users computed and the ends of their outputs: nobody else's business.
const MODE: u32 = 0o600;

/// How much is written with one call: in a longer one the kernel takes larger pages, which are slower to come by.
const PIECE: usize = 1 << 20;

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

struct LocalFile(File);

impl ReadAt for LocalFile {
    fn len(&self) -> io::Result<u64> {
        ReadAt::len(&self.0)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        ReadAt::read_at(&self.0, at, into)
    }
}

impl DiskFile for LocalFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        (at..)
            .step_by(PIECE)
            .zip(bytes.chunks(PIECE))
            .try_for_each(|(at, piece)| self.0.write_all_at(piece, at))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

fn regular(path: PathBuf) -> io::Result<PathBuf> {
    match fs::metadata(&path)? {
        found if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        found if found.is_file() => Ok(path),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Disk for Local {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut path = path.to_owned();
        // Ends: a circle of links is an error of another kind, and each turn follows one link of a chain.
        loop {
            match fs::canonicalize(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let name = path.file_name().ok_or(error)?;
                    let folder = fs::canonicalize(folder_of(&path))?;
                    match fs::read_link(folder.join(name)) {
                        Ok(target) => path = folder.join(target),
                        Err(_) => return Ok(folder.join(name)),
                    }
                }
                resolved => return resolved.and_then(regular),
            }
        }
    }

    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Ok(Some(Box::new(LocalFile(opened?)))),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(MODE);
        Ok(Box::new(LocalFile(options.open(path)?)))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        File::open(folder_of(path))?.sync_all()
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        let held = lock::FileLock::take(path, self.unix_ms())?;
        Ok(Box::new(held))
    }

    fn unix_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    fn random(&self) -> io::Result<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(bytes)
    }
}
