//! Columns that were read, typed, and the rows that they were.
//!
//! Invariants: a [`Column`] has the form that the format asks for, so it can be used without another check; the rows
//! of a [`Table`] are those that it was made of, byte for byte.

use super::{
    UNPACKED_LIMIT,
    form::{self, Form},
    layout::{ColumnType, RowKind, Schema},
    read::are_values,
};
use crate::msgpack;

/// One column of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// IEEE 754 binary64, any bit pattern.
    Float64(Vec<f64>),
    /// Integers.
    Int64(Vec<i64>),
    /// Texts.
    Text {
        /// For each row the number of its text.
        codes: Vec<u32>,
        /// The texts, distinct and ascending.
        dictionary: Vec<String>,
    },
    /// As many MessagePack values as there are rows, one behind the other.
    Packed(Vec<u8>),
}

/// The columns of a frame's keys or values.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What a row was.
    pub row: RowKind,
    /// The names of a row's fields, where it has any; a series has a column more than names: the first.
    pub names: Vec<String>,
    /// How many rows there are.
    pub count: u32,
    /// The columns.
    pub columns: Vec<Column>,
}

impl Column {
    /// The column that these blobs are; else the first blob of them that has not the form.
    pub(super) fn decode(kind: ColumnType, blobs: &[&[u8]], rows: u32) -> Result<Column, usize> {
        let rows_of = |len: usize| if len == rows as usize { Ok(()) } else { Err(0usize) };
        match kind {
            ColumnType::Float64 => {
                let numbers = words(blobs[0])?;
                rows_of(numbers.len())?;
                Ok(Column::Float64(numbers.iter().map(|&number| f64::from_le_bytes(number)).collect()))
            }
            ColumnType::Int64 => {
                let numbers = words(blobs[0])?;
                rows_of(numbers.len())?;
                Ok(Column::Int64(numbers.iter().map(|&number| i64::from_le_bytes(number)).collect()))
            }
            ColumnType::Text => {
                let dictionary = dictionary(blobs[1]).ok_or(1usize)?;
                let codes = words(blobs[0])?;
                rows_of(codes.len())?;
                let codes: Vec<u32> = codes.iter().map(|&code| u32::from_le_bytes(code)).collect();
                let known = codes.iter().all(|&code| (code as usize) < dictionary.len());
                if known { Ok(Column::Text { codes, dictionary }) } else { Err(0) }
            }
            ColumnType::Packed if are_values(blobs[0], rows) => Ok(Column::Packed(blobs[0].to_vec())),
            ColumnType::Packed => Err(0),
        }
    }

    fn kind(&self) -> ColumnType {
        match self {
            Column::Float64(_) => ColumnType::Float64,
            Column::Int64(_) => ColumnType::Int64,
            Column::Text { .. } => ColumnType::Text,
            Column::Packed(_) => ColumnType::Packed,
        }
    }

    /// At most so many bytes its items take as MessagePack.
    fn most_bytes(&self) -> u64 {
        const NUMBER: u64 = 9;
        const TEXT_HEAD: u64 = 5;
        match self {
            Column::Float64(numbers) => numbers.len() as u64 * NUMBER,
            Column::Int64(numbers) => numbers.len() as u64 * NUMBER,
            Column::Text { codes, dictionary } => {
                codes.iter().map(|&code| dictionary[code as usize].len() as u64 + TEXT_HEAD).sum()
            }
            Column::Packed(bytes) => bytes.len() as u64,
        }
    }
}

fn words<const N: usize>(blob: &[u8]) -> Result<&[[u8; N]], usize> {
    match blob.as_chunks::<N>() {
        (words, []) => Ok(words),
        _ => Err(0),
    }
}

fn dictionary(blob: &[u8]) -> Option<Vec<String>> {
    let mut texts: Vec<String> = Vec::new();
    for value in msgpack::values(blob) {
        let text = std::str::from_utf8(msgpack::text(value.ok()?)?).ok()?;
        if texts.last().is_some_and(|last| last.as_str() >= text) {
            return None;
        }
        texts.push(text.to_owned());
    }
    Some(texts)
}

