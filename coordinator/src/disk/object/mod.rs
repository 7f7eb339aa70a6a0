//! Checkpoints on an object store: the disk whose files are immutable segments and one manifest.
//!
//! - [`store`]: what is needed of a store; [`s3`] and [`folder`] are two - [`manifest`]: what is true
//! - [`family`]: changes it, and fences those who were taken over - [`file`]: bytes to segments and back
//! - [`lease`]: who may write
//!
//! Nothing of this is made, connected or read unless a checkpoint has a URL. Names of files are URLs here: that of the
//! checkpoint, and what others have behind it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use shared::location::{Location, Means};

use self::{
    family::Family,
    file::ObjectFile,
    folder::Folder,
    lease::{Lease, Pace},
    s3::S3,
    store::Store,
};
use super::{Disk, DiskFile, Local, Lock, LockError};

mod family;
mod file;
mod folder;
mod lease;
mod manifest;
#[cfg(test)]
mod memory;
mod s3;
pub mod store;
#[cfg(test)]
pub mod tests;

/// See the module.
pub struct ObjectDisk {
    family: Arc<Family>,
    /// The URL of the checkpoint, without what this file may have behind it.
    url: String,
    pace: Pace,
}

impl ObjectDisk {
    /// The disk of a checkpoint with a URL; `None` if it has a path. The store is asked what is there.
    pub fn connect(location: &Location) -> io::Result<Option<ObjectDisk>> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let (store, key): (Arc<dyn Store>, &str) = match location.means().map_err(invalid)? {
            Means::File(_) => return Ok(None),
            Means::S3 { bucket, prefix } => (Arc::new(S3::from_env(bucket)?), prefix),
            Means::Folder(path) => {
                let folder = path.parent().expect("a URL names a folder below /");
                if !folder.is_dir() {
                    let why = format!("{}: no such folder", folder.display());
                    return Err(io::Error::new(io::ErrorKind::NotFound, why));
                }
                let name = path.file_name().and_then(std::ffi::OsStr::to_str).expect("a URL is text");
                (Arc::new(Folder::new(folder)), name)
            }
        };
        ObjectDisk::find(store, key, &location.to_string(), Pace::default()).map(Some)
    }

    /// The family that the name belongs to: what was set aside has no manifest of its own.
    fn find(store: Arc<dyn Store>, key: &str, url: &str, pace: Pace) -> io::Result<ObjectDisk> {
        let own = Family::load(Arc::clone(&store), key)?;
        let base = key.rfind('/').map_or(0, |slash| slash + 1);
        let mut dots = key[base..].match_indices('.').map(|(dot, _)| base + dot).filter(|dot| *dot > base);
        while !own.is_there()
            && let Some(dot) = dots.next_back()
        {
            let other = Family::load(Arc::clone(&store), &key[..dot])?;
            if other.file(&key[dot..]).is_some() {
                let url = url[..url.len() - (key.len() - dot)].to_owned();
                return Ok(ObjectDisk { family: Arc::new(other), url, pace });
            }
        }
        Ok(ObjectDisk { family: Arc::new(own), url: url.to_owned(), pace })
    }

    fn suffix<'a>(&self, path: &'a Path) -> io::Result<&'a str> {
        let strange = || io::Error::new(io::ErrorKind::InvalidInput, "a name of another checkpoint");
        path.to_str().and_then(|name| name.strip_prefix(self.url.as_str())).ok_or_else(strange)
    }
}

impl Disk for ObjectDisk {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.suffix(path).map(|_| path.to_owned())
    }

    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        let suffix = self.suffix(path)?;
        let file = |entry| ObjectFile::new(Arc::clone(&self.family), suffix, entry);
        Ok(self.family.file(suffix).map(|entry| Box::new(file(entry)) as Box<dyn DiskFile>))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let suffix = self.suffix(path)?;
        let entry = self.family.create(suffix);
        Ok(Box::new(ObjectFile::new(Arc::clone(&self.family), suffix, entry)))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.family.file(self.suffix(path)?).is_some())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.family.rename(self.suffix(from)?, self.suffix(to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.family.remove(self.suffix(path)?)
    }

    fn sync_folder_of(&self, _path: &Path) -> io::Result<()> {
        self.family.publish()
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        self.suffix(path).map_err(LockError::Failed)?;
        let lease = Lease::take(&self.family, Local.unix_ms(), self.pace)?;
        Ok(Box::new(lease))
    }

    fn unix_ms(&self) -> u64 {
        Local.unix_ms()
    }

    fn random(&self) -> io::Result<[u8; 16]> {
        Local.random()
    }
}
