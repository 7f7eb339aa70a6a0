//! Rows of numbers turned into columns of 8-byte numbers, and back.
//!
//! Rows are MessagePack values one behind the other. Turning takes one pass and gives up at the first row that does
//! not fit, so that nothing is ever narrowed or padded.
//! Invariant: [`rows`] of what [`transpose`] made gives the same values (integers in their shortest form).

use super::layout::{ColumnType, RowKind};
pub use super::layout::{Schema, WIDTH_LIMIT};
use crate::msgpack::{FLOAT64, array_header};

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
        ([ColumnType::Float64], RowKind::Scalar) => one_float(values, 1, &mut out[start..]),
        ([ColumnType::Float64], RowKind::List) => one_float(values, 2, &mut out[start..]),
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
        Some((head, width)) => (head, usize::try_from(width).ok()?, RowKind::List),
        None => (0, 1, RowKind::Scalar),
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
    Some(Schema { types, row, names: Vec::new() })
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
        if schema.row == RowKind::List {
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
                _ => integer(rest)?,
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

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
