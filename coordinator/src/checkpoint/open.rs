//! How a checkpoint comes to be open: created, resumed, or created after the old one was set aside.
//!
//! Invariants: a file that has its name has a whole, durable header; what is shown of a file that is resumed is
//! durable before `open` returns, whatever became of earlier syncs.

use std::{
    io,
    path::{Path, PathBuf},
};

use shared::{
    checkpoint::{Depth, FileHeader, Kind, Totals, Visit, inspect, inspect::read_header},
    job::Existing,
    outcome::Bytes,
};

use super::{CheckpointError, CheckpointFile, buffer::Buffer};
use crate::disk::{Disk, DiskFile, Local, Lock, LockError, beside, civil::Civil};

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
struct Opening {
    path: PathBuf,
    disk: Box<dyn Disk>,
    lock: Box<dyn Lock>,
    notes: Vec<String>,
}

impl CheckpointFile {
    /// Opens the checkpoint at `path` for writing, or creates it, and shows what it holds to `visit`.
    ///
    /// Also returns what the user should know: that it was set aside, that the trace of a crash was cut off.
    pub fn open(
        path: &Path,
        identity: &str,
        existing: Existing,
        visit: &mut Shown<'_>,
    ) -> Result<(CheckpointFile, Vec<String>), CheckpointError> {
        CheckpointFile::open_on(Box::new(Local), path, identity, existing, visit)
    }

    /// The same on any disk.
    pub fn open_on(
        disk: Box<dyn Disk>,
        path: &Path,
        identity: &str,
        existing: Existing,
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
        let found = opening.disk.open(&opening.path).map_err(unreadable)?;
        match (found, existing) {
            (None, _) => opening.create(identity),
            (Some(_), Existing::SetAside) => {
                opening.set_aside()?;
                opening.create(identity)
            }
            (Some(file), Existing::Resume | Existing::ResumeAnyWork) => {
                if file.is_empty().map_err(unreadable)? {
                    return opening.create(identity);
                }
                opening.resume(file, identity, existing, visit)
            }
        }
    }
}

impl Opening {
    fn set_aside(&mut self) -> Result<(), CheckpointError> {
        let stamp = Civil::from_unix_ms(self.disk.unix_ms()).compact();
        let failed = |source| CheckpointError::from_write(self.path.clone(), "rename", source);
        let mut aside = beside(&self.path, &format!(".{stamp}.old"));
        let mut number = 2;
        while self.disk.exists(&aside).map_err(failed)? {
            aside = beside(&self.path, &format!(".{stamp}-{number}.old"));
            number += 1;
        }
        self.disk.rename(&self.path, &aside).map_err(failed)?;
        self.disk.sync_folder_of(&self.path).map_err(failed)?;
        self.notes.push(format!("the old checkpoint is now {}", aside.display()));
        Ok(())
    }

    fn create(self, identity: &str) -> Result<(CheckpointFile, Vec<String>), CheckpointError> {
        let failed = |source| CheckpointError::from_write(self.path.clone(), "create", source);
        let id = self.disk.random().map_err(failed)?;
        let header = FileHeader {
            identity: identity.to_owned(),
            created: self.disk.unix_ms(),
            software: concat!("maniple ", env!("CARGO_PKG_VERSION")).to_owned(),
            id,
            columns: Vec::new(),
            key_columns: Vec::new(),
            journal: None,
        };
        let bytes = header.encode();
        let new = beside(&self.path, ".new");
        let mut file = self.disk.create(&new).map_err(failed)?;
        let written = file.write_at(0, &bytes).and_then(|()| file.sync());
        if let Err(source) = written {
            // Nobody takes it for a checkpoint; the next creation overwrites it anyway.
            let _litter = self.disk.remove(&new);
            return Err(failed(source));
        }
        self.disk.rename(&new, &self.path).map_err(failed)?;
        self.disk.sync_folder_of(&self.path).map_err(failed)?;
        let len = bytes.len() as u64;
        Ok(self.opened(
            file,
            &header,
            State { end: len, sequence: 0, totals: Totals::default(), closed: false },
        ))
    }

    fn resume(
        mut self,
        mut file: Box<dyn DiskFile>,
        identity: &str,
        existing: Existing,
        visit: &mut Shown<'_>,
    ) -> Result<(CheckpointFile, Vec<String>), CheckpointError> {
        let unreadable = |source| CheckpointError::Unreadable { path: self.path.clone(), source };
        let len = file.len().map_err(unreadable)?;
        let (header, _) = read_header(&*file, len)
            .map_err(unreadable)?
            .map_err(|error| CheckpointError::from_header(self.path.clone(), error))?;
        if header.identity != identity && existing != Existing::ResumeAnyWork {
            let (found, wanted) = (header.identity, identity.to_owned());
            return Err(CheckpointError::Foreign { path: self.path, found, wanted });
        }
        let mut show = |seen: Visit<'_>| {
            let recorded = match seen.head.kind {
                Kind::Values { .. } => Recorded::Values,
                Kind::Failures { .. } => Recorded::Failures,
                Kind::Index { .. } | Kind::Close(_) | Kind::Optional => return,
            };
            visit(recorded, seen.keys, seen.head.rows());
        };
        let found = inspect(&*file, Depth::Keys, &mut show).map_err(unreadable)?;
        if !found.damages.is_empty() {
            return Err(CheckpointError::from_damages(self.path, found));
        }
        let failed = |source| CheckpointError::from_write(self.path.clone(), "repair the end of", source);
        if let Some(tail) = found.tail() {
            file.truncate(tail.start).map_err(failed)?;
            self.notes.push(format!(
                "cut {} behind byte {} of {}: a write that a crash interrupted; nothing reported as durable is lost",
                Bytes(tail.end - tail.start),
                tail.start,
                self.path.display(),
            ));
        }
        if found.witnessed < found.len {
            harden(&mut *file, found.witnessed, found.end).map_err(failed)?;
        }
        // Whoever gave the file its name may have been killed before that was durable.
        self.disk.sync_folder_of(&self.path).map_err(failed)?;
        let state = State {
            end: found.end,
            sequence: found.next_sequence,
            totals: found.totals,
            closed: found.closed,
        };
        Ok(self.opened(file, &header, state))
    }

    fn opened(
        self,
        file: Box<dyn DiskFile>,
        header: &FileHeader,
        state: State,
    ) -> (CheckpointFile, Vec<String>) {
        let Opening { path, disk, lock, notes } = self;
        let State { end, sequence, totals, closed } = state;
        let checkpoint = CheckpointFile {
            path,
            disk,
            file,
            _lock: lock,
            tag: header.tag(),
            end,
            durable: end,
            sequence,
            totals,
            closed,
            buffer: Buffer::default(),
            broken: false,
        };
        (checkpoint, notes)
    }
}

/// Where the writing goes on.
struct State {
    end: u64,
    sequence: u64,
    totals: Totals,
    closed: bool,
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
