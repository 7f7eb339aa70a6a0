//! A column of a frame as an array of Arrow, of the type that the column has in the whole file.
//!
//! Invariant: an array holds the very items of the column. An integer among floats that is none of them exactly is
//! refused and not rounded.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, builder::StringBuilder};
use arrow_schema::DataType;
use shared::{checkpoint::Column, msgpack};

use super::{
    cell::{Cell, Type},
    frame::packed,
    json,
};

/// Texts of one array: their places are 32 bits wide.
const TEXT_LIMIT: usize = i32::MAX as usize;

/// The first row of a frame that cannot be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit {
    pub row: usize,
    pub why: String,
}

impl Type {
    /// The type of its arrays.
    pub fn of_arrow(self) -> DataType {
        match self {
            Type::Bool => DataType::Boolean,
            Type::Int64 => DataType::Int64,
            Type::Float64 => DataType::Float64,
            Type::Text | Type::Json => DataType::Utf8,
        }
    }
}

/// See the module.
pub fn array(column: Column, kind: Type, rows: u32) -> Result<ArrayRef, Misfit> {
    match (column, kind) {
        (Column::Float64(numbers), Type::Float64) => Ok(Arc::new(Float64Array::from(numbers))),
        (Column::Int64(numbers), Type::Int64) => Ok(Arc::new(Int64Array::from(numbers))),
        (Column::Text { codes, dictionary }, Type::Text) => {
            texts(codes.iter().map(|&code| Ok(Some(dictionary[code as usize].as_str()))))
        }
        (column, Type::Json) => {
            let items = packed(column, rows);
            let text = |item| match Cell::of(item) {
                Cell::Null => Ok(None),
                Cell::Bool(_) | Cell::Int(_) | Cell::Float(_) | Cell::Text(_) | Cell::Other => {
                    Ok(Some(json::text(item)))
                }
            };
            texts(msgpack::values(&items).flatten().map(text))
        }
        (column, kind) => of_items(&packed(column, rows), kind),
    }
}

fn of_items(items: &[u8], kind: Type) -> Result<ArrayRef, Misfit> {
    let cells = || msgpack::values(items).flatten().map(Cell::of).enumerate();
    let odd =
        |row| Misfit { row, why: "it is not what it was when it was first read; export it again".to_owned() };
    Ok(match kind {
        Type::Bool => {
            let item = |(row, cell)| match cell {
                Cell::Null => Ok(None),
                Cell::Bool(value) => Ok(Some(value)),
                Cell::Int(_) | Cell::Float(_) | Cell::Text(_) | Cell::Other => Err(odd(row)),
            };
            Arc::new(cells().map(item).collect::<Result<BooleanArray, _>>()?)
        }
        Type::Int64 => {
            let item = |(row, cell)| match cell {
                Cell::Null => Ok(None),
                Cell::Int(value) => Ok(Some(value)),
                Cell::Bool(_) | Cell::Float(_) | Cell::Text(_) | Cell::Other => Err(odd(row)),
            };
            Arc::new(cells().map(item).collect::<Result<Int64Array, _>>()?)
        }
        Type::Float64 => {
            let item = |(row, cell)| match cell {
                Cell::Null => Ok(None),
                Cell::Float(value) => Ok(Some(value)),
                Cell::Int(value) => exact(value).map(Some).ok_or_else(|| Misfit {
                    row,
                    why: format!(
                        "{value} stands among floats and is none of them exactly; --format jsonl writes it"
                    ),
                }),
                Cell::Bool(_) | Cell::Text(_) | Cell::Other => Err(odd(row)),
            };
            Arc::new(cells().map(item).collect::<Result<Float64Array, _>>()?)
        }
        Type::Text | Type::Json => {
            let item = |(row, cell)| match cell {
                Cell::Null => Ok(None),
                Cell::Text(value) => Ok(Some(value)),
                Cell::Bool(_) | Cell::Int(_) | Cell::Float(_) | Cell::Other => Err(odd(row)),
            };
            return texts(cells().map(item));
        }
    })
}

fn exact(number: i64) -> Option<f64> {
    let float = number as f64;
    // 2^63 as a float is beyond int64, and comes back as the largest of them.
    (float as i128 == i128::from(number)).then_some(float)
}

fn texts<T: AsRef<str>>(items: impl Iterator<Item = Result<Option<T>, Misfit>>) -> Result<ArrayRef, Misfit> {
    let mut texts = StringBuilder::new();
    for (row, item) in items.enumerate() {
        let item = item?;
        let len = item.as_ref().map_or(0, |item| item.as_ref().len());
        if texts.values_slice().len() + len > TEXT_LIMIT {
            return Err(Misfit {
                row,
                why: "the texts of its frame take more than 2 GiB; --format jsonl writes them".into(),
            });
        }
        texts.append_option(item);
    }
    let texts: StringArray = texts.finish();
    Ok(Arc::new(texts))
}
