//! Rows written as columns, after a [`Plan`].
//!
//! Rows are gone over in groups of eight, so that the eight numbers which a group adds to a column fill a line of the
//! processor's cache at once, however many columns there are.
//! Invariant: the rows of a [`Table`](super::Table) read from what is written here are the same bytes.

use super::{
    item::integer,
    layout::ColumnType,
    plan::{Known, Plan, walk},
};
use crate::msgpack;

/// Numbers of a column that are written side by side.
const GROUP: usize = 8;
const PLANNED: &str = "a plan was made of these very rows";

/// A number as it lies in a column.
type Number = [u8; 8];

/// The place of a column on the way there.
enum Target<'a> {
    Float64(&'a mut [Number]),
    Int64(&'a mut [Number]),
    Text,
    Packed(&'a mut [u8]),
}

impl Plan<'_> {
    /// Appends the blobs to `out`, each padded to a multiple of 8.
    pub fn put(&self, out: &mut Vec<u8>) {
        let lens = self.blob_lens();
        let start = out.len();
        out.resize(start + lens.iter().map(|len| len.next_multiple_of(8)).sum::<usize>(), 0);
        let body = &mut out[start..];
        if let Some(uniform) = &self.uniform {
            let (numbers, _) = body.as_chunks_mut();
            let places = &uniform.numbers;
            let row = |row: usize| &self.rows[row * uniform.row_len..][..uniform.row_len];
            if self.form.raw > 0 {
                transpose(numbers, self.count as usize, places, row, |number| number);
            } else {
                transpose(numbers, self.count as usize, places, row, swapped);
            }
            return;
        }
        let (items, raw) = self.split(body);
        self.put_items(items);
        if !self.raw.is_empty() {
            let places: Vec<usize> = (0..self.form.raw).map(|number| number * 8).collect();
            let (numbers, _) = raw.as_chunks_mut();
            transpose(numbers, self.count as usize, &places, |row| self.raw[row], |number| number);
        }
    }

    /// The places of the items' columns, and the rest. Texts are known already and put there.
    fn split<'b>(&self, mut body: &'b mut [u8]) -> (Vec<Target<'b>>, &'b mut [u8]) {
        let mut take = |len: usize| {
            let (blob, rest) = std::mem::take(&mut body).split_at_mut(len.next_multiple_of(8));
            body = rest;
            &mut blob[..len]
        };
        let mut targets = Vec::with_capacity(self.form.items);
        for (known, kind) in self.known[..self.form.items].iter().zip(&self.schema.types) {
            targets.push(match known {
                Known::Numbers => {
                    let numbers = take(self.count as usize * 8).as_chunks_mut().0;
                    if *kind == ColumnType::Float64 {
                        Target::Float64(numbers)
                    } else {
                        Target::Int64(numbers)
                    }
                }
                Known::Text(codes, texts) => {
                    for (place, code) in take(codes.len() * 4).as_chunks_mut().0.iter_mut().zip(codes) {
                        *place = code.to_le_bytes();
                    }
                    take(texts.len()).copy_from_slice(texts);
                    Target::Text
                }
                Known::Packed(len) => Target::Packed(take(*len)),
            });
        }
        (targets, body)
    }

    fn put_items(&self, mut targets: Vec<Target<'_>>) {
        let (mut row, last) = (0, targets.len().saturating_sub(1));
        let put = |column: usize, bytes: &[u8]| {
            let len = match &mut targets[column] {
                Target::Float64(numbers) => {
                    numbers[row] = swapped(*bytes.get(1..)?.first_chunk()?);
                    9
                }
                Target::Int64(numbers) => {
                    let (number, len) = integer(bytes)?;
                    numbers[row] = number?.to_le_bytes();
                    len
                }
                Target::Text => msgpack::value_len(bytes).ok()?,
                Target::Packed(place) => {
                    let len = msgpack::value_len(bytes).ok()?;
                    let (now, rest) = std::mem::take(place).split_at_mut(len);
                    now.copy_from_slice(&bytes[..len]);
                    *place = rest;
                    len
                }
            };
            row += usize::from(column == last);
            Some(len)
        };
        walk(&self.form, self.rows, self.count, put, |_| ()).expect(PLANNED);
    }
}

fn swapped(mut number: Number) -> Number {
    number.reverse();
    number
}

/// Puts the numbers at these places of each row into columns of `count` numbers each.
fn transpose<'a>(
    columns: &mut [Number],
    count: usize,
    places: &[usize],
    row: impl Fn(usize) -> &'a [u8],
    convert: impl Fn(Number) -> Number,
) {
    let number = |row: &[u8], place: usize| convert(*row[place..].first_chunk().expect(PLANNED));
    let whole = count - count % GROUP;
    for first in (0..whole).step_by(GROUP) {
        let rows: [&[u8]; GROUP] = std::array::from_fn(|next| row(first + next));
        for (column, &place) in columns.chunks_exact_mut(count).zip(places) {
            let group: &mut [Number; GROUP] = column[first..].first_chunk_mut().expect(PLANNED);
            *group = rows.map(|row| number(row, place));
        }
    }
    for next in whole..count {
        for (column, &place) in columns.chunks_exact_mut(count).zip(places) {
            column[next] = number(row(next), place);
        }
    }
}
