//! Makes frames: rows of values or failures, an index, or the end of a writer, as the bytes that are appended.
//!
//! It does not know where they go; the caller says what they are numbered and how much was durable.

use rmp::encode as put;

use super::{
    UNPACKED_LIMIT,
    body::{Fields, Frame},
    head::Totals,
    layout::{Compress, Layout, Schema, Shape},
    plan::Plan,
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

/// Keys, values or stories on their way into a frame.
struct Items<'a> {
    items: &'a [u8],
    /// The columns that they become.
    plan: Option<Plan<'a>>,
    compress: Compress,
}

impl<'a> Items<'a> {
    fn new(items: &'a [u8], plan: Option<Plan<'a>>, options: Options) -> Items<'a> {
        let lens = plan.as_ref().map(Plan::blob_lens);
        let longest = lens.iter().flatten().copied().max().unwrap_or(items.len());
        let compress = if longest as u64 <= UNPACKED_LIMIT { options.compress } else { Compress::None };
        Items { items, plan, compress }
    }

    /// Rows that become columns if they can.
    fn rows(items: &'a [u8], count: u32, options: Options) -> Items<'a> {
        Items::new(items, if options.plain { None } else { Plan::new(items, count) }, options)
    }

    fn schema(&self) -> Option<&Schema> {
        self.plan.as_ref().map(|plan| &plan.schema)
    }

    /// The fields that tell the layout.
    fn describe(&self, [layout, types, row, names]: [&str; 4], fields: &mut Fields) {
        fields.text(layout, Layout::word(self.plan.is_some(), self.compress));
        if let Some(schema) = self.schema() {
            let letters: String = schema.types.iter().map(|kind| kind.letter()).collect();
            fields.text(types, &letters);
            fields.text(row, schema.row.word());
            if schema.row.has_names() {
                fields.field(names, |out| put_names(&schema.names, out));
            }
        }
    }

    fn blobs(&self) -> usize {
        self.schema().map_or(1, Schema::blobs)
    }

    fn put(&self, frame: &mut Frame<'_>) {
        match (&self.plan, self.compress) {
            (None, compress) => frame.blob(self.items, compress),
            (Some(plan), Compress::None) => frame.put(&plan.blob_lens(), |out| plan.put(out)),
            (Some(plan), Compress::Zstd) => {
                let mut blobs = Vec::new();
                plan.put(&mut blobs);
                let mut rest = &blobs[..];
                for len in plan.blob_lens() {
                    let (blob, behind) = rest.split_at(len.next_multiple_of(8));
                    frame.blob(&blob[..len], Compress::Zstd);
                    rest = behind;
                }
            }
        }
    }
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
    let (keys, values) = (Items::rows(keys, count, options), Items::rows(values, count, options));
    let mut fields = Fields::new("values", place);
    put_rows(&mut fields, &keys, count, options);
    values.describe(["values", "types", "row", "names"], &mut fields);
    if !attempts.is_empty() {
        fields.field("attempts", |out| put_attempts(attempts, out));
    }
    let mut frame = Frame::begin(place, &fields, keys.blobs() + values.blobs(), out);
    keys.put(&mut frame);
    values.put(&mut frame);
    frame.finish();
    values.schema().map(Schema::shape)
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
    let (keys, stories) = (Items::rows(keys, count, options), Items::new(stories, None, options));
    let mut fields = Fields::new("failures", place);
    put_rows(&mut fields, &keys, count, options);
    fields.text("stories", Layout::word(false, stories.compress));
    let mut frame = Frame::begin(place, &fields, keys.blobs() + 1, out);
    keys.put(&mut frame);
    stories.put(&mut frame);
    frame.finish();
}

/// Appends an index frame to `out`; `listed` is made by [`index::list`](super::index::list), `previous` the offset of
/// the index frame before.
pub fn encode_index(place: Place, previous: Option<u64>, listed: &[u8], out: &mut Vec<u8>) {
    let mut fields = Fields::new("index", place);
    fields.field("optional", |out| put::write_bool(out, true).expect(MEMORY));
    if let Some(previous) = previous {
        fields.integer("previous", previous);
    }
    let mut frame = Frame::begin(place, &fields, 1, out);
    frame.blob(listed, Compress::None);
    frame.finish();
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
    let mut fields = Fields::new("close", place);
    fields.field("total", |out| put_totals(totals, out));
    if let Some(shape) = shape {
        fields.field("shape", |out| put_shape(shape, out));
    }
    if let Some(index) = index {
        fields.integer("index", index);
    }
    Frame::begin(place, &fields, 0, out).finish();
    if out.len() - start > CLOSE_LIMIT {
        out.truncate(start);
        encode_close(place, totals, None, index, out);
    }
}

/// The fields that frames of values and of failures share.
fn put_rows(fields: &mut Fields, keys: &Items<'_>, count: u32, options: Options) {
    debug_assert!(count > 0, "a frame of rows has some");
    fields.integer("n", count.into());
    keys.describe(["keys", "key_types", "key_row", "key_names"], fields);
    if let Some(journal) = options.folds {
        fields.bytes("folds", &journal);
    }
}

fn put_attempts(attempts: &[(u32, Attempt)], out: &mut Vec<u8>) {
    put::write_array_len(out, attempts.len() as u32).expect(MEMORY);
    for &(row, Attempt(attempt)) in attempts {
        put::write_array_len(out, 2).expect(MEMORY);
        put::write_uint(out, row.into()).expect(MEMORY);
        put::write_uint(out, attempt.into()).expect(MEMORY);
    }
}

fn put_totals(Totals { values, failures, failed, frames }: Totals, out: &mut Vec<u8>) {
    let numbers = [Some(("values", values)), Some(("failures", failures)), Some(("frames", frames))];
    let numbers: Vec<_> =
        numbers.into_iter().chain([failed.map(|failed| ("failed", failed))]).flatten().collect();
    put::write_map_len(out, numbers.len() as u32).expect(MEMORY);
    for (name, number) in numbers {
        put::write_str(out, name).expect(MEMORY);
        put::write_uint(out, number).expect(MEMORY);
    }
}

fn put_shape(shape: &Shape, out: &mut Vec<u8>) {
    put::write_map_len(out, if shape.row.has_names() { 3 } else { 2 }).expect(MEMORY);
    put::write_str(out, "row").expect(MEMORY);
    put::write_str(out, shape.row.word()).expect(MEMORY);
    put::write_str(out, "width").expect(MEMORY);
    put::write_uint(out, shape.width.into()).expect(MEMORY);
    if shape.row.has_names() {
        put::write_str(out, "names").expect(MEMORY);
        put_names(&shape.names, out);
    }
}

fn put_names(names: &[String], out: &mut Vec<u8>) {
    put::write_array_len(out, names.len() as u32).expect(MEMORY);
    for name in names {
        put::write_str(out, name).expect(MEMORY);
    }
}
