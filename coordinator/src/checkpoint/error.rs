//! What can go wrong with a checkpoint, one clear line each, with the next step.

use std::{io, path::PathBuf};

use shared::{
    checkpoint::{Damage, HeaderError, Inspection, What},
    wire::client::StopCause,
};

use crate::disk::object::store::StoreError;

/// How many places of damage a message names.
const PLACES_SHOWN: usize = 3;

/// Why a checkpoint cannot be used, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Bytes that were durable are not as they were written. Nothing was changed.
    #[error(
        "checkpoint {path} is damaged ({detail}); it was left as it is: restore a copy, or start anew with --fresh, which keeps it under another name"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and what it costs.
        detail: String,
        /// All places.
        damages: Vec<Damage>,
    },
    /// There is a journal, and not the checkpoint that its rows belong to.
    #[error(
        "{journal} holds results of a checkpoint {path} that is missing: bring that back, or start anew with --fresh, which keeps the journal under another name"
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What lies beside it.
        journal: PathBuf,
    },
    /// The journal beside it is that of another one.
    #[error(
        "{journal} does not belong to checkpoint {path}: bring back the two that do, or start anew with --fresh, which keeps both under other names"
    )]
    ForeignJournal {
        /// The file.
        path: PathBuf,
        /// What lies beside it.
        journal: PathBuf,
    },
    /// It was made by other work.
    #[error(
        "checkpoint {path} holds results of `{found}`, not of `{wanted}`: choose another file, go on with this one all the same by --any-work, or set it aside by --fresh"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it was made by.
        found: String,
        /// What was to be done.
        wanted: String,
    },
    /// Its columns have other names.
    #[error(
        "checkpoint {path} {difference}: name its columns as they are or leave --columns away, choose another file, or set this one aside by --fresh"
    )]
    OtherColumns {
        /// The file.
        path: PathBuf,
        /// How they differ.
        difference: String,
    },
    /// Another process writes to it.
    #[error("checkpoint {path} is in use by {holder}: wait for it, stop it, or choose another file")]
    InUse {
        /// The file.
        path: PathBuf,
        /// Host, process, since when.
        holder: String,
    },
    /// It is something else.
    #[error("{path} is not a checkpoint{hint}: choose another file for --checkpoint")]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What it is, if that is known.
        hint: &'static str,
    },
    /// This version does not know all that is in it.
    #[error("checkpoint {path} was made by a newer version of maniple ({detail}): install that one")]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// What is new.
        detail: String,
    },
    /// The name is that of something else.
    #[error("{path} {what}: name a file for --checkpoint")]
    NoFile {
        /// The name.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// There is nowhere to put it.
    #[error("no such folder for the checkpoint {path}: create it, or choose another file")]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be opened or read.
    #[error("failed to open checkpoint {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no room. Nothing is lost, and writing may be tried again.
    #[error("no room for checkpoint {path}: {source}; make room, then run again")]
    StorageFull {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file may not grow, be there room or not. Nothing is lost.
    #[error(
        "checkpoint {path} may not become longer: {source}; raise `ulimit -f` or move it to a file system for larger files, then run again"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The storage failed. What was acknowledged is safe; the file is not touched any more by this process.
    #[error(
        "failed to {action} checkpoint {path}: {source}; what was reported as durable is safe: check the storage, then run again"
    )]
    StorageFailed {
        /// The file.
        path: PathBuf,
        /// What failed.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl CheckpointError {
    /// Why a job stops for this.
    #[must_use]
    pub fn stop_cause(&self) -> StopCause {
        match self {
            CheckpointError::OtherColumns { .. }
            | CheckpointError::NoFile { .. }
            | CheckpointError::NoFolder { .. } => StopCause::Input,
            CheckpointError::Unreadable { source, .. }
                if StoreError::is_in(source) || source.kind() == io::ErrorKind::ReadOnlyFilesystem =>
            {
                StopCause::Storage
            }
            CheckpointError::Damaged { .. }
            | CheckpointError::Missing { .. }
            | CheckpointError::ForeignJournal { .. }
            | CheckpointError::Foreign { .. }
            | CheckpointError::InUse { .. }
            | CheckpointError::NotACheckpoint { .. }
            | CheckpointError::NewerVersion { .. }
            | CheckpointError::Unreadable { .. } => StopCause::Checkpoint,
            CheckpointError::StorageFull { .. }
            | CheckpointError::TooLong { .. }
            | CheckpointError::StorageFailed { .. } => StopCause::Storage,
        }
    }

    /// Whether the same may be tried again on the same file.
    #[must_use]
    pub fn may_be_retried(&self) -> bool {
        matches!(self, CheckpointError::StorageFull { .. })
    }

    /// The error of finding out where a checkpoint is.
    pub(crate) fn from_resolve(path: PathBuf, source: io::Error) -> CheckpointError {
        match source.kind() {
            io::ErrorKind::IsADirectory => CheckpointError::NoFile { path, what: "is a folder" },
            io::ErrorKind::InvalidInput => CheckpointError::NoFile { path, what: "is not a regular file" },
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => CheckpointError::NoFolder { path },
            _ => CheckpointError::Unreadable { path, source },
        }
    }

    pub(super) fn from_lock(path: PathBuf, source: io::Error) -> CheckpointError {
        if is_full(&source) {
            CheckpointError::StorageFull { path, source }
        } else {
            CheckpointError::Unreadable { path, source }
        }
    }

    pub(super) fn from_header(path: PathBuf, error: HeaderError) -> CheckpointError {
        match error {
            HeaderError::NotACheckpoint => CheckpointError::NotACheckpoint { path, hint: "" },
            HeaderError::Newer(..) => CheckpointError::NewerVersion { path, detail: error.to_string() },
            HeaderError::TextMode | HeaderError::Damaged => {
                CheckpointError::Damaged { path, detail: error.to_string(), damages: Vec::new() }
            }
        }
    }

    /// The error of a file in which there is corruption.
    pub(super) fn from_damages(path: PathBuf, found: Inspection) -> CheckpointError {
        if let Some(newer) = found.damages.iter().find(|damage| damage.what == What::Newer) {
            return CheckpointError::NewerVersion { path, detail: newer.to_string() };
        }
        let (tasks, more) = found.affected();
        let shown = found.damages.iter().take(PLACES_SHOWN).map(Damage::to_string);
        let mut detail = shown.collect::<Vec<_>>().join("; ");
        if found.damages.len() > PLACES_SHOWN {
            detail += &format!("; {} more places", found.damages.len() - PLACES_SHOWN);
        }
        detail += match (tasks, more) {
            (0, _) => "; an unknown number of tasks affected".to_owned(),
            (tasks, true) => format!("; {tasks} or more tasks affected"),
            (tasks, false) => format!("; {tasks} tasks affected"),
        }
        .as_str();
        CheckpointError::Damaged { path, detail, damages: found.damages }
    }

    /// The error of a file that is shorter than its journal knows it.
    pub(super) fn cut_short(path: PathBuf, end: u64, len: u64) -> CheckpointError {
        let detail = format!("bytes {len}..{end} are missing at its end: it was {end} bytes long once");
        CheckpointError::Damaged { path, detail, damages: Vec::new() }
    }

    /// The error of something that changes the file.
    pub(super) fn from_write(path: PathBuf, action: &'static str, source: io::Error) -> CheckpointError {
        if source.kind() == io::ErrorKind::FileTooLarge {
            CheckpointError::TooLong { path, source }
        } else if is_full(&source) {
            CheckpointError::StorageFull { path, source }
        } else {
            CheckpointError::StorageFailed { path, action, source }
        }
    }
}

/// Whether an error says that there is no room for a write, which has done no harm then.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
