//! The head of a frame: one MessagePack map that says what the frame holds and where in its body.
//!
//! [`Map`] is its form in the file, [`Head`] what the rest of the program sees.
//! Invariant: a decoded head is consistent in itself and with the length of its body.

use serde::{Deserialize, Serialize};

use super::{
    layout::{Layout, RowKind, Shape, Words},
    pad8, u32_at, u64_at,
};
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
        /// How the keys are laid out.
        keys: Layout,
        /// How the values are laid out.
        values: Layout,
        /// The attempt that gave the value, for rows where it was not the first.
        attempts: Vec<(u32, Attempt)>,
        /// The journal all of whose rows are in the file with this frame.
        folds: Option<[u8; 16]>,
    },
    /// Keys and stories.
    Failures {
        /// How many.
        rows: u32,
        /// How the keys are laid out.
        keys: Layout,
        /// How the stories are stored.
        stories: Layout,
        /// The journal all of whose rows are in the file with this frame.
        folds: Option<[u8; 16]>,
    },
    /// Copies of the heads before it.
    Index {
        /// Where the index frame before this one begins.
        previous: Option<u64>,
    },
    /// A writer ended in order.
    Close(Close),
    /// Something that a newer version may pass over.
    Optional,
}

/// What a close frame tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// What the file holds before it.
    pub totals: Totals,
    /// What all values of the file have in common.
    pub shape: Option<Shape>,
    /// Where the last index frame begins.
    pub index: Option<u64>,
}

/// What a file holds up to a close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Rows of values.
    pub values: u64,
    /// Rows of failures.
    pub failures: u64,
    /// Keys that have failures and no value; `None` if nobody counted them.
    pub failed: Option<u64>,
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
    /// The blobs of its body: first those of the keys, then those of the values or stories.
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
    key_types: Option<&'a str>,
    key_row: Option<&'a str>,
    #[serde(default)]
    key_names: Vec<&'a str>,
    values: Option<&'a str>,
    types: Option<&'a str>,
    row: Option<&'a str>,
    #[serde(default)]
    names: Vec<&'a str>,
    #[serde(default)]
    attempts: Vec<(u32, u16)>,
    stories: Option<&'a str>,
    #[serde(default)]
    folds: Option<&'a [u8]>,
    #[serde(default)]
    previous: Option<u64>,
    total: Option<Totals>,
    #[serde(default)]
    shape: Option<ShapeMap<'a>>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
struct ShapeMap<'a> {
    row: &'a str,
    width: u32,
    #[serde(default, borrow)]
    names: Vec<&'a str>,
}

impl Head {
    /// Reads the head of a frame whose body is `body_len` long.
    pub fn decode(bytes: &[u8], body_len: u64) -> Result<Head, HeadError> {
        let map: Map<'_> = rmp_serde::from_slice(bytes).map_err(|_| HeadError::Malformed)?;
        let blobs = table(map.blobs, body_len).ok_or(HeadError::Malformed)?;
        let (kind, at) = (map.kind, map.at);
        let (kind, count) = match kind {
            "values" | "failures" => rows(map)?,
            "index" => (Kind::Index { previous: map.previous }, 1),
            "close" => (Kind::Close(close(map)?), 0),
            _ if map.optional => return Ok(Head { kind: Kind::Optional, at, blobs }),
            _ => return Err(HeadError::Newer),
        };
        let head = Head { kind, at, blobs };
        if head.blobs.len() == count && head.has_fitting_blobs() {
            Ok(head)
        } else {
            Err(HeadError::Malformed)
        }
    }

    fn has_fitting_blobs(&self) -> bool {
        let Some((keys, outcomes)) = self.layouts() else { return true };
        let (of_keys, of_outcomes) = self.blobs.split_at(keys.blobs());
        keys.fits(of_keys, self.rows()) && outcomes.fits(of_outcomes, self.rows())
    }

    /// How many rows the frame has, of either kind.
    #[must_use]
    pub fn rows(&self) -> u32 {
        match self.kind {
            Kind::Values { rows, .. } | Kind::Failures { rows, .. } => rows,
            Kind::Index { .. } | Kind::Close(_) | Kind::Optional => 0,
        }
    }

    /// How keys, and values or stories, are laid out, if there are any.
    #[must_use]
    pub fn layouts(&self) -> Option<(&Layout, &Layout)> {
        match &self.kind {
            Kind::Values { keys, values: outcomes, .. } | Kind::Failures { keys, stories: outcomes, .. } => {
                Some((keys, outcomes))
            }
            Kind::Index { .. } | Kind::Close(_) | Kind::Optional => None,
        }
    }

    /// The journal all of whose rows are in the file with this frame.
    #[must_use]
    pub fn folds(&self) -> Option<[u8; 16]> {
        match self.kind {
            Kind::Values { folds, .. } | Kind::Failures { folds, .. } => folds,
            Kind::Index { .. } | Kind::Close(_) | Kind::Optional => None,
        }
    }

    /// What the values have in common, if they lie in columns.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        match &self.kind {
            Kind::Values { values, .. } => Some(values.schema.as_ref()?.shape()),
            Kind::Failures { .. } | Kind::Index { .. } | Kind::Close(_) | Kind::Optional => None,
        }
    }
}

/// A frame of values or failures, and how many blobs it should have.
fn rows(map: Map<'_>) -> Result<(Kind, usize), HeadError> {
    let folds = map.folds.map(<[u8; 16]>::try_from).transpose().map_err(|_| HeadError::Malformed)?;
    let keys = Words { layout: map.keys, types: map.key_types, row: map.key_row, names: map.key_names };
    let keys = Layout::decode(keys)?;
    let rows = map.n.filter(|&rows| rows > 0).ok_or(HeadError::Malformed)?;
    if map.kind == "failures" {
        let stories = Words { layout: map.stories, types: None, row: None, names: Vec::new() };
        let stories = Layout::decode(stories)?;
        let count = keys.blobs() + 1;
        return Ok((Kind::Failures { rows, keys, stories, folds }, count));
    }
    let values = Words { layout: map.values, types: map.types, row: map.row, names: map.names };
    let values = Layout::decode(values)?;
    let count = keys.blobs() + values.blobs();
    let attempts = map.attempts.iter().map(|&(row, attempt)| (row, Attempt(attempt))).collect();
    Ok((Kind::Values { rows, keys, values, attempts, folds }, count))
}

fn close(map: Map<'_>) -> Result<Close, HeadError> {
    // A kind of row that only a newer version knows: who does not can do without the shape.
    let shape = map.shape.and_then(|ShapeMap { row, width, names }| {
        let names = names.into_iter().map(str::to_owned).collect();
        Some(Shape { row: RowKind::from_word(row)?, width, names })
    });
    Ok(Close { totals: map.total.ok_or(HeadError::Malformed)?, shape, index: map.index })
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
