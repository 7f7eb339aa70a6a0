//! The contents of one frame: keys, values and stories, as rows or as columns, all of them or some.
//!
//! Only the blobs that are asked for are read, and each is checked before it is used: first its checksum, then its
//! form. Frames come from a [`Scanner`](super::Scanner).
//!
//! Invariant: memory is bounded by what is in the file, or by [`UNPACKED_LIMIT`] where a frame unpacks to more.

use std::{borrow::Cow, io, ops::Range};

use super::{
    FrameAt, ReadAt, UNPACKED_LIMIT,
    head::{Head, Kind},
    index,
    layout::{Compress, Layout, Schema},
    pad8, story,
    table::{Column, Table},
};
use crate::{
    msgpack::{self, Malformed},
    outcome::Failure,
};

/// Why the rows of a frame cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BadRows {
    /// The source could not be read.
    #[error("failed to read")]
    Read(#[from] io::Error),
    /// The checksum of this blob of the frame is wrong.
    #[error("damaged frame: the checksum of blob {0} is wrong")]
    Checksum(usize),
    /// The contents of this blob do not have the form that the head says.
    #[error("damaged frame: blob {0} breaks the rules of the format")]
    Form(usize),
}

/// Keys or values of a frame, as they lie there.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// MessagePack values one behind the other.
    Rows(Vec<u8>),
    /// Columns.
    Columns(Table),
}

impl Block {
    /// The rows as MessagePack values, one behind the other.
    #[must_use]
    pub fn into_rows(self) -> Vec<u8> {
        match self {
            Block::Rows(rows) => rows,
            Block::Columns(table) => {
                let mut rows = Vec::new();
                table.put_rows(&mut rows);
                rows
            }
        }
    }
}

/// The two halves of a frame of values or failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The keys.
    Keys,
    /// The values or stories.
    Outcomes,
}

/// A frame that can be read from.
pub struct Contents<'a, S: ?Sized> {
    source: &'a S,
    frame: FrameAt,
    head: &'a Head,
}

impl<'a, S: ReadAt + ?Sized> Contents<'a, S> {
    /// The contents of this frame.
    pub fn new(source: &'a S, frame: &FrameAt, head: &'a Head) -> Contents<'a, S> {
        Contents { source, frame: *frame, head }
    }

    /// One half of a frame as it lies there; `None` if the frame has no rows.
    pub fn block(&self, side: Side) -> Result<Option<Block>, BadRows> {
        let Some((layout, first)) = self.layout(side) else { return Ok(None) };
        let rows = self.head.rows();
        let Some(schema) = &layout.schema else {
            let span = self.span(first..first + 1)?;
            let bytes = span.blob(first, layout.compress, None, &mut Unpacker::default())?.into_owned();
            return if are_values(&bytes, rows) {
                Ok(Some(Block::Rows(bytes)))
            } else {
                Err(BadRows::Form(first))
            };
        };
        let span = self.span(first..first + layout.blobs())?;
        let (starts, mut unpacker) = (schema.blob_starts(), Unpacker::default());
        let columns = (0..schema.types.len()).map(|column| {
            self.decode(&span, layout.compress, schema, column, first + starts[column], &mut unpacker)
        });
        let columns = columns.collect::<Result<_, _>>()?;
        let table = Table { row: schema.row, names: schema.names.clone(), count: rows, columns };
        if table.has_bounded_rows() { Ok(Some(Block::Columns(table))) } else { Err(BadRows::Form(first)) }
    }

    /// Some columns of one half, in the order asked for, and nothing else read; `None` if it does not lie in columns.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn columns(&self, side: Side, wanted: &[usize]) -> Result<Option<Vec<Column>>, BadRows> {
        let Some((Layout { schema: Some(schema), compress }, first)) = self.layout(side) else {
            return Ok(None);
        };
        let (starts, mut unpacker) = (schema.blob_starts(), Unpacker::default());
        let columns = wanted.iter().map(|&column| {
            let span = self.span(first + starts[column]..first + starts[column + 1])?;
            self.decode(&span, *compress, schema, column, first + starts[column], &mut unpacker)
        });
        columns.collect::<Result<_, _>>().map(Some)
    }

    /// The layout of one half, and the number of its first blob.
    fn layout(&self, side: Side) -> Option<(&'a Layout, usize)> {
        let (keys, outcomes) = self.head.layouts()?;
        Some(match side {
            Side::Keys => (keys, 0),
            Side::Outcomes => (outcomes, keys.blobs()),
        })
    }

    fn decode(
        &self,
        span: &Span<'_>,
        compress: Compress,
        schema: &Schema,
        column: usize,
        first: usize,
        unpacker: &mut Unpacker,
    ) -> Result<Column, BadRows> {
        let kind = schema.types[column];
        let rows = self.head.rows();
        let implied = kind.item_len().map(|len| len * u64::from(rows));
        let codes = span.blob(first, compress, implied, unpacker)?;
        let more =
            if kind.blobs() > 1 { Some(span.blob(first + 1, compress, None, unpacker)?) } else { None };
        let blobs: Vec<&[u8]> = std::iter::once(&*codes).chain(more.as_deref()).collect();
        Column::decode(kind, &blobs, rows).map_err(|blob| BadRows::Form(first + blob))
    }

    /// Reads blobs that lie side by side.
    fn span(&self, blobs: Range<usize>) -> Result<Span<'a>, BadRows> {
        let table = &self.head.blobs;
        let (start, end) = (table[blobs.start].at, table[blobs.end - 1]);
        let at = self.frame.offset + self.frame.header.body_at() + start;
        let mut bytes = vec![0; (end.at + pad8(end.len) - start) as usize];
        let filled = self.source.read_at(at, &mut bytes)?;
        bytes.truncate(filled);
        Ok(Span { head: self.head, start, bytes })
    }

    /// The frames that an index frame lists; `None` if it is something else.
    pub fn listed(&self) -> Result<Option<Vec<(FrameAt, Head)>>, BadRows> {
        let Kind::Index { .. } = self.head.kind else { return Ok(None) };
        let span = self.span(0..1)?;
        let listed = span.stored(0)?;
        let entries = index::entries(listed, self.frame.header.tag, self.frame.offset);
        entries.map(Some).ok_or(BadRows::Form(0))
    }

    /// Checks all that is behind the keys.
    pub(super) fn check_outcomes(&self) -> Result<(), BadRows> {
        match self.head.kind {
            Kind::Values { .. } | Kind::Failures { .. } => self.block(Side::Outcomes).map(drop),
            Kind::Index { .. } => self.listed().map(drop),
            Kind::Optional if !self.head.blobs.is_empty() => {
                let span = self.span(0..self.head.blobs.len())?;
                let mut blobs = 0..self.head.blobs.len();
                blobs.try_for_each(|blob| span.stored(blob).map(drop))
            }
            Kind::Optional | Kind::Close(_) => Ok(()),
        }
    }
}

