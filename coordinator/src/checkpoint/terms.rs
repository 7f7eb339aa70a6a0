//! What a checkpoint is opened for, and whether one that is there already will do. It does not know how it is opened.

use std::path::Path;

use shared::{
    checkpoint::{Compress, FileHeader},
    job::{CheckpointSpec, Compression, Existing},
};

use super::{CheckpointError, buffer::LARGE};

/// What a checkpoint is opened for.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What the values are of.
    pub identity: String,
    /// What becomes of a file that is there already.
    pub existing: Existing,
    /// Names of the values' columns; one that is there already has these, unless there are none.
    pub columns: Vec<String>,
    /// Names of the keys' fields in a new one.
    pub key_columns: Vec<String>,
    /// When what a new one holds was begun, if that is known: Unix time in milliseconds.
    pub created: Option<u64>,
    /// How what is written is stored.
    pub compress: Compress,
    /// Keys and outcomes of a large frame, in bytes.
    pub large: usize,
}

impl Terms {
    /// The usual ones.
    #[must_use]
    pub fn new(identity: String, existing: Existing) -> Terms {
        let (columns, key_columns, compress) = (Vec::new(), Vec::new(), Compress::None);
        Terms { identity, existing, columns, key_columns, created: None, compress, large: LARGE }
    }

    /// Those of a job.
    #[must_use]
    pub fn of(identity: String, spec: &CheckpointSpec) -> Terms {
        let compress = match spec.compress {
            Compression::None => Compress::None,
            Compression::Zstd => Compress::Zstd,
        };
        let (columns, key_columns) = (spec.columns.clone(), spec.key_columns.clone());
        Terms { columns, key_columns, compress, ..Terms::new(identity, spec.existing) }
    }

    /// Whether the checkpoint at `path`, which begins like this, may be gone on with.
    pub(super) fn accept(&self, path: &Path, header: &FileHeader) -> Result<(), CheckpointError> {
        let path = path.to_owned();
        if header.journal.is_some() {
            return Err(CheckpointError::NotACheckpoint { path, hint: " but the journal of one" });
        }
        if header.identity != self.identity && self.existing == Existing::Resume {
            let (found, wanted) = (header.identity.clone(), self.identity.clone());
            return Err(CheckpointError::Foreign { path, found, wanted });
        }
        if !self.columns.is_empty() && header.columns != self.columns {
            let difference = difference(&header.columns, &self.columns);
            return Err(CheckpointError::OtherColumns { path, difference });
        }
        Ok(())
    }
}

/// How the names of columns differ from those that were asked for.
fn difference(found: &[String], wanted: &[String]) -> String {
    let lacking = |of: &[String], names: &[String]| {
        let lacking = names.iter().filter(|name| !of.contains(name)).map(|name| format!("`{name}`"));
        lacking.collect::<Vec<_>>().join(", ")
    };
    let (missing, unnamed) = (lacking(found, wanted), lacking(wanted, found));
    match (found.is_empty(), missing.is_empty(), unnamed.is_empty()) {
        (true, ..) => "has no columns".to_owned(),
        (_, true, true) => format!("has its columns in another order: {}", found.join(",")),
        (_, false, true) => format!("has no {missing}"),
        (_, true, false) => format!("has {unnamed}, which --columns does not name"),
        (_, false, false) => format!("has no {missing}, and has {unnamed}, which --columns does not name"),
    }
}
