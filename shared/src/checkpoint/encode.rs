//! Makes frames: rows of values or failures, or the end of a writer, as the bytes that are appended.
//!
//! It does not know where they go; the caller says what they are numbered and how much was durable.

use super::{
    columns::{self, Schema},
    frame::{FIXED, FrameHeader},
    head::Totals,
    layout::{Compress, Shape},
    pad,
};
use crate::id::Attempt;

/// The longest close frame, in bytes.
pub const CLOSE_LIMIT: usize = 65_536;

const MEMORY: &str = "memory can be written to";

/// What a frame says of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The file's tag.
    pub tag: u32,
    /// The frame's number.
    pub sequence: u64,
    /// How much of the file is known to be durable.
    pub durable: u64,
    /// Now, Unix time in milliseconds.
    pub at: u64,
}

/// How a frame of rows is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// How blobs are stored.
    pub compress: Compress,
    /// The journal all of whose rows are in the file with this frame.
    pub folds: Option<[u8; 16]>,
    /// Whether rows stay as they are, as in a journal, rather than become columns where they can.
    pub plain: bool,
}

/// Appends a frame of values to `out`, and says what the values have in common if they became columns.
///
/// `keys` and `values` are `count` MessagePack values each, one behind the other, `count` not 0; the caller vouches for
/// it. `attempts` has those rows, ascending, where the attempt was not the first.
pub fn encode_values(
    place: Place,
    keys: &[u8],
    values: &[u8],
    count: u32,
    attempts: &[(u32, Attempt)],
    options: Options,
    out: &mut Vec<u8>,
) -> Option<Shape> {
    let mut body = Body::with_capacity(keys.len() + values.len() + 64);
    body.blob(|bytes| bytes.extend_from_slice(keys));
    let schema = if options.plain { None } else { body.columns(values, count) };
    if schema.is_none() {
        body.blob(|bytes| bytes.extend_from_slice(values));
    }
    let fields = if schema.is_some() { 7 } else { 5 } + u32::from(!attempts.is_empty());
    let mut head = start_head("values", place, fields + 1 + u32::from(options.folds.is_some()));
    rows_fields(&mut head, count);
    match &schema {
        None => text(&mut head, "values", "msgpack"),
        Some(Schema { types, row, .. }) => {
            text(&mut head, "values", "columns");
            let letters: String = types.iter().map(|kind| kind.letter()).collect();
            text(&mut head, "types", &letters);
            text(&mut head, "row", row.word());
        }
    }
    if !attempts.is_empty() {
        put_attempts(&mut head, attempts);
    }
    put_folds(&mut head, options);
    body.finish(place, head, out);
    schema.map(|schema| schema.shape())
}

/// Appends a frame of failures to `out`; `stories` are made by [`story::encode`](super::story::encode).
pub fn encode_failures(
    place: Place,
    keys: &[u8],
    stories: &[u8],
    count: u32,
    options: Options,
    out: &mut Vec<u8>,
) {
    let mut body = Body::with_capacity(keys.len() + stories.len() + 16);
    body.blob(|bytes| bytes.extend_from_slice(keys));
    body.blob(|bytes| bytes.extend_from_slice(stories));
    let mut head = start_head("failures", place, 6 + u32::from(options.folds.is_some()));
    rows_fields(&mut head, count);
    text(&mut head, "stories", "msgpack");
    put_folds(&mut head, options);
    body.finish(place, head, out);
}

/// Appends an index frame to `out`; `listed` is made by [`index::list`](super::index::list), `previous` the offset of
/// the index frame before.
pub fn encode_index(place: Place, previous: Option<u64>, listed: &[u8], out: &mut Vec<u8>) {
    let mut body = Body::with_capacity(listed.len() + 8);
    body.blob(|bytes| bytes.extend_from_slice(listed));
    let mut head = start_head("index", place, 4 + u32::from(previous.is_some()));
    rmp::encode::write_str(&mut head, "optional").expect(MEMORY);
    rmp::encode::write_bool(&mut head, true).expect(MEMORY);
    if let Some(previous) = previous {
        integer(&mut head, "previous", previous);
    }
    body.finish(place, head, out);
}

/// Appends a close frame to `out`. It leaves out a shape that makes the frame longer than [`CLOSE_LIMIT`].
pub fn encode_close(
    place: Place,
    totals: Totals,
    shape: Option<&Shape>,
    index: Option<u64>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    let fields = 4 + u32::from(shape.is_some()) + u32::from(index.is_some());
    let mut head = start_head("close", place, fields);
    put_totals(&mut head, totals);
    if let Some(shape) = shape {
        put_shape(&mut head, shape);
    }
    if let Some(index) = index {
        integer(&mut head, "index", index);
    }
    Body::with_capacity(0).finish(place, head, out);
    if out.len() - start > CLOSE_LIMIT {
        out.truncate(start);
        encode_close(place, totals, None, index, out);
    }
}

