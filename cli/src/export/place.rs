//! Where an export goes: a file that gets its name when it is whole, or standard output.
//!
//! Invariants: an export that fails leaves nothing behind and what was there unchanged; a reader of standard output that
//! has gone away is no error.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use coordinator::disk::beside;

use crate::fault::Fault;

const BUFFER: usize = 256 << 10;

/// See the module.
pub struct Place {
    file: Option<Unfinished>,
    /// The first error of a write; the libraries in between only tell its text.
    failed: Arc<OnceLock<io::Error>>,
}

struct Unfinished {
    file: File,
    path: PathBuf,
    place: PathBuf,
}

/// What takes the bytes.
pub struct Out {
    to: BufWriter<Box<dyn Write + Send>>,
    failed: Arc<OnceLock<io::Error>>,
}

impl Place {
    /// `-` is standard output. What exists at a path is replaced only by `force`, and if it is a file other than
    /// `source` and what lies beside that.
    pub fn open(path: &Path, force: bool, source: &Path) -> Result<Place, Fault> {
        let failed = Arc::default();
        if path == Path::new("-") {
            return Ok(Place { file: None, failed });
        }
        let mistake = |why: &str| Fault::usage(format!("{}: {why}", path.display()));
        if let Ok(found) = path.symlink_metadata() {
            if !found.is_file() && !found.is_symlink() {
                return Err(mistake("exists and is no file; choose another name"));
            }
            if !force {
                return Err(mistake("exists already; choose another name, or replace it with --force"));
            }
            let same = |other: &Path| match (fs::canonicalize(path), fs::canonicalize(other)) {
                (Ok(path), Ok(other)) => path == other,
                (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
            };
            if same(source) || same(&beside(source, ".wal")) {
                return Err(mistake("is the checkpoint itself; choose another name"));
            }
        }
        let unfinished = beside(path, ".unfinished");
        let file = File::create(&unfinished).map_err(|error| {
            Fault::usage(format!("{}: {error}; choose another place", unfinished.display()))
        })?;
        let place = path.to_owned();
        Ok(Place { file: Some(Unfinished { file, path: unfinished, place }), failed })
    }

    /// Whether it can only be written one byte behind the other.
    pub fn is_stream(&self) -> bool {
        self.file.is_none()
    }

    /// What takes the bytes; asked for once.
    pub fn out(&self) -> Out {
        let to: Box<dyn Write + Send> = match &self.file {
            Some(Unfinished { file, .. }) => Box::new(file.try_clone().expect("a descriptor can be had")),
            None => Box::new(io::stdout()),
        };
        Out { to: BufWriter::with_capacity(BUFFER, to), failed: self.failed.clone() }
    }

    /// Whether nobody reads what is written any more.
    pub fn has_no_reader(&self) -> bool {
        self.file.is_none()
            && self.failed.get().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// A writer's result, in our words; that nobody reads any more is none.
    pub fn unless_gone(&self, written: Result<(), String>) -> Result<(), Fault> {
        match written {
            Err(_) if self.has_no_reader() => Ok(()),
            Err(error) => Err(self.fault(&error)),
            Ok(()) => Ok(()),
        }
    }

    /// A failure to write.
    pub fn fault(&self, error: &str) -> Fault {
        let error = self.failed.get().map_or_else(|| error.to_owned(), ToString::to_string);
        let place =
            self.file.as_ref().map_or("standard output".into(), |file| file.place.display().to_string());
        Fault::storage(format!("{place}: failed to write: {error}"))
    }

    /// Gives the file its name.
    pub fn finish(mut self) -> Result<(), Fault> {
        let Some(Unfinished { file, path, place }) = &self.file else { return Ok(()) };
        let named = file.sync_all().and_then(|()| fs::rename(path, place));
        named.map_err(|error| self.fault(&error.to_string()))?;
        self.file = None;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(Unfinished { path, .. }) = &self.file {
            // It is of no use to anybody.
            let _unfinished = fs::remove_file(path);
        }
    }
}

impl Out {
    fn note<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|error| {
            let told = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            // Only the first counts.
            let _later = self.failed.set(told);
        })
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.to.flush();
        self.note(flushed)
    }
}
