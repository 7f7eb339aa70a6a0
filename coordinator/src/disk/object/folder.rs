//! An object store in a folder of the file system: each object is a file, replaced by a rename under a lock.
//!
//! The version of an object is its content: objects that are replaced are small, and none is ever what it was before.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use nix::fcntl::{Flock, FlockArg};

use super::store::{PutError, Store, Version};

/// As with files: nobody else's business.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// See the module.
pub struct Folder(PathBuf);

impl Folder {
    /// The store whose objects are below this folder, which is there.
    pub fn new(path: &Path) -> Folder {
        Folder(path.to_owned())
    }

    /// Makes the folder of an object, but not the store's own.
    fn make_folder_of(&self, path: &Path) -> io::Result<()> {
        let folder = folder_of(path);
        let missing: Vec<&Path> =
            folder.ancestors().take_while(|above| *above != self.0 && !above.is_dir()).collect();
        for next in missing.into_iter().rev() {
            match fs::DirBuilder::new().mode(FOLDER_MODE).create(next) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => sync_folder(folder_of(next))?,
            }
        }
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &Bytes, known: Option<&Version>) -> io::Result<bool> {
        let path = self.0.join(name);
        self.make_folder_of(&path)?;
        let guard = options().open(with(&path, ".guard"))?;
        let _guard = Flock::lock(guard, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        if self.get(name)?.map(|(_, version)| version).as_ref() != known {
            return Ok(false);
        }
        let new = with(&path, ".new");
        write(options().truncate(true), &new, bytes)?;
        fs::rename(&new, &path)?;
        sync_folder(folder_of(&path))?;
        Ok(true)
    }
}

fn with(path: &Path, ending: &str) -> PathBuf {
    super::super::beside(path, ending)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().expect("objects lie in the store's folder, and that has an absolute path")
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(FILE_MODE);
    options
}

fn write(options: &OpenOptions, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn version(bytes: &[u8]) -> Version {
    Version(String::from_utf8_lossy(bytes).into_owned())
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Store for Folder {
    fn get(&self, name: &str) -> io::Result<Option<(Bytes, Version)>> {
        let bytes = found(fs::read(self.0.join(name)))?;
        Ok(bytes.map(|bytes| {
            let version = version(&bytes);
            (bytes.into(), version)
        }))
    }

    fn get_range(&self, name: &str, at: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        File::open(self.0.join(name))?.read_exact_at(&mut bytes, at)?;
        Ok(bytes.into())
    }

    fn upload(&self, name: &str, bytes: Bytes) -> io::Result<()> {
        let path = self.0.join(name);
        self.make_folder_of(&path)?;
        write(options().create_new(true), &path, &bytes)?;
        sync_folder(folder_of(&path))
    }

    fn put(&self, name: &str, bytes: Bytes, known: Option<&Version>) -> Result<Version, PutError> {
        match self.replace(name, &bytes, known) {
            Ok(true) => Ok(version(&bytes)),
            Ok(false) => Err(PutError::Changed),
            Err(error) => Err(PutError::Failed(error)),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        found(fs::remove_file(self.0.join(name))).map(|_| ())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let Some(entries) = found(fs::read_dir(self.0.join(folder)))? else { return Ok(Vec::new()) };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}
