//! Whether rows can become columns, and which: found out before a byte is written.
//!
//! The first row proposes a [`Schema`] and its [`Form`]; then every row, the first too, is compared with that form and
//! each item with its column. So nothing is ever narrowed, padded or rewritten: rows that do not fit stay as they are.

use super::{
    UNPACKED_LIMIT,
    dictionary::Dictionary,
    form::{ARRAY, Form, SERIES, TUPLE},
    item::{Item, integer, item},
    layout::{ColumnType, RowKind, Schema, WIDTH_LIMIT},
    uniform::Uniform,
};
use crate::msgpack;

/// The most bytes of names that are repeated in the head of each frame.
const NAMES_LIMIT: usize = 1 << 20;

/// The contents of a column that are known beforehand.
pub(super) enum Known {
    /// The type tells their length.
    Numbers,
    /// Codes, and the dictionary.
    Text(Vec<u32>, Vec<u8>),
    /// So many bytes.
    Packed(usize),
}

/// Rows that can become columns.
pub(super) struct Plan<'a> {
    pub schema: Schema,
    pub form: Form,
    pub rows: &'a [u8],
    pub count: u32,
    pub known: Vec<Known>,
    /// What each row has from its raw numbers on, if it has any.
    pub raw: Vec<&'a [u8]>,
    /// Where the numbers are, if rows differ in nothing else.
    pub uniform: Option<Uniform>,
}

/// What was seen of a column so far.
enum Seen<'a> {
    Nothing,
    Float,
    Int,
    Text(Dictionary<'a>),
    Other,
}

impl<'a> Plan<'a> {
    /// The columns of `count` rows, which lie one behind the other; `None` if they can be none.
    pub fn new(rows: &'a [u8], count: u32) -> Option<Plan<'a>> {
        const MOST_GROWTH: u64 = 9;
        if rows.len() as u64 * MOST_GROWTH > UNPACKED_LIMIT {
            return None;
        }
        let mut schema = proposal(rows)?;
        let form = Form::of(&schema);
        if let Some(uniform) = Uniform::of(&form, rows, count) {
            if form.items > 0 {
                schema.types.fill(ColumnType::Float64);
            }
            let known = schema.types.iter().map(|_| Known::Numbers).collect();
            return Some(Plan { schema, form, rows, count, known, raw: Vec::new(), uniform: Some(uniform) });
        }
        let mut seen: Vec<(Seen<'a>, usize)> = Vec::new();
        seen.resize_with(form.items, || (Seen::Nothing, 0));
        let mut raw = Vec::new();
        let scalar = schema.row == RowKind::Scalar;
        let take = |column: usize, bytes: &'a [u8]| {
            let (found, len) = item(bytes)?;
            let (column, taken) = &mut seen[column];
            column.add(found, count);
            *taken += len;
            (!scalar || !matches!(column, Seen::Other)).then_some(len)
        };
        walk(&form, rows, count, take, |numbers| raw.push(numbers))?;
        let mut known = Vec::with_capacity(schema.types.len());
        for (column, (seen, bytes)) in seen.into_iter().enumerate() {
            let (kind, contents) = seen.finish(bytes);
            schema.types[column] = kind;
            known.push(contents);
        }
        if scalar && schema.types[0] == ColumnType::Packed {
            return None;
        }
        known.resize_with(schema.types.len(), || Known::Numbers);
        Some(Plan { schema, form, rows, count, known, raw, uniform: None })
    }

    /// The length of each blob, without padding, in order.
    pub fn blob_lens(&self) -> Vec<usize> {
        let count = self.count as usize;
        let lens = self.known.iter().flat_map(|known| match known {
            Known::Numbers => [Some(count * 8), None],
            Known::Text(codes, texts) => [Some(codes.len() * 4), Some(texts.len())],
            Known::Packed(len) => [Some(*len), None],
        });
        lens.flatten().collect()
    }
}

impl<'a> Seen<'a> {
    #[inline]
    fn add(&mut self, item: Item<'a>, rows: u32) {
        match (&mut *self, item) {
            (Seen::Float, Item::Float) | (Seen::Int, Item::Int(_)) | (Seen::Other, _) => {}
            (Seen::Text(texts), Item::Text(text)) => {
                if !texts.push(text) {
                    *self = Seen::Other;
                }
            }
            (Seen::Nothing, Item::Float) => *self = Seen::Float,
            (Seen::Nothing, Item::Int(_)) => *self = Seen::Int,
            (Seen::Nothing, Item::Text(text)) => {
                let mut texts = Dictionary::new(rows);
                *self = if texts.push(text) { Seen::Text(texts) } else { Seen::Other };
            }
            _ => *self = Seen::Other,
        }
    }

