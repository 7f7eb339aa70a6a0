//! A checkpoint that a tool makes: written beside its place, and put there when it is whole.
//!
//! Invariant: what has the final name is complete and closed in order; a tool that fails leaves nothing behind.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

use coordinator::{
    checkpoint::{CheckpointError, CheckpointFile, Terms},
    disk::beside,
};
use shared::{
    checkpoint::{Compress, FileHeader},
    job::Existing,
};

use crate::{fault::Fault, summary::code_of};

/// See the module.
pub struct NewFile {
    file: Option<CheckpointFile>,
    unfinished: PathBuf,
    place: PathBuf,
    /// The file that stands there until then.
    old: Option<Metadata>,
}

impl NewFile {
    /// Begins a checkpoint that will stand at `place`, where nothing may be yet.
    pub fn create(place: &Path, terms: &Terms) -> Result<NewFile, Fault> {
        if place.symlink_metadata().is_ok() {
            return Err(Fault::usage(format!("{}: exists already; choose another name", place.display())));
        }
        NewFile::begin(place, ".unfinished", terms, None)
    }

    /// Begins a checkpoint that will take the place of one whose lock the caller holds.
    pub fn in_place_of(place: &Path, terms: &Terms) -> Result<NewFile, Fault> {
        let old = fs::metadata(place).map_err(|error| not_made(place, &error))?;
        NewFile::begin(place, ".compact.new", terms, Some(old))
    }

    fn begin(place: &Path, suffix: &str, terms: &Terms, old: Option<Metadata>) -> Result<NewFile, Fault> {
        let unfinished = beside(place, suffix);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Fault::usage(format!("{}: {error}; choose another place", unfinished.display())));
            }
            Ok(()) | Err(_) => {}
        }
        let (file, _) = CheckpointFile::open(&unfinished, terms, &mut |_, _, _| {}).map_err(of_write)?;
        Ok(NewFile { file: Some(file), unfinished, place: place.to_owned(), old })
    }

    /// What takes the rows.
    pub fn file(&mut self) -> &mut CheckpointFile {
        self.file.as_mut().expect("it is there until it is finished")
    }

    /// Closes the checkpoint and gives it its name.
    pub fn finish(mut self) -> Result<(), Fault> {
        self.file.take().expect("it is finished once").close().map_err(of_write)?;
        let named = self.take_over().and_then(|()| {
            fs::rename(&self.unfinished, &self.place)?;
            let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
        named.map_err(|error| not_made(&self.place, &error))
    }

    /// Lets those read and write it who could read and write the old one.
    fn take_over(&self) -> io::Result<()> {
        let Some(old) = &self.old else { return Ok(()) };
        let new = fs::metadata(&self.unfinished)?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            chown(&self.unfinished, Some(old.uid()), Some(old.gid()))?;
        }
        fs::set_permissions(&self.unfinished, old.permissions())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // It gives up its lock first. After `finish` there is nothing of this name; before, it is of no use to anybody.
        self.file = None;
        let _unfinished = fs::remove_file(&self.unfinished);
    }
}

fn not_made(place: &Path, error: &io::Error) -> Fault {
    Fault::storage(format!("{}: {error}; nothing was made", place.display()))
}

/// The terms of a checkpoint that holds what one with this header holds.
pub fn terms_like(header: &FileHeader, compress: Compress) -> Terms {
    Terms {
        columns: header.columns.clone(),
        key_columns: header.key_columns.clone(),
        created: Some(header.created),
        compress,
        ..Terms::new(header.identity.clone(), Existing::Resume)
    }
}

/// A tool's failure to write.
pub fn of_write(error: CheckpointError) -> Fault {
    Fault { code: code_of(error.stop_cause()), message: error.to_string() }
}
