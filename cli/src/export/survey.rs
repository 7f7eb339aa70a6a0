//! The first pass: what all keys, or all values, of a checkpoint have in common.
//!
//! Heads tell it where rows lie in columns of one type; only columns of mixed items, and rows that are no columns, are
//! read for it. Invariant: what is found holds for every row, or the first one that it does not hold for is named.

use shared::{
    checkpoint::{ColumnType, Side},
    msgpack,
};

use super::{
    cell::{Cell, Seen, Type, describe},
    choice::Chosen,
    frame::{Checkpoint, Frame, packed},
    row::{Row, Shape},
};
use crate::fault::Fault;

/// What rows have in common.
pub struct Common {
    pub shape: Shape,
    /// Whether the first row is an integer and a text.
    pub starts_as_usual: bool,
}

/// The shape of all rows of one half; `None` if there are none.
pub fn shape(checkpoint: &Checkpoint<'_>, side: Side) -> Result<Option<Common>, Fault> {
    let mut common: Option<Common> = None;
    checkpoint.frames(&mut |frame| {
        if common.is_none() && side == Side::Keys {
            let rows = frame.rows(side)?;
            let first = Row::of(msgpack::values(&rows).flatten().next().unwrap_or_default());
            let kinds: Vec<Cell<'_>> = first.items.iter().map(|item| Cell::of(item)).collect();
            let starts_as_usual = matches!(kinds[..], [Cell::Int(_), Cell::Text(_)]);
            common = Some(Common { shape: first.shape, starts_as_usual });
        }
        match &frame.layout(side).schema {
            Some(schema) => agree(&mut common, Shape::of(schema), &frame, side, 0),
            None => {
                let rows = frame.rows(side)?;
                let mut shapes = msgpack::values(&rows).flatten().map(|row| Row::of(row).shape).enumerate();
                shapes.try_for_each(|(row, shape)| agree(&mut common, shape, &frame, side, row))
            }
        }
    })?;
    Ok(common)
}

fn agree(
    common: &mut Option<Common>,
    shape: Shape,
    frame: &Frame<'_>,
    side: Side,
    row: usize,
) -> Result<(), Fault> {
    let first = &common.get_or_insert_with(|| Common { shape: shape.clone(), starts_as_usual: false }).shape;
    if first.is_like(&shape) {
        return Ok(());
    }
    let what = match side {
        Side::Keys => "is",
        Side::Outcomes => "has a value of",
    };
    Err(Fault::usage(format!(
        "the key {} {what} {shape}, others {first}, which makes no table; --format jsonl takes rows of any shape",
        frame.key(row)?
    )))
}

/// The type of each chosen column. A column that has none is JSON if that was asked for.
pub fn types(
    checkpoint: &Checkpoint<'_>,
    side: Side,
    chosen: &Chosen,
    as_json: bool,
) -> Result<Vec<Type>, Fault> {
    let mut seen = vec![Some(Seen::default()); chosen.places.len()];
    checkpoint.frames(&mut |frame| {
        let letters = letters(&frame, side, chosen);
        let mut unclear = Vec::new();
        for (column, letter) in letters.into_iter().enumerate() {
            let Some(before) = &mut seen[column] else { continue };
            match letter {
                None => unclear.push(column),
                Some(kind) if before.add_type(kind) => {}
                Some(_) if as_json => seen[column] = None,
                Some(kind) => return Err(clash(&frame, chosen, column, 0, kind.plural(), *before)),
            }
        }
        let places: Vec<usize> = unclear.iter().map(|&column| chosen.places[column]).collect();
        if places.is_empty() {
            return Ok(());
        }
        for (&column, items) in unclear.iter().zip(frame.columns(side, &chosen.shape, &places)?) {
            let Some(before) = &mut seen[column] else { continue };
            let items = packed(items, frame.rows);
            let odd =
                msgpack::values(&items).flatten().enumerate().find(|(_, item)| !before.add(Cell::of(item)));
            match odd {
                None => {}
                Some(_) if as_json => seen[column] = None,
                Some((row, item)) => return Err(clash(&frame, chosen, column, row, describe(item), *before)),
            }
        }
        Ok(())
    })?;
    Ok(seen.into_iter().map(|seen| seen.map_or(Type::Json, Seen::kind)).collect())
}

/// The type that the head tells of each chosen column; `None` where it has to be read.
fn letters(frame: &Frame<'_>, side: Side, chosen: &Chosen) -> Vec<Option<Type>> {
    let Some(schema) = &frame.layout(side).schema else { return vec![None; chosen.places.len()] };
    let shape = Shape::of(schema);
    let hidden = schema.types.len() - shape.width();
    let places = chosen.shape.places(&shape, &chosen.places);
    let letter = |place: usize| match schema.types[place + hidden] {
        ColumnType::Float64 => Some(Type::Float64),
        ColumnType::Int64 => Some(Type::Int64),
        ColumnType::Text => Some(Type::Text),
        ColumnType::Packed => None,
    };
    places.into_iter().map(letter).collect()
}

fn clash(frame: &Frame<'_>, chosen: &Chosen, column: usize, row: usize, what: &str, before: Seen) -> Fault {
    let key = match frame.key(row) {
        Ok(key) => key,
        Err(fault) => return fault,
    };
    let others = match before {
        Seen::Nothing => String::new(),
        Seen::One(kind) => format!(" where others have {}", kind.plural()),
    };
    Fault::usage(format!(
        "column {:?}: the key {key} has {what}{others}, which no column holds; --as-json writes such columns as JSON, \
         --columns leaves them out",
        chosen.names[column]
    ))
}
