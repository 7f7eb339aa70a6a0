//! A checkpoint that a tool reads: the file and the journal beside it, opened in the order that a reader has to keep.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use coordinator::disk::beside;
use shared::checkpoint::Pair;

use super::DAMAGED;
use crate::fault::Fault;

/// See the module.
pub struct Files {
    path: PathBuf,
    main: File,
    journal: Option<File>,
}

impl Files {
    /// Opens both; what is no file at all is a mistake of the command line.
    pub fn open(path: &Path) -> Result<Files, Fault> {
        let usage = |why: &str| Fault::usage(format!("{}: {why}", path.display()));
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(usage("a folder, not a checkpoint")),
            Ok(found) if !found.is_file() => return Err(usage("not a file")),
            Ok(_) | Err(_) => {}
        }
        // The journal first, so that nothing is missed that is folded meanwhile.
        let journal = match File::open(beside(path, ".wal")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(|error| unreadable(path, &error))?),
        };
        let main = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => usage("no such file"),
            _ => unreadable(path, &error),
        })?;
        Ok(Files { path: path.to_owned(), main, journal })
    }

    /// The two as one.
    pub fn pair(&self) -> Pair<'_, File> {
        Pair { main: &self.main, journal: self.journal.as_ref() }
    }

    /// What is wrong with it.
    pub fn fault(&self, error: &dyn std::fmt::Display) -> Fault {
        unreadable(&self.path, error)
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Fault {
    Fault { code: DAMAGED, message: format!("{}: {error}", path.display()) }
}
