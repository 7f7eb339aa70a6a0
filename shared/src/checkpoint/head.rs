//! The head of a frame: one MessagePack map that says what the frame holds and where in its body.
//!
//! [`Map`] is its form in the file, [`Head`] what the rest of the program sees.
//! Invariant: a decoded head is consistent in itself and with the length of its body.

use serde::{Deserialize, Serialize};

use super::{pad8, u32_at, u64_at};
use crate::id::Attempt;

/// Bytes of one entry of the table of blobs.
pub const BLOB_ENTRY: usize = 12;

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Keys and values.
    Values {
        /// How many.
        rows: u32,
        /// How the values are laid out.
        layout: Layout,
        /// The attempt that gave the value, for rows where it was not the first.
        attempts: Vec<(u32, Attempt)>,
    },
    /// Keys and stories.
    Failures {
        /// How many.
        rows: u32,
    },
    /// A writer ended in order.
    Close(Totals),
    /// Something that a newer version may pass over.
    Optional,
}

/// How values are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One behind the other.
    MessagePack,
    /// A blob for each column.
    Columns {
        /// The type of each.
        types: Vec<ColumnType>,
        /// What a row was.
        row: RowShape,
    },
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// IEEE 754 binary64.
    Float64,
    /// Two's complement.
    Int64,
}

/// What a row of numbers was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowShape {
    /// An array.
    List,
    /// A bare number.
    Scalar,
}

/// What a file holds up to a close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Rows of values.
    pub values: u64,
    /// Rows of failures.
    pub failures: u64,
    /// Frames.
    pub frames: u64,
}

/// One blob of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Where it begins, from the start of the body.
    pub at: u64,
    /// Its length without padding.
    pub len: u64,
    /// Checksum of it and its padding.
    pub crc: u32,
}

/// A decoded head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What the frame holds.
    pub kind: Kind,
    /// When it was written, Unix time in milliseconds.
    pub at: u64,
    /// The blobs of its body: first the keys, then values or stories.
    pub blobs: Vec<Blob>,
}

/// Why a credible head cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// It was not written by the rules.
    Malformed,
    /// It holds something that this version does not know.
    Newer,
}

/// The map in the file.
#[derive(Deserialize)]
struct Map<'a> {
    kind: &'a str,
    at: u64,
    #[serde(borrow)]
    blobs: &'a [u8],
    n: Option<u32>,
    keys: Option<&'a str>,
    values: Option<&'a str>,
    types: Option<&'a str>,
    row: Option<&'a str>,
    #[serde(default)]
    attempts: Vec<(u32, u16)>,
    stories: Option<&'a str>,
    total: Option<Totals>,
    #[serde(default)]
    optional: bool,
}

impl Head {
    /// Reads the head of a frame whose body is `body_len` long.
    pub fn decode(bytes: &[u8], body_len: u64) -> Result<Head, HeadError> {
        let map: Map<'_> = rmp_serde::from_slice(bytes).map_err(|_| HeadError::Malformed)?;
        let blobs = table(map.blobs, body_len).ok_or(HeadError::Malformed)?;
        let (kind, count) = match map.kind {
            "values" => {
                let rows = rows(&map)?;
                let layout = layout(&map)?;
                let columns = match &layout {
                    Layout::MessagePack => 1,
                    Layout::Columns { types, .. } => types.len(),
                };
                let attempts = map.attempts.iter().map(|&(row, attempt)| (row, Attempt(attempt))).collect();
                (Kind::Values { rows, layout, attempts }, 1 + columns)
            }
            "failures" => {
                let rows = rows(&map)?;
                known(map.stories, "msgpack")?;
                (Kind::Failures { rows }, 2)
            }
            "close" => (Kind::Close(map.total.ok_or(HeadError::Malformed)?), 0),
            _ if map.optional => return Ok(Head { kind: Kind::Optional, at: map.at, blobs }),
            _ => return Err(HeadError::Newer),
        };
        let head = Head { kind, at: map.at, blobs };
        if head.blobs.len() == count && head.has_whole_columns() {
            Ok(head)
        } else {
            Err(HeadError::Malformed)
        }
    }

    fn has_whole_columns(&self) -> bool {
        match &self.kind {
            Kind::Values { rows, layout: Layout::Columns { .. }, .. } => {
                self.blobs[1..].iter().all(|blob| blob.len == u64::from(*rows) * 8)
            }
            Kind::Values { .. } | Kind::Failures { .. } | Kind::Close(_) | Kind::Optional => true,
        }
    }

    /// How many rows the frame has, of either kind.
    #[must_use]
    pub fn rows(&self) -> u32 {
        match self.kind {
            Kind::Values { rows, .. } | Kind::Failures { rows } => rows,
            Kind::Close(_) | Kind::Optional => 0,
        }
    }
}

fn rows(map: &Map<'_>) -> Result<u32, HeadError> {
    known(map.keys, "msgpack")?;
    map.n.filter(|&rows| rows > 0).ok_or(HeadError::Malformed)
}

fn known(layout: Option<&str>, expected: &str) -> Result<(), HeadError> {
    match layout {
        None => Err(HeadError::Malformed),
        Some(layout) if layout == expected => Ok(()),
        Some(_) => Err(HeadError::Newer),
    }
}

fn layout(map: &Map<'_>) -> Result<Layout, HeadError> {
    if map.values != Some("columns") {
        return known(map.values, "msgpack").map(|()| Layout::MessagePack);
    }
    let types = map.types.ok_or(HeadError::Malformed)?;
    let types: Vec<ColumnType> = types
        .chars()
        .map(|letter| match letter {
            'f' => Ok(ColumnType::Float64),
            'i' => Ok(ColumnType::Int64),
            _ => Err(HeadError::Newer),
        })
        .collect::<Result<_, _>>()?;
    let row = match map.row {
        Some("list") if !types.is_empty() => RowShape::List,
        Some("scalar") if types.len() == 1 => RowShape::Scalar,
        _ => return Err(HeadError::Malformed),
    };
    Ok(Layout::Columns { types, row })
}

/// The blobs, if they make up a body of this length.
fn table(entries: &[u8], body_len: u64) -> Option<Vec<Blob>> {
    let (entries, rest) = entries.as_chunks::<BLOB_ENTRY>();
    let mut blobs = Vec::with_capacity(entries.len());
    let mut at = 0u64;
    for entry in entries {
        let len = u64_at(entry, 0);
        if len > body_len - at || pad8(len) > body_len - at {
            return None;
        }
        blobs.push(Blob { at, len, crc: u32_at(entry, 8) });
        at += pad8(len);
    }
    (rest.is_empty() && at == body_len).then_some(blobs)
}
