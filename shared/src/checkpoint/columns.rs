//! Rows of numbers turned into columns of 8-byte numbers, and back.
//!
//! Rows are MessagePack values one behind the other. Turning takes one pass and gives up at the first row that does
//! not fit, so that nothing is ever narrowed or padded.
//! Invariant: [`rows`] of what [`transpose`] made gives the same values (integers in their shortest form).

use super::head::{ColumnType, RowShape};
use crate::msgpack::array_header;

/// The most columns that are stored as such; wider rows stay as they are.
pub const WIDTH_LIMIT: usize = 65_536;

const FLOAT64: u8 = 0xcb;

/// What the columns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The type of each.
    pub types: Vec<ColumnType>,
    /// What a row was.
    pub row: RowShape,
}

/// Appends the columns of `count` rows to `out`, one behind the other, `count * 8` bytes each.
///
/// `None`, and `out` as it was, if the rows are not numbers of one width with each column of one type.
pub fn transpose(values: &[u8], count: u32, out: &mut Vec<u8>) -> Option<Schema> {
    let schema = schema_of(values)?;
    let count = count as usize;
    let width = schema.types.len();
    // Each number takes at least a byte, so this bounds what is allocated.
    if count.checked_mul(width)? > values.len() {
        return None;
    }
    let start = out.len();
    out.resize(start + count * width * 8, 0);
    let fits = match (&schema.types[..], schema.row) {
        ([ColumnType::Float64], RowShape::Scalar) => one_float(values, 1, &mut out[start..]),
        ([ColumnType::Float64], RowShape::List) => one_float(values, 2, &mut out[start..]),
        _ => many(values, count, &schema, &mut out[start..]),
    };
    if fits.is_none() {
        out.truncate(start);
    }
    fits.map(|()| schema)
}

/// The schema that the first row asks for.
fn schema_of(values: &[u8]) -> Option<Schema> {
    let (head, width, row) = match array_header(values) {
        Some((head, width)) => (head, usize::try_from(width).ok()?, RowShape::List),
        None => (0, 1, RowShape::Scalar),
    };
    if width == 0 || width > WIDTH_LIMIT.min(values.len()) {
        return None;
    }
    let mut types = Vec::with_capacity(width);
    let mut rest = &values[head..];
    for _ in 0..width {
        if *rest.first()? == FLOAT64 {
            types.push(ColumnType::Float64);
            rest = rest.get(9..)?;
        } else {
            types.push(ColumnType::Int64);
            rest = integer(rest)?.1;
        }
    }
    Some(Schema { types, row })
}

/// Rows that are all one float, behind `head` bytes of marker (and of array header).
fn one_float(values: &[u8], head: usize, out: &mut [u8]) -> Option<()> {
    const LIST_OF_ONE: u8 = 0x91;
    let (numbers, rest) = out.as_chunks_mut::<8>();
    debug_assert!(rest.is_empty(), "a column is made of whole numbers");
    if values.len() != numbers.len() * (head + 8) {
        return None;
    }
    for (row, number) in values.chunks_exact(head + 8).zip(numbers) {
        if row[head - 1] != FLOAT64 || (head == 2 && row[0] != LIST_OF_ONE) {
            return None;
        }
        number.copy_from_slice(&row[head..]);
        number.reverse();
    }
    Some(())
}

fn many(values: &[u8], count: usize, schema: &Schema, out: &mut [u8]) -> Option<()> {
    let (numbers, _) = out.as_chunks_mut::<8>();
    let mut rest = values;
    for row in 0..count {
        if schema.row == RowShape::List {
            let (head, width) = array_header(rest)?;
            if width != schema.types.len() as u64 {
                return None;
            }
            rest = &rest[head..];
        }
        let mut place = row;
        for kind in &schema.types {
            let number;
            (number, rest) = match kind {
                ColumnType::Float64 => float(rest)?,
                ColumnType::Int64 => integer(rest)?,
            };
            numbers[place] = number;
            place += count;
        }
    }
    rest.is_empty().then_some(())
}

#[inline]
fn float(bytes: &[u8]) -> Option<([u8; 8], &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<9>()?;
    let [FLOAT64, number @ ..] = *number else { return None };
    Some((u64::from_be_bytes(number).to_le_bytes(), rest))
}

#[inline]
fn integer(bytes: &[u8]) -> Option<([u8; 8], &[u8])> {
    fn wide<const N: usize>(rest: &[u8]) -> Option<([u8; N], &[u8])> {
        rest.split_first_chunk::<N>().map(|(number, rest)| (*number, rest))
    }
    let (&marker, rest) = bytes.split_first()?;
    let (number, rest) = match marker {
        0x00..=0x7f => (i64::from(marker), rest),
        0xe0..=0xff => (i64::from(marker as i8), rest),
        0xcc => wide(rest).map(|(number, rest)| (u8::from_be_bytes(number).into(), rest))?,
        0xcd => wide(rest).map(|(number, rest)| (u16::from_be_bytes(number).into(), rest))?,
        0xce => wide(rest).map(|(number, rest)| (u32::from_be_bytes(number).into(), rest))?,
        0xcf => {
            let (number, rest) = wide(rest)?;
            (i64::try_from(u64::from_be_bytes(number)).ok()?, rest)
        }
        0xd0 => wide(rest).map(|(number, rest)| (i8::from_be_bytes(number).into(), rest))?,
        0xd1 => wide(rest).map(|(number, rest)| (i16::from_be_bytes(number).into(), rest))?,
        0xd2 => wide(rest).map(|(number, rest)| (i32::from_be_bytes(number).into(), rest))?,
        0xd3 => wide(rest).map(|(number, rest)| (i64::from_be_bytes(number), rest))?,
        _ => return None,
    };
    Some((number.to_le_bytes(), rest))
}

/// Appends the rows of these columns to `out`, as MessagePack values one behind the other.
///
/// # Panics
/// If `columns` are not as many as the schema says, or not all `count * 8` bytes long.
pub fn rows(schema: &Schema, columns: &[&[u8]], count: u32, out: &mut Vec<u8>) {
    use rmp::encode as put;
    const MEMORY: &str = "memory can be written to";
    assert_eq!(columns.len(), schema.types.len(), "a blob for each column");
    for row in 0..count as usize {
        if schema.row == RowShape::List {
            put::write_array_len(out, columns.len() as u32).expect(MEMORY);
        }
        for (kind, column) in schema.types.iter().zip(columns) {
            let number: [u8; 8] = column[row * 8..row * 8 + 8].try_into().expect("eight bytes");
            match kind {
                ColumnType::Float64 => {
                    out.push(FLOAT64);
                    out.extend(u64::from_le_bytes(number).to_be_bytes());
                }
                ColumnType::Int64 => {
                    put::write_sint(out, i64::from_le_bytes(number)).expect(MEMORY);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
