//! How a checkpoint comes to be open: created, or resumed with its journal; setting aside is [`aside`](super::aside)'s.
//!
//! What is there is judged by `shared::checkpoint`; this carries out what follows from it.
//!
//! Invariants: what is shown of a file that is resumed is durable before `open` returns, whatever became of earlier
//! syncs; a journal is removed only after what it holds is durable in the checkpoint; a file in which there is
//! corruption is left as it is.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use shared::{
    checkpoint::{Compress, FileHeader, HeaderError, Inspection, ReadAt, inspect::read_header, pair},
    job::Existing,
    outcome::Bytes,
};

use super::{
    CheckpointError, CheckpointFile,
    buffer::Buffer,
    found::Found,
    journal::{self, Journal},
    log::{self, Log, Spot},
    tally::Tally,
    terms::Terms,
};
use crate::disk::{Disk, DiskFile, Local, Lock, LockError, beside};

/// How much is written once more at a time.
const PIECE: u64 = 1 << 20;

/// What a checkpoint holds of some tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Their values.
    Values,
    /// That they failed. A task that has a value, before or after, has that.
    Failures,
}

/// Is shown what a checkpoint holds: keys one behind the other, and how many.
pub type Shown<'a> = dyn FnMut(Recorded, &[u8], u32) + 'a;

/// A file on its way to be open.
pub(super) struct Opening {
    pub(super) path: PathBuf,
    pub(super) disk: Box<dyn Disk>,
    pub(super) lock: Box<dyn Lock>,
    pub(super) notes: Vec<String>,
}

/// What an old checkpoint is gone on from; the buffer holds the rows of its journal.
pub(super) struct Resumed {
    header: FileHeader,
    main: Log,
    journal: Option<Journal>,
    buffer: Buffer,
    tally: Tally,
    closed: bool,
    compress: Compress,
}

impl CheckpointFile {
    /// Opens the checkpoint at `path` for writing, or creates it, and shows what it holds to `visit`.
    ///
    /// Also returns what the user should know: that it was set aside, that the trace of a crash was cut off.
    pub fn open(
        path: &Path,
        terms: &Terms,
        visit: &mut Shown<'_>,
    ) -> Result<(CheckpointFile, Vec<String>), CheckpointError> {
        CheckpointFile::open_on(Box::new(Local), path, terms, visit)
    }

    /// The same on any disk.
    pub fn open_on(
        disk: Box<dyn Disk>,
        path: &Path,
        terms: &Terms,
        visit: &mut Shown<'_>,
    ) -> Result<(CheckpointFile, Vec<String>), CheckpointError> {
        let unreadable = |source| CheckpointError::Unreadable { path: path.to_owned(), source };
        let resolved = disk.resolve(path);
        let path = resolved.map_err(|source| CheckpointError::from_resolve(path.to_owned(), source))?;
        let lock = disk.lock(&path).map_err(|error| match error {
            LockError::Held(holder) => CheckpointError::InUse { path: path.clone(), holder },
            LockError::Failed(source) => CheckpointError::from_lock(path.clone(), source),
        })?;
        let mut opening = Opening { path, disk, lock, notes: Vec::new() };
        let journal = opening.open_file(&journal::path_of(&opening.path))?;
        let main = opening.open_file(&opening.path)?;
        let is_empty = main.as_ref().map_or(Ok(true), |main| main.is_empty()).map_err(unreadable)?;
        match (main.filter(|_| !is_empty), journal, terms.existing) {
            (None, None, _) => opening.create(terms),
            (main, journal, Existing::SetAside) => opening.set_aside(main, journal, terms)?.create(terms),
            (None, Some(_), Existing::Resume | Existing::ResumeAnyWork) => {
                let journal = journal::path_of(&opening.path);
                Err(CheckpointError::Missing { path: opening.path, journal })
            }
            (Some(main), journal, Existing::Resume | Existing::ResumeAnyWork) => {
                let resumed = opening.resume(main, journal, terms, visit)?;
                let (mut file, notes) = opening.opened(resumed);
                file.fold()?;
                Ok((file, notes))
            }
        }
    }
}

