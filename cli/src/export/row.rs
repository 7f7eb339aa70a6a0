//! A key or value that lies in a frame as MessagePack, taken apart into the fields that a table has columns for.
//!
//! It knows what rows of columns are made of (docs/checkpoint-format.md) and finds the same in a row that stands alone.

use std::borrow::Cow;

use shared::{
    checkpoint::{RowKind, Schema},
    msgpack,
};

const TUPLE: i8 = 1;
const ARRAY: i8 = 4;
const SERIES: i8 = 5;

/// What rows have in common, as far as columns of a table are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// One item.
    One,
    /// So many items: lists, tuples and arrays are alike.
    Many(usize),
    /// Items with these names: a dict, or a series, whose own name is no item.
    Named(Vec<String>),
}

/// A row, as the items of its columns.
pub struct Row<'a> {
    pub shape: Shape,
    pub items: Vec<Cow<'a, [u8]>>,
}

impl Shape {
    /// That of a frame's rows.
    pub fn of(schema: &Schema) -> Shape {
        match schema.row {
            RowKind::Scalar => Shape::One,
            RowKind::List | RowKind::Tuple | RowKind::Array => Shape::Many(schema.types.len()),
            RowKind::Dict | RowKind::Series => Shape::Named(schema.names.clone()),
        }
    }

    pub fn width(&self) -> usize {
        match self {
            Shape::One => 1,
            Shape::Many(width) => *width,
            Shape::Named(names) => names.len(),
        }
    }

    /// Whether rows of the two have the same columns; names may come in any order.
    pub fn is_like(&self, other: &Shape) -> bool {
        match (self, other) {
            (Shape::Named(ours), Shape::Named(theirs)) if ours != theirs => {
                let sorted = |names: &[String]| {
                    let mut names = names.to_vec();
                    names.sort_unstable();
                    names
                };
                ours.len() == theirs.len() && sorted(ours) == sorted(theirs)
            }
            _ => self == other,
        }
    }

    /// For each of these columns its place in rows of another shape that is like this one.
    pub fn places(&self, other: &Shape, columns: &[usize]) -> Vec<usize> {
        match (self, other) {
            (Shape::Named(ours), Shape::Named(theirs)) if ours != theirs => columns
                .iter()
                .map(|&column| theirs.iter().position(|name| *name == ours[column]).expect("they are alike"))
                .collect(),
            _ => columns.to_vec(),
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shape::One => f.write_str("a single item"),
            Shape::Many(width) => write!(f, "{width} items"),
            Shape::Named(names) => {
                let few = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
                write!(f, "{} named items ({few}{})", names.len(), if names.len() > 3 { ", .." } else { "" })
            }
        }
    }
}

impl<'a> Row<'a> {
    /// Takes a whole value apart; what has no parts is one item.
    pub fn of(value: &'a [u8]) -> Row<'a> {
        many(value)
            .or_else(|| dict(value))
            .or_else(|| extension(value))
            .unwrap_or_else(|| Row { shape: Shape::One, items: vec![Cow::Borrowed(value)] })
    }
}

fn elements(value: &[u8]) -> Option<Vec<&[u8]>> {
    let (head, _) = msgpack::array_header(value)?;
    msgpack::values(&value[head..]).collect::<Result<_, _>>().ok()
}

fn many(value: &[u8]) -> Option<Row<'_>> {
    let items: Vec<_> = elements(value)?.into_iter().map(Cow::Borrowed).collect();
    Some(Row { shape: Shape::Many(items.len()), items })
}

fn text(value: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(msgpack::text(value)?).ok()?.to_owned())
}

fn dict(value: &[u8]) -> Option<Row<'_>> {
    let (head, _) = msgpack::map_header(value)?;
    let (mut names, mut items, mut rest) = (Vec::new(), Vec::new(), msgpack::values(&value[head..]));
    while let Some(name) = rest.next() {
        names.push(text(name.ok()?)?);
        items.push(Cow::Borrowed(rest.next()?.ok()?));
    }
    Some(Row { shape: Shape::Named(names), items })
}

fn extension(value: &[u8]) -> Option<Row<'_>> {
    let (kind, head, len) = msgpack::extension_header(value)?;
    let data = value.get(head..head + len)?;
    match kind {
        TUPLE => many(data),
        ARRAY => {
            let items = numbers(data)?;
            Some(Row { shape: Shape::Many(items.len()), items })
        }
        SERIES => {
            let [_, labels, values] = elements(data)?.try_into().ok()?;
            let names = elements(labels)?.into_iter().map(text).collect::<Option<Vec<_>>>()?;
            let (ARRAY, head, len) = msgpack::extension_header(values)? else { return None };
            let items = numbers(values.get(head..head + len)?)?;
            (items.len() == names.len()).then_some(Row { shape: Shape::Named(names), items })
        }
        _ => None,
    }
}

/// The numbers of a one-dimensional array of float64 or int64, each as MessagePack.
fn numbers(data: &[u8]) -> Option<Vec<Cow<'static, [u8]>>> {
    let [dtype, shape, bytes] = elements(data)?.try_into().ok()?;
    let [_] = elements(shape)?[..] else { return None };
    let len = rmp::decode::read_bin_len(&mut &*bytes).ok()? as usize;
    let (numbers, []) = bytes.get(bytes.len() - len..)?.as_chunks::<8>() else { return None };
    let put: fn([u8; 8], &mut Vec<u8>) = match msgpack::text(dtype)? {
        b"<f8" => |number, out| {
            rmp::encode::write_f64(out, f64::from_le_bytes(number)).expect("memory can be written to");
        },
        b"<i8" => |number, out| {
            rmp::encode::write_sint(out, i64::from_le_bytes(number)).expect("memory can be written to");
        },
        _ => return None,
    };
    let item = |&number: &[u8; 8]| {
        let mut item = Vec::with_capacity(9);
        put(number, &mut item);
        Cow::Owned(item)
    };
    Some(numbers.iter().map(item).collect())
}
