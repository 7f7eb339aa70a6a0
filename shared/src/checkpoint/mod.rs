//! The checkpoint file as bytes: how frames are laid out, encoded, found again, checked and judged.
//!
//! `docs/checkpoint-format.md` is the norm; this is its one implementation in Rust. Nothing here opens, writes or names
//! a file: bytes are read through [`ReadAt`], and what is to be written goes into a `Vec`.
//!
//! Writing: [`FileHeader`], [`encode`]. Reading: [`scan`] finds frames and damage, [`read`] gives their rows,
//! [`inspect`] judges a file
//! as a whole, [`pair`] a file with its journal. [`layout`] and [`story`] are the forms of rows and failures.
//!
//! Invariants: no byte is believed before its CRC was right, nothing is allocated on the word of a length before it
//! was compared with what is there, and a value comes back as what it was.

use std::io;

mod body;
mod columns;
mod dictionary;
pub mod encode;
pub mod failed;
mod form;
pub mod frame;
pub mod head;
pub mod header;
pub mod index;
pub mod info;
pub mod inspect;
mod item;
pub mod layout;
pub mod pair;
mod plan;
pub mod read;
pub mod scan;
pub mod show;
pub mod story;
mod sums;
pub mod table;
mod uniform;
pub mod window;

pub use self::{
    encode::{Options, Place, encode_close, encode_failures, encode_index, encode_values},
    failed::FailedKeys,
    head::{Close, Head, Kind, Totals},
    header::{FileHeader, HeaderError, JournalOf},
    info::Info,
    inspect::{Depth, Inspection, Visit, inspect},
    layout::{ColumnType, CommonShape, Compress, Layout, RowKind, Schema, Shape},
    pair::{Journal, Judgement, Listed, Pair, Part},
    read::{BadRows, Block, Contents, Failures, Rows, Side},
    scan::{Damage, FrameAt, Scanner, Step, What},
    table::{Column, Table},
};

/// The longest map, of a header or a frame, that is read.
pub const HEAD_LIMIT: u32 = 16 << 20;

/// The most bytes that a compressed blob, the blobs of one half of a frame, or the rows of columns, unpack to. A fuzzer
/// reaches a limit sooner that is lower, and with less memory.
pub const UNPACKED_LIMIT: u64 = if cfg!(fuzzing) { 16 << 20 } else { 1 << 30 };

/// Something that can be read at any place, like a file.
pub trait ReadAt {
    /// How long it is now.
    fn len(&self) -> io::Result<u64>;

    /// Fills `into` from offset `at` on; fewer bytes than that only at the end.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl ReadAt for std::fs::File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut into[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl ReadAt for [u8] {
    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or(&[]);
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// `len` rounded up to a multiple of 8.
#[must_use]
pub fn pad8(len: u64) -> u64 {
    len.checked_next_multiple_of(8).unwrap_or(u64::MAX)
}

/// Puts zeros behind `out` up to a multiple of 8, counted from `start`.
fn pad(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    out.resize(start + len.next_multiple_of(8), 0);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod pair_tests;
#[cfg(test)]
mod rows_tests;
#[cfg(test)]
mod scan_tests;
#[cfg(test)]
mod tests;
