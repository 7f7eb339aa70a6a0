//! Backups of rust_pyfunc, versions 2 to 4: their records as they stand in the file, one after the other.
//!
//! The layout was found out from files (version 4 of 0.91.0, version 3 by its own converter from version 2), see
//! `tests/golden/rust_pyfunc/README.md`. Its counts are not believed, since a kill leaves them behind: what is in the
//! file is found by walking over it. It knows nothing of checkpoints.
//!
//! Invariants: a record is shown only if its form is right and, from version 3 on, its checksum; every byte that was
//! passed over is told; memory is that of one chunk.

mod record;
#[cfg(test)]
mod tests;

use std::{io, ops::Range};

use shared::checkpoint::ReadAt;

pub use self::record::Record;
use self::record::{Form, Version};

const MAGIC: &[u8; 8] = b"RPBACKUP";
const HEADER: u64 = 64;
/// A chunk's head: its compressed size and how many records it has, four bytes each.
const CHUNK_HEAD: u64 = 8;
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The longest chunk that is taken for one, decompressed.
const CHUNK_LIMIT: u64 = 1 << 30;
/// What is read at once of records that are not in chunks.
const STRETCH: u64 = 1 << 20;

/// A backup whose header has been read.
pub struct Backup<'a, S: ?Sized> {
    source: &'a S,
    len: u64,
    form: Form,
    /// How many records the header tells of.
    pub told: u64,
}

/// Bytes of which nothing could be made, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Where they are.
    pub bytes: Range<u64>,
    /// What is wrong with them.
    pub why: String,
}

/// The file is not one that can be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It does not begin as one.
    #[error("not a backup of rust_pyfunc: it does not begin with RPBACKUP")]
    Stranger,
    /// A version that is not known here.
    #[error("a backup of version {0}, where 2, 3 and 4 can be read")]
    Version(u32),
    /// The header contradicts itself.
    #[error("a damaged header: records of {0} bytes cannot hold {1} factors")]
    Header(u32, u32),
    /// It cannot be read.
    #[error("failed to read: {0}")]
    Read(#[from] io::Error),
}

impl<'a, S: ReadAt + ?Sized> Backup<'a, S> {
    /// Reads the header.
    pub fn open(source: &'a S) -> Result<Backup<'a, S>, BackupError> {
        let len = source.len()?;
        let mut header = [0; HEADER as usize];
        let filled = source.read_at(0, &mut header)?;
        if filled < header.len() || header[..8] != *MAGIC {
            return Err(BackupError::Stranger);
        }
        let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let version = Version::of(number(8)).ok_or(BackupError::Version(number(8)))?;
        let told = u64::from(number(12)) | u64::from(number(16)) << 32;
        let (record_len, factors) = (number(20), number(24));
        let form = Form { version, factors };
        if form.record_len() != u64::from(record_len) {
            return Err(BackupError::Header(record_len, factors));
        }
        Ok(Backup { source, len, form, told })
    }

    /// How many numbers a record has.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.form.factors
    }

    /// Whether its numbers were narrowed to float32.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.form.is_narrow()
    }

    /// Shows every record in the order of the file; what could not be read is returned.
    pub fn records(&self, visit: &mut dyn FnMut(Record<'_>)) -> io::Result<Vec<Lost>> {
        match self.form.version {
            Version::Two | Version::Three => self.plain(visit),
            Version::Four => self.chunks(visit),
        }
    }

    fn plain(&self, visit: &mut dyn FnMut(Record<'_>)) -> io::Result<Vec<Lost>> {
        let mut lost = Vec::new();
        let stretch = (STRETCH / self.form.record_len()).max(1) * self.form.record_len();
        let mut at = HEADER;
        while at < self.len {
            let bytes = self.read(at, stretch.min(self.len - at))?;
            let len = self.form.record_len();
            let place = |index: u64| at + index * len..(at + (index + 1) * len).min(self.len);
            self.show(&bytes, place, visit, &mut lost);
            at += bytes.len() as u64;
        }
        Ok(lost)
    }

    fn chunks(&self, visit: &mut dyn FnMut(Record<'_>)) -> io::Result<Vec<Lost>> {
        let mut lost = Vec::new();
        let mut at = HEADER;
        while at < self.len {
            if let Some((bytes, end)) = self.chunk(at)? {
                self.show(&bytes, |_| at..end, visit, &mut lost);
                at = end;
                continue;
            }
            let start = at;
            at = self.next_chunk(at + 1)?.unwrap_or(self.len);
            lost.push(Lost { bytes: start..at, why: "no chunk can be read".to_owned() });
        }
        Ok(lost)
    }

    /// Shows records; `place` tells where in the file the one of an index is, or its chunk.
    fn show(
        &self,
        bytes: &[u8],
        place: impl Fn(u64) -> Range<u64>,
        visit: &mut dyn FnMut(Record<'_>),
        lost: &mut Vec<Lost>,
    ) {
        for (index, bytes) in (0..).zip(bytes.chunks(self.form.record_len() as usize)) {
            match self.form.read(bytes) {
                Ok(record) => visit(record),
                Err(why) => {
                    lost.push(Lost { bytes: place(index), why: format!("record {}: {why}", index + 1) });
                }
            }
        }
    }

    /// The records of the chunk at an offset, and where it ends.
    fn chunk(&self, at: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
        let head = self.read(at, (CHUNK_HEAD + ZSTD.len() as u64).min(self.len - at))?;
        let (Some(size), Some(count)) = (number(&head, 0), number(&head, 4)) else { return Ok(None) };
        let (end, whole) =
            (at + CHUNK_HEAD + u64::from(size), u64::from(count).saturating_mul(self.form.record_len()));
        if head[8..] != ZSTD || end > self.len || whole == 0 || whole > CHUNK_LIMIT {
            return Ok(None);
        }
        let compressed = self.read(at + CHUNK_HEAD, u64::from(size))?;
        let told = zstd::zstd_safe::get_frame_content_size(&compressed).ok().flatten();
        if told.is_some_and(|told| told != whole) {
            return Ok(None);
        }
        let records = zstd::bulk::decompress(&compressed, whole as usize).ok();
        Ok(records.filter(|records| records.len() as u64 == whole).map(|records| (records, end)))
    }

    /// Where the next chunk begins that can be read.
    fn next_chunk(&self, from: u64) -> io::Result<Option<u64>> {
        let overlap = CHUNK_HEAD + ZSTD.len() as u64 - 1;
        let mut at = from;
        while at + overlap < self.len {
            let bytes = self.read(at, STRETCH.min(self.len - at))?;
            for skip in 0..bytes.len().saturating_sub(overlap as usize) {
                if bytes[skip + 8..skip + 12] == ZSTD && self.chunk(at + skip as u64)?.is_some() {
                    return Ok(Some(at + skip as u64));
                }
            }
            at += bytes.len() as u64 - overlap;
        }
        Ok(None)
    }

    fn read(&self, at: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        let filled = self.source.read_at(at, &mut bytes)?;
        bytes.truncate(filled);
        Ok(bytes)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