impl Opening {
    fn open_file(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>, CheckpointError> {
        self.disk.open(path).map_err(|source| CheckpointError::Unreadable { path: path.to_owned(), source })
    }

    fn create(self, terms: &Terms) -> Result<(CheckpointFile, Vec<String>), CheckpointError> {
        let failed = |source| CheckpointError::from_write(self.path.clone(), "create", source);
        let header = FileHeader {
            identity: terms.identity.clone(),
            created: terms.created.unwrap_or_else(|| self.disk.unix_ms()),
            software: concat!("maniple ", env!("CARGO_PKG_VERSION")).to_owned(),
            id: self.disk.random().map_err(failed)?,
            columns: terms.columns.clone(),
            key_columns: terms.key_columns.clone(),
            journal: None,
        };
        let main = Log::create(&*self.disk, &self.path, &header)?;
        let (buffer, tally, compress) = (Buffer::new(terms.large), Tally::default(), terms.compress);
        Ok(self.opened(Resumed { header, main, journal: None, buffer, tally, closed: false, compress }))
    }

    /// What is opened, and what the user should know.
    pub(super) fn opened(self, resumed: Resumed) -> (CheckpointFile, Vec<String>) {
        let Opening { disk, lock, notes, .. } = self;
        let Resumed { header, main, journal, buffer, tally, closed, compress } = resumed;
        let (broken, frame, _lock) = (false, Vec::new(), lock);
        let file = CheckpointFile {
            disk,
            _lock,
            header,
            main,
            journal,
            buffer,
            tally,
            closed,
            compress,
            broken,
            frame,
        };
        (file, notes)
    }

    /// Takes up two files that are there, but for folding what is in the journal.
    pub(super) fn resume(
        &mut self,
        mut main: Box<dyn DiskFile>,
        journal: Option<Box<dyn DiskFile>>,
        terms: &Terms,
        visit: &mut Shown<'_>,
    ) -> Result<Resumed, CheckpointError> {
        let unreadable = |source| CheckpointError::Unreadable { path: self.path.clone(), source };
        let len = main.len().map_err(unreadable)?;
        let header = self.header_for(&*main, len, terms)?;
        let aside = journal.as_deref().map(|journal| journal as &dyn ReadAt);
        let found = Found::read(&*main, aside, terms.large, visit).map_err(unreadable)?;
        let Found { judged, tally, buffer } = found;
        let counted = match judged.journal {
            Some(journal) => self.counted(journal, len)?,
            None => None,
        };
        if !judged.main.damages.is_empty() {
            return Err(CheckpointError::from_damages(self.path.clone(), judged.main));
        }
        self.repair(&mut *main, &judged.main, len)?;
        let path = journal::path_of(&self.path);
        // What a creation that was interrupted has left holds nothing; mostly there is none.
        let _litter = self.disk.remove(&beside(&path, ".new"));
        let journal = match (journal, counted) {
            (Some(file), Some(inside)) => {
                self.notes.extend(inside.tail().map(|tail| cut(&path, &tail)));
                Some(Journal::found(path, file, &inside))
            }
            (Some(folded), None) => {
                drop(folded);
                log::remove(&*self.disk, &path)?;
                None
            }
            (None, _) => None,
        };
        let next = Spot { offset: judged.main.end, sequence: judged.main.next_sequence };
        let main = Log::new(self.path.clone(), main, header.tag(), next);
        let (closed, compress) = (judged.main.closed, terms.compress);
        Ok(Resumed { header, main, journal, buffer, tally, closed, compress })
    }

    /// The header, if its file may be gone on with.
    fn header_for(
        &self,
        main: &dyn DiskFile,
        len: u64,
        terms: &Terms,
    ) -> Result<FileHeader, CheckpointError> {
        let path = || self.path.clone();
        let (header, _) = read_header(main, len)
            .map_err(|source| CheckpointError::Unreadable { path: path(), source })?
            .map_err(|error| CheckpointError::from_header(path(), error))?;
        terms.accept(&self.path, &header)?;
        Ok(header)
    }

    /// The journal, if its rows count; `len` is the length of the checkpoint.
    fn counted(&self, journal: pair::Journal, len: u64) -> Result<Option<Inspection>, CheckpointError> {
        let (path, journal_path) = (self.path.clone(), journal::path_of(&self.path));
        match journal {
            pair::Journal::Folded => Ok(None),
            pair::Journal::Counts(inside) if inside.damages.is_empty() => Ok(Some(inside)),
            pair::Journal::Counts(inside) => Err(CheckpointError::from_damages(journal_path, inside)),
            pair::Journal::MainTooShort { end, .. } => Err(CheckpointError::cut_short(path, end, len)),
            pair::Journal::Foreign(_) | pair::Journal::Unreadable(HeaderError::NotACheckpoint) => {
                Err(CheckpointError::ForeignJournal { path, journal: journal_path })
            }
            pair::Journal::Unreadable(error) => Err(CheckpointError::from_header(journal_path, error)),
        }
    }

    /// Cuts what does not count, and makes the rest durable.
    fn repair(
        &mut self,
        main: &mut dyn DiskFile,
        found: &Inspection,
        len: u64,
    ) -> Result<(), CheckpointError> {
        let failed = |source| CheckpointError::from_write(self.path.clone(), "repair the end of", source);
        if found.end < len {
            main.truncate(found.end).map_err(failed)?;
        }
        if found.witnessed < len {
            harden(main, found.witnessed, found.end).map_err(failed)?;
        }
        // Whoever gave the file its name may have been killed before that was durable.
        log::sync_names(&*self.disk, &self.path)?;
        if found.end < len {
            self.notes.push(cut(&self.path, &(found.end..len)));
        }
        Ok(())
    }
}

fn cut(path: &Path, tail: &Range<u64>) -> String {
    format!(
        "cut {} behind byte {} of {}: a write that a crash interrupted; nothing reported as durable is lost",
        Bytes(tail.end - tail.start),
        tail.start,
        path.display(),
    )
}

/// Makes the bytes from `start` to `end` durable, also if a sync of them failed in an earlier process: the kernel may
/// have called their pages clean all the same, so they are written once more.
fn harden(file: &mut dyn DiskFile, start: u64, end: u64) -> io::Result<()> {
    let mut piece = Vec::new();
    let mut at = start;
    while at < end {
        piece.resize((end - at).min(PIECE) as usize, 0);
        if file.read_at(at, &mut piece)? != piece.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(at, &piece)?;
        at += piece.len() as u64;
    }
    file.sync()
}