/// Some blobs of a frame that lie side by side.
struct Span<'a> {
    head: &'a Head,
    /// Where they begin, from the start of the body.
    start: u64,
    bytes: Vec<u8>,
}

impl Span<'_> {
    /// A blob as it is stored, without its padding, checked.
    fn stored(&self, index: usize) -> Result<&[u8], BadRows> {
        let blob = &self.head.blobs[index];
        let start = (blob.at - self.start) as usize;
        let padded = self.bytes.get(start..start + pad8(blob.len) as usize);
        let sound = padded.filter(|padded| crc32fast::hash(padded) == blob.crc);
        Ok(&sound.ok_or(BadRows::Checksum(index))?[..blob.len as usize])
    }

    /// A blob as it was before it was stored; of this very length if one is implied.
    fn blob(
        &self,
        index: usize,
        compress: Compress,
        len: Option<u64>,
        unpacker: &mut Unpacker,
    ) -> Result<Cow<'_, [u8]>, BadRows> {
        let stored = self.stored(index)?;
        match compress {
            Compress::None => Ok(Cow::Borrowed(stored)),
            Compress::Zstd => unpacker.unpack(stored, len).map(Cow::Owned).ok_or(BadRows::Form(index)),
        }
    }
}

/// Unpacks Zstandard frames, one after the other, to no more than a limit altogether: a few kilobytes that claim a
/// gigabyte may do so once, and not for each column.
struct Unpacker {
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    left: u64,
}

impl Default for Unpacker {
    fn default() -> Unpacker {
        Unpacker { decompressor: None, left: UNPACKED_LIMIT }
    }
}

impl Unpacker {
    /// What one frame holds, if it is of this length, or bounded where none is implied.
    fn unpack(&mut self, stored: &[u8], len: Option<u64>) -> Option<Vec<u8>> {
        /// No block of Zstandard is shorter than this, and none holds more than that.
        const BLOCK: (u64, u64) = (4, 128 << 10);
        let told = zstd::zstd_safe::get_frame_content_size(stored).ok()??;
        let whole = zstd::zstd_safe::find_frame_compressed_size(stored).ok()? == stored.len();
        let possible = (stored.len() as u64 / BLOCK.0).saturating_mul(BLOCK.1).min(self.left);
        if !whole || told > possible || len.is_some_and(|len| len != told) {
            return None;
        }
        self.left -= told;
        if self.decompressor.is_none() {
            self.decompressor = zstd::bulk::Decompressor::new().ok();
        }
        let bytes = self.decompressor.as_mut()?.decompress(stored, told as usize).ok()?;
        (bytes.len() as u64 == told).then_some(bytes)
    }
}

