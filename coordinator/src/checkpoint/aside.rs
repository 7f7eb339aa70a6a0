//! Gives an old checkpoint another name, with its journal, so that a new one can have its own.
//!
//! A journal is folded first, so that one file is left; where the two cannot be gone on with, both are renamed.
//!
//! Invariant: nothing is overwritten, and nothing is removed but a journal that was folded. A checkpoint never stands
//! under its name without a journal that counts.

use std::path::{Path, PathBuf};

use shared::job::Existing;

use super::{CheckpointError, CheckpointFile, journal, log::sync_names, open::Opening, terms::Terms};
use crate::disk::{DiskFile, beside, civil::Civil};

impl Opening {
    /// Sets aside what there is of the two.
    pub(super) fn set_aside(
        mut self,
        main: Option<Box<dyn DiskFile>>,
        journal: Option<Box<dyn DiskFile>>,
        terms: &Terms,
    ) -> Result<Opening, CheckpointError> {
        let (has_main, mut has_journal) = (main.is_some(), journal.is_some());
        if let (Some(main), Some(journal)) = (main, journal) {
            let (existing, columns) = (Existing::ResumeAnyWork, Vec::new());
            let terms = Terms { existing, columns, ..terms.clone() };
            if let Ok(resumed) = self.resume(main, Some(journal), &terms, &mut |_, _, _| {}) {
                let path = self.path.clone();
                let (mut file, notes) = self.opened(resumed);
                file.fold()?;
                let CheckpointFile { disk, _lock: lock, .. } = file;
                self = Opening { path, disk, lock, notes };
                has_journal = false;
            }
        }
        let aside = self.free_name()?;
        if has_main {
            self.rename(&self.path, &aside)?;
            self.notes.push(format!("the old checkpoint is now {}", aside.display()));
        }
        if has_journal {
            let (from, to) = (journal::path_of(&self.path), journal::path_of(&aside));
            self.rename(&from, &to)?;
            self.notes.push(format!("its journal is now {}", to.display()));
        }
        Ok(self)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), CheckpointError> {
        let failed = |source| CheckpointError::from_write(from.to_owned(), "rename", source);
        self.disk.rename(from, to).map_err(failed)?;
        sync_names(&*self.disk, &self.path)
    }

    /// A name that neither a checkpoint nor a journal has.
    fn free_name(&self) -> Result<PathBuf, CheckpointError> {
        let stamp = Civil::from_unix_ms(self.disk.unix_ms()).compact();
        let failed = |source| CheckpointError::from_write(self.path.clone(), "rename", source);
        let taken = |path: &Path| self.disk.exists(path).map_err(failed);
        let mut aside = beside(&self.path, &format!(".{stamp}.old"));
        let mut number = 2;
        while taken(&aside)? || taken(&journal::path_of(&aside))? {
            aside = beside(&self.path, &format!(".{stamp}-{number}.old"));
            number += 1;
        }
        Ok(aside)
    }
}
