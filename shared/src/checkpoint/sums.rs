//! The checksum of any long run of bytes of a file, without reading a byte again for each run that it is part of.
//!
//! A file of false frame heads that lie within each other would have a scanner read 16 MiB for every 40 bytes. So
//! checksums of all that follows on a base are remembered, every [`STRIDE`] bytes; that of a run is what two differ by.
//!
//! Invariant: as runs begin further and further on, each byte is looked at twice, and two strides for each run.

use std::{io, ops::Range};

use crc32fast::Hasher;

use super::{HEAD_LIMIT, ReadAt};

/// From one remembered checksum to the next.
pub(super) const STRIDE: u64 = 4 << 10;

/// Checksums of a source.
pub(super) struct Sums<'a, S: ?Sized> {
    source: &'a S,
    base: u64,
    /// Of the bytes from `base` on, none of them first, then a stride more each.
    known: Vec<u32>,
}

impl<'a, S: ReadAt + ?Sized> Sums<'a, S> {
    /// Those of a source of which nothing was read yet.
    pub(super) fn new(source: &'a S) -> Sums<'a, S> {
        Sums { source, base: 0, known: vec![0] }
    }

    /// The checksum of a run of bytes; `None` if the source ends before.
    pub(super) fn of(&mut self, run: Range<u64>) -> io::Result<Option<u32>> {
        let reach = self.base + self.known.len() as u64 * STRIDE;
        let is_near = self.base <= run.start && run.start < reach.min(self.base + u64::from(HEAD_LIMIT));
        if !is_near {
            (self.base, self.known) = (run.start, vec![0]);
        }
        let (Some(before), Some(all)) = (self.up_to(run.start)?, self.up_to(run.end)?) else {
            return Ok(None);
        };
        let mut before = Hasher::new_with_initial_len(before, run.start - self.base);
        before.combine(&Hasher::new_with_initial_len(0, run.end - run.start));
        Ok(Some(before.finalize() ^ all))
    }

    /// The checksum from the base up to there.
    fn up_to(&mut self, end: u64) -> io::Result<Option<u32>> {
        let strides = (end - self.base) / STRIDE;
        while (self.known.len() as u64) <= strides {
            let last = self.known.len() - 1;
            let Some(next) = self.longer(last, STRIDE)? else { return Ok(None) };
            self.known.push(next);
        }
        self.longer(strides as usize, (end - self.base) % STRIDE)
    }

    /// A remembered checksum with so many bytes more.
    fn longer(&self, place: usize, len: u64) -> io::Result<Option<u32>> {
        let mut bytes = [0; STRIDE as usize];
        let bytes = &mut bytes[..len as usize];
        let done = place as u64 * STRIDE;
        if self.source.read_at(self.base + done, bytes)? < bytes.len() {
            return Ok(None);
        }
        let mut sum = Hasher::new_with_initial_len(self.known[place], done);
        sum.update(bytes);
        Ok(Some(sum.finalize()))
    }
}
