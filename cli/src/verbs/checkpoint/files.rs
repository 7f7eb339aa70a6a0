//! A checkpoint that a tool reads: the file and the journal beside it, opened in the order that a reader has to keep,
//! wherever they are.

use std::{fs::File, io, path::Path};

use coordinator::disk::{
    Disk as _, beside,
    object::{ObjectDisk, store::StoreError},
};
use shared::{
    checkpoint::{Pair, ReadAt},
    location::Location,
};

use super::DAMAGED;
use crate::fault::{Fault, STORAGE};

/// What the bytes of a checkpoint are read from.
pub type Source = dyn ReadAt;

/// See the module.
pub struct Files {
    location: Location,
    main: Box<Source>,
    journal: Option<Box<Source>>,
}

impl Files {
    /// Opens both; what is no file at all is a mistake of the command line.
    pub fn open(name: &Path) -> Result<Files, Fault> {
        let location =
            Location::parse(name, Path::new("")).map_err(|error| Fault::usage(error.to_string()))?;
        let disk = ObjectDisk::connect(&location).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Fault::usage(format!("{location}: {error}")),
            _ => unreadable(&location, &error),
        })?;
        let open = |path: &Path| match &disk {
            Some(disk) => Ok(disk.open(path)?.map(|file| file as Box<dyn ReadAt>)),
            None => open_local(path),
        };
        // The journal first, so that nothing is missed that is folded meanwhile.
        let journal =
            open(&beside(location.name(), ".wal")).map_err(|error| unreadable(&location, &error))?;
        let main = open(location.name()).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory => Fault::usage(format!("{location}: a folder, not a checkpoint")),
            io::ErrorKind::InvalidInput => Fault::usage(format!("{location}: not a file")),
            _ => unreadable(&location, &error),
        })?;
        let main = main.ok_or_else(|| Fault::usage(format!("{location}: no such file")))?;
        Ok(Files { location, main, journal })
    }

    /// What the user called it.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The two as one.
    pub fn pair(&self) -> Pair<'_, Source> {
        Pair { main: &*self.main, journal: self.journal.as_deref() }
    }

    /// The end of a tool that could not read it.
    pub fn unreadable(&self, error: &io::Error) -> Fault {
        unreadable(&self.location, error)
    }

    /// The end of a tool that found it damaged, or no checkpoint at all.
    pub fn damaged(&self, why: &dyn std::fmt::Display) -> Fault {
        Fault { code: DAMAGED, message: format!("{}: {why}", self.location) }
    }
}

fn open_local(path: &Path) -> io::Result<Option<Box<dyn ReadAt>>> {
    let kind = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?.file_type(),
    };
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(Some(Box::new(File::open(path)?)))
}

fn unreadable(location: &Location, error: &io::Error) -> Fault {
    let code = if StoreError::is_in(error) { STORAGE } else { DAMAGED };
    Fault { code, message: format!("{location}: {error}") }
}