/// A column on the way back to rows.
enum Cursor<'a> {
    Float64(&'a [f64]),
    Int64(&'a [i64]),
    Text(&'a [u32], Vec<Vec<u8>>),
    Packed(msgpack::Values<'a>),
}

impl<'a> Cursor<'a> {
    fn new(column: &'a Column) -> Cursor<'a> {
        match column {
            Column::Float64(numbers) => Cursor::Float64(numbers),
            Column::Int64(numbers) => Cursor::Int64(numbers),
            Column::Text { codes, dictionary } => {
                Cursor::Text(codes, dictionary.iter().map(|text| form::text(text)).collect())
            }
            Column::Packed(bytes) => Cursor::Packed(msgpack::values(bytes)),
        }
    }

    #[inline]
    fn put(&mut self, row: usize, out: &mut Vec<u8>) {
        match self {
            Cursor::Float64(numbers) => {
                let mut item = [msgpack::FLOAT64; 9];
                item[1..].copy_from_slice(&numbers[row].to_be_bytes());
                out.extend_from_slice(&item);
            }
            Cursor::Int64(numbers) => {
                rmp::encode::write_sint(out, numbers[row]).expect("memory can be written to");
            }
            Cursor::Text(codes, texts) => out.extend_from_slice(&texts[codes[row] as usize]),
            Cursor::Packed(values) => {
                let value = values.next().and_then(Result::ok).expect("as many values as rows");
                out.extend_from_slice(value);
            }
        }
    }

    fn put_raw(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Cursor::Float64(numbers) => out.extend_from_slice(&numbers[row].to_le_bytes()),
            Cursor::Int64(numbers) => out.extend_from_slice(&numbers[row].to_le_bytes()),
            Cursor::Text(..) | Cursor::Packed(_) => unreachable!("a consistent schema has numbers here"),
        }
    }
}

impl Table {
    fn form(&self) -> Form {
        let types = self.columns.iter().map(Column::kind).collect();
        Form::of(&Schema { row: self.row, types, names: self.names.clone() })
    }

    /// Whether its rows are short enough to be made, see [`UNPACKED_LIMIT`].
    pub(super) fn has_bounded_rows(&self) -> bool {
        const EXTENSION_HEAD: u64 = 6;
        let each = self.form().fixed_len() as u64 + EXTENSION_HEAD;
        let items = self.columns.iter().map(Column::most_bytes).fold(0, u64::saturating_add);
        items.saturating_add(each * u64::from(self.count)) <= UNPACKED_LIMIT
    }

    /// Appends the rows to `out`, as MessagePack values one behind the other.
    pub fn put_rows(&self, out: &mut Vec<u8>) {
        let form = self.form();
        let (items, raw) = self.columns.split_at(form.items);
        let mut items: Vec<Cursor<'_>> = items.iter().map(Cursor::new).collect();
        let raw: Vec<Cursor<'_>> = raw.iter().map(Cursor::new).collect();
        let mut body = Vec::new();
        for row in 0..self.count as usize {
            match form.extension {
                None => put_row(&form, row, &mut items, &raw, out),
                Some(extension) => {
                    body.clear();
                    put_row(&form, row, &mut items, &raw, &mut body);
                    let len = body.len() as u32;
                    rmp::encode::write_ext_meta(out, len, extension).expect("memory can be written to");
                    out.extend_from_slice(&body);
                }
            }
        }
    }
}

fn put_row(form: &Form, row: usize, items: &mut [Cursor<'_>], raw: &[Cursor<'_>], out: &mut Vec<u8>) {
    out.extend_from_slice(&form.lead);
    if form.names.is_empty() {
        items.iter_mut().for_each(|item| item.put(row, out));
    } else {
        for (name, item) in form.names.iter().zip(items) {
            out.extend_from_slice(name);
            item.put(row, out);
        }
    }
    out.extend_from_slice(&form.tail);
    raw.iter().for_each(|number| number.put_raw(row, out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_another_form_is_refused_and_its_blob_named() {
        let text = |codes: &[u8], texts: &[u8]| Column::decode(ColumnType::Text, &[codes, texts], 2);
        let two = [0, 0, 0, 0, 1, 0, 0, 0];
        let ab = [0xa1, b'a', 0xa1, b'b'];
        assert!(matches!(text(&two, &ab), Ok(Column::Text { .. })));
        assert_eq!(text(&two, &ab[..2]), Err(0), "a code beyond the dictionary");
        assert_eq!(text(&two[..4], &ab), Err(0), "a row without a code");
        assert_eq!(text(&two[..7], &ab), Err(0), "a cut code");
        assert_eq!(text(&two, &[0xa1, b'b', 0xa1, b'a']), Err(1), "another order");
        assert_eq!(text(&two, &[0xa1, b'a', 0xa1, b'a']), Err(1), "one text twice");
        assert_eq!(text(&two, &[0xa1, b'a', 7]), Err(1), "no text");
        assert_eq!(text(&two, &[0xa1, b'a', 0xa1, 0xff]), Err(1), "no UTF-8");
        for kind in [ColumnType::Float64, ColumnType::Int64] {
            assert_eq!(Column::decode(kind, &[&[0; 8]], 2), Err(0));
            assert_eq!(Column::decode(kind, &[&[0; 15]], 2), Err(0));
        }
        assert_eq!(Column::decode(ColumnType::Packed, &[&[1, 2, 3]], 2), Err(0));
        assert_eq!(Column::decode(ColumnType::Packed, &[&[1, 0x91]], 2), Err(0));
    }

    #[test]
    fn rows_that_unpack_to_too_much_are_not_made() {
        let table = |name: usize, text: usize, count: u32| Table {
            row: RowKind::Dict,
            names: vec!["n".repeat(name)],
            count,
            columns: vec![Column::Text {
                codes: vec![0; count as usize],
                dictionary: vec!["t".repeat(text)],
            }],
        };
        assert!(table(10, 10, 1000).has_bounded_rows());
        assert!(!table(1 << 20, 10, 1024).has_bounded_rows(), "a long name in many rows");
        assert!(!table(10, 1 << 20, 1024).has_bounded_rows(), "a long text in many rows");
    }
}
