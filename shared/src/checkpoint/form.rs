//! The bytes of a row around its items: what a schema says of every row, said once.
//!
//! Writing, a row is compared with it; reading, a row is made after it. So only rows that are written the shortest way
//! become columns, and they come back as they were.
//!
//! ```text
//! [extension header] lead (name item)* tail raw numbers
//! ```

use rmp::encode as put;

use super::layout::{ColumnType, RowKind, Schema};

const MEMORY: &str = "memory can be written to";
pub(super) const TUPLE: i8 = 1;
pub(super) const ARRAY: i8 = 4;
pub(super) const SERIES: i8 = 5;

/// What surrounds the items of a row.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// The extension that the row is, if it is one.
    pub extension: Option<i8>,
    /// What is before the first item, behind the extension's header.
    pub lead: Vec<u8>,
    /// What is before each item, if the items have names.
    pub names: Vec<Vec<u8>>,
    /// How many items there are.
    pub items: usize,
    /// What is behind the items.
    pub tail: Vec<u8>,
    /// How many little-endian numbers of 8 bytes are at the end.
    pub raw: usize,
}

impl Form {
    /// The form of the rows of a schema, which is consistent.
    pub fn of(schema: &Schema) -> Form {
        let width = schema.types.len();
        let mut form = Form::default();
        match schema.row {
            RowKind::Scalar => form.items = 1,
            RowKind::List | RowKind::Tuple => {
                form.extension = (schema.row == RowKind::Tuple).then_some(TUPLE);
                form.items = width;
                put::write_array_len(&mut form.lead, width as u32).expect(MEMORY);
            }
            RowKind::Dict => {
                form.items = width;
                put::write_map_len(&mut form.lead, width as u32).expect(MEMORY);
                form.names = schema.names.iter().map(|name| text(name)).collect();
            }
            RowKind::Array => {
                form.extension = Some(ARRAY);
                form.raw = width;
                before_numbers(schema.types[0], width, &mut form.lead);
            }
            RowKind::Series => {
                form.extension = Some(SERIES);
                form.items = 1;
                form.raw = width - 1;
                put::write_array_len(&mut form.lead, 3).expect(MEMORY);
                put::write_array_len(&mut form.tail, form.raw as u32).expect(MEMORY);
                schema.names.iter().for_each(|name| form.tail.extend(text(name)));
                let mut inner = Vec::new();
                before_numbers(schema.types[1], form.raw, &mut inner);
                let len = (inner.len() + form.raw * 8) as u32;
                put::write_ext_meta(&mut form.tail, len, ARRAY).expect(MEMORY);
                form.tail.extend(inner);
            }
        }
        form
    }

    /// Bytes of a row without its items and the extension's header.
    pub fn fixed_len(&self) -> usize {
        self.lead.len() + self.names.iter().map(Vec::len).sum::<usize>() + self.tail.len() + self.raw * 8
    }
}

/// An array as extension 4, up to its numbers.
fn before_numbers(kind: ColumnType, width: usize, out: &mut Vec<u8>) {
    put::write_array_len(out, 3).expect(MEMORY);
    let dtype = if kind == ColumnType::Float64 { "<f8" } else { "<i8" };
    put::write_str(out, dtype).expect(MEMORY);
    put::write_array_len(out, 1).expect(MEMORY);
    put::write_uint(out, width as u64).expect(MEMORY);
    put::write_bin_len(out, (width * 8) as u32).expect(MEMORY);
}

/// A text as MessagePack.
pub(super) fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 5);
    put::write_str(&mut out, text).expect(MEMORY);
    out
}
