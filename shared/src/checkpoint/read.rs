//! The contents of one frame: its keys, its values as they were returned, its stories, one column of it.
//!
//! Each blob is checked before it is used. Frames come from a [`Scanner`](super::Scanner).

use std::io;

use super::{
    FrameAt, ReadAt, Scanner,
    columns::{self, Schema},
    head::{Head, Kind, Layout},
    story,
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
    /// A checksum is wrong, or the contents do not have the form that the head says.
    #[error("damaged frame")]
    Damaged,
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

/// Whether these are `count` whole values.
pub(super) fn are_values(bytes: &[u8], count: u32) -> bool {
    let counted = msgpack::values(bytes).try_fold(0u32, |so_far, value| {
        value.and_then(|_| so_far.checked_add(1).filter(|&so_far| so_far <= count).ok_or(Malformed))
    });
    counted == Ok(count)
}

impl Rows {
    /// Reads a frame's values; `None` if it is not one of values.
    pub fn read<S: ReadAt + ?Sized>(
        source: &S,
        frame: &FrameAt,
        head: &Head,
    ) -> Result<Option<Rows>, BadRows> {
        let Kind::Values { rows, layout, .. } = &head.kind else { return Ok(None) };
        let count = *rows;
        let mut scanner = Scanner::new(source, frame.offset, frame.end(), None);
        let keys = listed(&mut scanner, frame, head, 0, count)?;
        let values = match layout {
            Layout::MessagePack => listed(&mut scanner, frame, head, 1, count)?,
            Layout::Columns { types, row } => {
                let mut blobs = Vec::with_capacity(types.len());
                for blob in &head.blobs[1..] {
                    blobs.push(scanner.blob(frame, blob)?.ok_or(BadRows::Damaged)?.to_vec());
                }
                let slices: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
                let mut values = Vec::with_capacity(count as usize * (types.len() * 9 + 1));
                columns::rows(&Schema { types: types.clone(), row: *row }, &slices, count, &mut values);
                values
            }
        };
        Ok(Some(Rows { keys, values, count }))
    }
}

impl Failures {
    /// Reads a frame's failures; `None` if it is not one of failures.
    pub fn read<S: ReadAt + ?Sized>(
        source: &S,
        frame: &FrameAt,
        head: &Head,
    ) -> Result<Option<Failures>, BadRows> {
        let Kind::Failures { rows } = head.kind else { return Ok(None) };
        let mut scanner = Scanner::new(source, frame.offset, frame.end(), None);
        let keys = listed(&mut scanner, frame, head, 0, rows)?;
        let stories = listed(&mut scanner, frame, head, 1, rows)?;
        let stories = msgpack::values(&stories)
            .map(|story| story.ok().and_then(story::decode).ok_or(BadRows::Damaged))
            .collect::<Result<_, _>>()?;
        Ok(Some(Failures { keys, stories }))
    }
}

fn listed<S: ReadAt + ?Sized>(
    scanner: &mut Scanner<'_, S>,
    frame: &FrameAt,
    head: &Head,
    index: usize,
    count: u32,
) -> Result<Vec<u8>, BadRows> {
    let bytes = scanner.blob(frame, &head.blobs[index])?.ok_or(BadRows::Damaged)?;
    if are_values(bytes, count) { Ok(bytes.to_vec()) } else { Err(BadRows::Damaged) }
}