/// Whether these are `count` whole values.
pub(super) fn are_values(bytes: &[u8], count: u32) -> bool {
    let counted = msgpack::values(bytes).try_fold(0u32, |so_far, value| {
        value.and_then(|_| so_far.checked_add(1).filter(|&so_far| so_far <= count).ok_or(Malformed))
    });
    counted == Ok(count)
}

/// Rows of values: `count` MessagePack values each, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The keys.
    pub keys: Vec<u8>,
    /// The values.
    pub values: Vec<u8>,
    /// How many.
    pub count: u32,
}

/// Rows of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// The keys, one behind the other.
    pub keys: Vec<u8>,
    /// What happened to each.
    pub stories: Vec<Failure>,
}

impl Rows {
    /// Reads a frame's values; `None` if it is not one of values.
    pub fn read<S: ReadAt + ?Sized>(
        source: &S,
        frame: &FrameAt,
        head: &Head,
    ) -> Result<Option<Rows>, BadRows> {
        let Kind::Values { rows, .. } = head.kind else { return Ok(None) };
        Ok(both(source, frame, head)?.map(|(keys, values)| Rows { keys, values, count: rows }))
    }
}

impl Failures {
    /// Reads a frame's failures; `None` if it is not one of failures.
    pub fn read<S: ReadAt + ?Sized>(
        source: &S,
        frame: &FrameAt,
        head: &Head,
    ) -> Result<Option<Failures>, BadRows> {
        let Kind::Failures { .. } = head.kind else { return Ok(None) };
        let Some((keys, stories)) = both(source, frame, head)? else { return Ok(None) };
        let blob = head.blobs.len() - 1;
        let stories = msgpack::values(&stories)
            .map(|story| story.ok().and_then(story::decode).ok_or(BadRows::Form(blob)))
            .collect::<Result<_, _>>()?;
        Ok(Some(Failures { keys, stories }))
    }
}

/// Keys, and values or stories, one behind the other.
type Halves = (Vec<u8>, Vec<u8>);

/// Both halves of a frame, as rows.
fn both<S: ReadAt + ?Sized>(source: &S, frame: &FrameAt, head: &Head) -> Result<Option<Halves>, BadRows> {
    let contents = Contents::new(source, frame, head);
    let (keys, outcomes) = (contents.block(Side::Keys)?, contents.block(Side::Outcomes)?);
    Ok(keys.zip(outcomes).map(|(keys, outcomes)| (keys.into_rows(), outcomes.into_rows())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_packed_blob_can_hold_is_unpacked() {
        let mut unpacker = Unpacker::default();
        let packed = zstd::bulk::compress(&[7; 4096], 1).expect("memory");
        assert_eq!(unpacker.unpack(&packed, None), Some(vec![7; 4096]));
        assert_eq!(unpacker.unpack(&packed, Some(4096)).map(|bytes| bytes.len()), Some(4096));
        assert_eq!(unpacker.unpack(&packed, Some(4095)), None, "another length is implied");
        assert_eq!(unpacker.unpack(&packed[..packed.len() - 1], None), None, "cut");
        assert_eq!(unpacker.unpack(&[&packed[..], &packed].concat(), None), None, "two frames");
        assert_eq!(unpacker.unpack(&[0; 16], None), None, "none");
        let mut untold = Vec::new();
        zstd::stream::copy_encode(&[7; 4096][..], &mut untold, 1).expect("memory");
        assert_eq!(unpacker.unpack(&untold, None), None, "it does not tell its size");
        // A frame that claims a terabyte: single segment, eight bytes of size, one empty last block.
        let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        bomb.extend((1u64 << 40).to_le_bytes());
        bomb.extend([1, 0, 0]);
        assert_eq!(unpacker.unpack(&bomb, None), None);
        assert_eq!(unpacker.unpack(&bomb, Some(1 << 40)), None);
    }

    #[test]
    fn reproduces_columns_that_unpack_to_a_gigabyte_each() {
        let packed = zstd::bulk::compress(&[7; 4096], 1).expect("memory");
        let mut unpacker = Unpacker { left: 3 * 4096 - 1, ..Unpacker::default() };
        let unpacked = [(); 3].map(|()| unpacker.unpack(&packed, Some(4096)).is_some());
        assert_eq!(unpacked, [true, true, false], "the columns of a frame share one limit");
    }
}