    fn finish(self, bytes: usize) -> (ColumnType, Known) {
        match self {
            Seen::Float => (ColumnType::Float64, Known::Numbers),
            Seen::Int => (ColumnType::Int64, Known::Numbers),
            Seen::Text(texts) => {
                let (codes, texts) = texts.finish();
                (ColumnType::Text, Known::Text(codes, texts))
            }
            Seen::Nothing | Seen::Other => (ColumnType::Packed, Known::Packed(bytes)),
        }
    }
}

/// Goes over rows of this form. `item` is shown the column and where its item begins, and says how long that is;
/// `raw` where the numbers at the end of each row begin. `None` at the first row that has another form.
#[inline]
pub(super) fn walk<'a>(
    form: &Form,
    rows: &'a [u8],
    count: u32,
    mut item: impl FnMut(usize, &'a [u8]) -> Option<usize>,
    mut raw: impl FnMut(&'a [u8]),
) -> Option<()> {
    let mut rest = rows;
    for _ in 0..count {
        let (mut row, behind) = match form.extension {
            None => (rest, &[][..]),
            Some(extension) => {
                let (kind, head, len) = msgpack::extension_header(rest)?;
                if kind != extension || head != shortest_extension_head(len) {
                    return None;
                }
                rest.get(head..)?.split_at_checked(len)?
            }
        };
        row = behind_prefix(row, &form.lead)?;
        for column in 0..form.items {
            if let Some(name) = form.names.get(column) {
                row = behind_prefix(row, name)?;
            }
            row = row.get(item(column, row)?..)?;
        }
        row = behind_prefix(row, &form.tail)?;
        if form.raw > 0 {
            raw(row);
            row = row.get(form.raw * 8..)?;
        }
        rest = match form.extension {
            None => row,
            Some(_) if row.is_empty() => behind,
            Some(_) => return None,
        };
    }
    rest.is_empty().then_some(())
}

/// What is behind these bytes. Comparing with none of them is left out: it costs 100 ns on some processors, since the
/// address of an empty `Vec` is not mapped.
#[inline]
fn behind_prefix<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    if prefix.is_empty() { Some(bytes) } else { bytes.strip_prefix(prefix) }
}

fn shortest_extension_head(len: usize) -> usize {
    match len {
        1 | 2 | 4 | 8 | 16 => 2,
        0..=0xff => 3,
        0x100..=0xffff => 4,
        _ => 6,
    }
}

/// What the first row asks for; the types of its items are still open.
fn proposal(rows: &[u8]) -> Option<Schema> {
    let items = |row, width: u64, names| {
        let width = usize::try_from(width).ok().filter(|&width| width > 0 && width <= WIDTH_LIMIT)?;
        Some(Schema { row, types: vec![ColumnType::Packed; width], names })
    };
    if let Some((_, width)) = msgpack::array_header(rows) {
        return items(RowKind::List, width, Vec::new());
    }
    if let Some((head, width)) = msgpack::map_header(rows) {
        let names = names(&rows[head..], width, true)?.0;
        return items(RowKind::Dict, width, names);
    }
    let Some((extension, head, len)) = msgpack::extension_header(rows) else {
        return items(RowKind::Scalar, 1, Vec::new());
    };
    let inner = rows.get(head..)?.get(..len)?;
    match extension {
        TUPLE => items(RowKind::Tuple, msgpack::array_header(inner)?.1, Vec::new()),
        ARRAY => {
            let (kind, width) = array(inner)?;
            Some(Schema { types: vec![kind; width], ..items(RowKind::Array, width as u64, Vec::new())? })
        }
        SERIES => {
            let (head, 3) = msgpack::array_header(inner)? else { return None };
            let name = msgpack::value_len(&inner[head..]).ok()?;
            let labels = &inner[head + name..];
            let (head, width) = msgpack::array_header(labels)?;
            let (names, values) = names(&labels[head..], width, false)?;
            let (_, head, _) = msgpack::extension_header(values)?;
            let (kind, width) = array(values.get(head..)?)?;
            let mut schema = items(RowKind::Series, width as u64 + 1, names)?;
            schema.types[1..].fill(kind);
            (schema.names.len() == width).then_some(schema)
        }
        _ => None,
    }
}

/// As many distinct names, with or without a value behind each, and what is behind them.
fn names(bytes: &[u8], count: u64, with_values: bool) -> Option<(Vec<String>, &[u8])> {
    let mut names = Vec::new();
    let mut known = std::collections::HashSet::new();
    let mut rest = bytes;
    let mut room = NAMES_LIMIT;
    for _ in 0..count {
        let (Item::Text(name), len) = item(rest)? else { return None };
        room = room.checked_sub(len)?;
        if !known.insert(name) || names.len() == WIDTH_LIMIT {
            return None;
        }
        names.push(name.to_owned());
        rest = &rest[len..];
        if with_values {
            rest = &rest[msgpack::value_len(rest).ok()?..];
        }
    }
    Some((names, rest))
}

/// The type and length of a one-dimensional array, from the data of its extension.
fn array(inner: &[u8]) -> Option<(ColumnType, usize)> {
    let (head, 3) = msgpack::array_header(inner)? else { return None };
    let (Item::Text(dtype), len) = item(&inner[head..])? else { return None };
    let kind = match dtype {
        "<f8" => ColumnType::Float64,
        "<i8" => ColumnType::Int64,
        _ => return None,
    };
    let shape = &inner[head + len..];
    let (head, 1) = msgpack::array_header(shape)? else { return None };
    let (Some(width), _) = integer(&shape[head..])? else { return None };
    let width = usize::try_from(width).ok()?;
    (width > 0 && width <= WIDTH_LIMIT).then_some((kind, width))
}
