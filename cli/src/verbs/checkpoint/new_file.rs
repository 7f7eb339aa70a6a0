//! A checkpoint that a tool makes: written beside its place, and put there when it is whole.
//!
//! Invariant: what has the final name is complete and closed in order; a tool that fails leaves nothing behind.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use coordinator::{
    checkpoint::{CheckpointError, CheckpointFile, Terms},
    disk::beside,
};
use shared::job::Existing;

use crate::{fault::Fault, summary::code_of};

/// See the module.
pub struct NewFile {
    file: Option<CheckpointFile>,
    unfinished: PathBuf,
    place: PathBuf,
}

impl NewFile {
    /// Begins a checkpoint that will stand at `place`, where nothing may be yet.
    pub fn create(place: &Path, identity: &str) -> Result<NewFile, Fault> {
        if place.symlink_metadata().is_ok() {
            return Err(Fault::usage(format!("{}: exists already; choose another name", place.display())));
        }
        let unfinished = beside(place, ".unfinished");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Fault::usage(format!("{}: {error}; choose another place", unfinished.display())));
            }
            Ok(()) | Err(_) => {}
        }
        let terms = Terms::new(identity.to_owned(), Existing::Resume);
        let (file, _) = CheckpointFile::open(&unfinished, &terms, &mut |_, _, _| {}).map_err(of_write)?;
        Ok(NewFile { file: Some(file), unfinished, place: place.to_owned() })
    }

    /// What takes the rows.
    pub fn file(&mut self) -> &mut CheckpointFile {
        self.file.as_mut().expect("it is there until it is finished")
    }

    /// Closes the checkpoint and gives it its name.
    pub fn finish(mut self) -> Result<(), Fault> {
        self.file.take().expect("it is finished once").close().map_err(of_write)?;
        let named = fs::rename(&self.unfinished, &self.place).and_then(|()| {
            let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
        named.map_err(|error| Fault::storage(format!("{}: {error}; nothing was made", self.place.display())))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After `finish` there is nothing of this name; before, it is of no use to anybody.
        let _unfinished = fs::remove_file(&self.unfinished);
    }
}

/// A tool's failure to write.
pub fn of_write(error: CheckpointError) -> Fault {
    Fault { code: code_of(error.stop_cause()), message: error.to_string() }
}
