//! The order of operations: to the journal while there is little, into the checkpoint once it makes a large frame.
//!
//! The norm is `docs/checkpoint-format.md`, "Writing: the commit strategy". What was pushed stays in memory until it is
//! in the checkpoint itself, so that a journal is only ever read by who opens the checkpoint again.
//!
//! Invariants: what [`CheckpointFile::flush`] has returned `Ok` for is durable in one of the two files; a journal is
//! removed only after all of it is durable in the checkpoint; nothing is appended to the checkpoint while there is a
//! journal but the fold of that journal.

use std::mem;

use shared::checkpoint::{Options, Shape, encode_close, encode_failures, encode_index, encode_values, index};

use super::{CheckpointError, CheckpointFile, Recorded, buffer::Part, journal::Journal, log::Log};

impl CheckpointFile {
    /// Makes durable what was pushed. With [`CheckpointError::StorageFull`] it stays in memory, for another try.
    pub fn flush(&mut self) -> Result<(), CheckpointError> {
        self.unless_broken(|file| if file.buffer.is_large() { file.fold_now() } else { file.keep_news() })
    }

    /// Makes durable what was pushed, in the checkpoint itself, and removes the journal.
    pub fn fold(&mut self) -> Result<(), CheckpointError> {
        self.unless_broken(CheckpointFile::fold_now)
    }

    /// Folds what is left, ends the file in order and gives up the lock.
    pub fn close(mut self) -> Result<(), CheckpointError> {
        match self.fold().and_then(|()| self.unless_broken(CheckpointFile::end_in_order)) {
            // All outcomes are durable; they are only slower to read where they are.
            Err(CheckpointError::StorageFull { .. } | CheckpointError::TooLong { .. })
                if self.buffer.news().next().is_none() =>
            {
                Ok(())
            }
            ended => ended,
        }
    }

    fn unless_broken(
        &mut self,
        deed: impl FnOnce(&mut CheckpointFile) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        if mem::replace(&mut self.broken, true) {
            let source = std::io::Error::other("an earlier write or sync failed");
            return Err(CheckpointError::StorageFailed {
                path: self.path().to_owned(),
                action: "write to",
                source,
            });
        }
        let done = deed(self);
        self.broken = done.as_ref().is_err_and(|error| !error.may_be_retried());
        done
    }

    fn keep_news(&mut self) -> Result<(), CheckpointError> {
        if self.buffer.news().next().is_none() {
            return Ok(());
        }
        let now = self.disk.unix_ms();
        if self.journal.is_none() {
            self.journal = Some(Journal::create(&*self.disk, &self.main, &self.header)?);
        }
        let journal = &mut self.journal.as_mut().expect("one was just made").log;
        for part in self.buffer.news() {
            encode(journal, now, &part, Options { plain: true, ..Options::default() }, &mut self.frame);
            journal.append(&self.frame)?;
        }
        journal.sync()?;
        self.buffer.mark_journaled();
        Ok(())
    }

    pub(super) fn fold_now(&mut self) -> Result<(), CheckpointError> {
        let now = self.disk.unix_ms();
        let mut written = Vec::new();
        let mut parts = self.buffer.parts().peekable();
        while let Some(part) = parts.next() {
            let folds = self.journal.as_ref().map(|journal| journal.id).filter(|_| parts.peek().is_none());
            let options = Options { folds, compress: self.compress, plain: false };
            let shape = encode(&self.main, now, &part, options, &mut self.frame);
            let mut entry = Vec::new();
            index::list(self.main.next().offset, &self.frame, &mut entry);
            self.main.append(&self.frame)?;
            written.push((entry, shape));
        }
        drop(parts);
        if !self.buffer.is_empty() {
            self.main.sync()?;
            for (part, (entry, shape)) in self.buffer.parts().zip(written) {
                self.tally.rows(part.kind, part.keys, part.rows);
                self.tally.frame(part.kind, &entry, shape);
            }
            self.buffer.clear();
            self.closed = false;
        }
        match self.journal.take() {
            Some(journal) => journal.log.remove(&*self.disk),
            None => Ok(()),
        }
    }

    fn end_in_order(&mut self) -> Result<(), CheckpointError> {
        if self.closed {
            return Ok(());
        }
        let now = self.disk.unix_ms();
        let mut frame = Vec::new();
        if !self.tally.unlisted().is_empty() {
            let at = self.main.next().offset;
            encode_index(self.main.place(now), self.tally.last_index(), self.tally.unlisted(), &mut frame);
            self.main.append(&frame)?;
            // A close frame says that all before it is durable.
            self.main.sync()?;
            self.tally.index(at);
            frame.clear();
        }
        let totals = self.tally.totals(self.main.next().sequence);
        encode_close(self.main.place(now), totals, self.tally.shape(), self.tally.last_index(), &mut frame);
        self.main.append(&frame)?;
        self.main.sync()
    }
}

/// Makes of a part the next frame of a file, and says what shape its values have.
fn encode(log: &Log, now: u64, part: &Part<'_>, options: Options, frame: &mut Vec<u8>) -> Option<Shape> {
    let Part { kind, keys, outcomes, rows, attempts } = part;
    let place = log.place(now);
    frame.clear();
    match kind {
        Recorded::Values => encode_values(place, keys, outcomes, *rows, attempts, options, frame),
        Recorded::Failures => {
            encode_failures(place, keys, outcomes, *rows, options, frame);
            None
        }
    }
}