fn put_totals(head: &mut Vec<u8>, totals: Totals) {
    let Totals { values, failures, failed, frames } = totals;
    let numbers = [
        ("values", Some(values)),
        ("failures", Some(failures)),
        ("frames", Some(frames)),
        ("failed", failed),
    ];
    let known = || numbers.iter().filter_map(|&(name, number)| Some((name, number?)));
    rmp::encode::write_str(head, "total").expect(MEMORY);
    rmp::encode::write_map_len(head, known().count() as u32).expect(MEMORY);
    for (name, number) in known() {
        integer(head, name, number);
    }
}

fn put_shape(head: &mut Vec<u8>, shape: &Shape) {
    rmp::encode::write_str(head, "shape").expect(MEMORY);
    rmp::encode::write_map_len(head, 2 + u32::from(shape.row.has_names())).expect(MEMORY);
    text(head, "row", shape.row.word());
    integer(head, "width", shape.width.into());
    if shape.row.has_names() {
        put_names(head, "names", &shape.names);
    }
}

fn put_names(head: &mut Vec<u8>, field: &str, names: &[String]) {
    rmp::encode::write_str(head, field).expect(MEMORY);
    rmp::encode::write_array_len(head, names.len() as u32).expect(MEMORY);
    for name in names {
        rmp::encode::write_str(head, name).expect(MEMORY);
    }
}

fn put_folds(head: &mut Vec<u8>, options: Options) {
    if let Some(journal) = options.folds {
        rmp::encode::write_str(head, "folds").expect(MEMORY);
        rmp::encode::write_bin(head, &journal).expect(MEMORY);
    }
}

fn start_head(kind: &str, place: Place, fields: u32) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    rmp::encode::write_map_len(&mut head, fields).expect(MEMORY);
    text(&mut head, "kind", kind);
    integer(&mut head, "at", place.at);
    head
}

fn rows_fields(head: &mut Vec<u8>, count: u32) {
    debug_assert!(count > 0, "a frame of rows has some");
    integer(head, "n", count.into());
    text(head, "keys", "msgpack");
}

fn put_attempts(head: &mut Vec<u8>, attempts: &[(u32, Attempt)]) {
    use rmp::encode as put;
    put::write_str(head, "attempts").expect(MEMORY);
    put::write_array_len(head, attempts.len() as u32).expect(MEMORY);
    for &(row, Attempt(attempt)) in attempts {
        put::write_array_len(head, 2).expect(MEMORY);
        put::write_uint(head, row.into()).expect(MEMORY);
        put::write_uint(head, attempt.into()).expect(MEMORY);
    }
}

fn text(head: &mut Vec<u8>, name: &str, value: &str) {
    rmp::encode::write_str(head, name).expect(MEMORY);
    rmp::encode::write_str(head, value).expect(MEMORY);
}

fn integer(head: &mut Vec<u8>, name: &str, value: u64) {
    rmp::encode::write_str(head, name).expect(MEMORY);
    rmp::encode::write_uint(head, value).expect(MEMORY);
}

/// A body that grows blob by blob, and the table of its blobs.
struct Body {
    bytes: Vec<u8>,
    table: Vec<u8>,
}

impl Body {
    fn with_capacity(len: usize) -> Body {
        Body { bytes: Vec::with_capacity(len), table: Vec::new() }
    }

    fn blob(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let len = self.bytes.len() - start;
        pad(&mut self.bytes, start);
        self.enter(start, len);
    }

    /// A blob for each column, if the values are such.
    fn columns(&mut self, values: &[u8], count: u32) -> Option<Schema> {
        let start = self.bytes.len();
        let schema = columns::transpose(values, count, &mut self.bytes)?;
        let len = count as usize * 8;
        for column in 0..schema.types.len() {
            self.enter(start + column * len, len);
        }
        Some(schema)
    }

    fn enter(&mut self, start: usize, len: usize) {
        let padded = len.next_multiple_of(8);
        self.table.extend_from_slice(&(len as u64).to_le_bytes());
        self.table.extend_from_slice(&crc32fast::hash(&self.bytes[start..start + padded]).to_le_bytes());
    }

    /// Completes the head by the table and puts the frame together.
    fn finish(self, place: Place, mut head: Vec<u8>, out: &mut Vec<u8>) {
        rmp::encode::write_str(&mut head, "blobs").expect(MEMORY);
        rmp::encode::write_bin(&mut head, &self.table).expect(MEMORY);
        let head_len = head.len() as u32;
        pad(&mut head, 0);
        let header = FrameHeader {
            head_len,
            body_len: self.bytes.len() as u64,
            sequence: place.sequence,
            durable: place.durable,
            tag: place.tag,
        };
        out.reserve(FIXED + head.len() + self.bytes.len());
        out.extend_from_slice(&header.encode(&head));
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.bytes);
    }
}
