//! What the values of a job have to look like, so that a checkpoint's rows stay of one width and of the same names.
//!
//! The client leaves it open (or asks for no check), the coordinator finds it in the checkpoint before it leases
//! anything, the Python child refuses what does not fit (`python/src/maniple/shape.py`). Once found it stays: a
//! coordinator that is started anew in the middle of a job does not judge its later values by its earlier ones.

use serde::{Deserialize, Serialize};

use crate::checkpoint::{RowKind, Shape};

/// Bytes of names beyond which they are not compared, so that the messages which carry them stay below their limit.
const NAMES_LIMIT: usize = 256 << 10;

/// What values have to look like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ValueShape {
    /// Not found yet: like the values that the checkpoint has.
    #[default]
    Open,
    /// Like anything.
    Any,
    /// One value, not a row of them.
    Single,
    /// So many values, by their places.
    Width(u32),
    /// Values by exactly these names, in any order.
    Names(Vec<String>),
    /// Values by the places of these columns, or by exactly their names; of a single one also the bare value.
    Columns(Vec<String>),
}

impl ValueShape {
    /// Whether it has yet to be found.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == ValueShape::Open
    }

    /// The shape for a checkpoint with these columns, whose values so far have `shared` in common.
    #[must_use]
    pub fn found(&self, columns: &[String], shared: Option<&Shape>) -> ValueShape {
        match (self, shared) {
            _ if !columns.is_empty() => by_names(columns, ValueShape::Columns),
            (ValueShape::Open, None) => ValueShape::Any,
            (ValueShape::Open, Some(shape)) => match shape.row {
                RowKind::Scalar => ValueShape::Single,
                RowKind::List | RowKind::Tuple | RowKind::Array => ValueShape::Width(shape.width),
                RowKind::Dict | RowKind::Series => by_names(&shape.names, ValueShape::Names),
            },
            (settled, _) => settled.clone(),
        }
    }
}

fn by_names(names: &[String], shape: fn(Vec<String>) -> ValueShape) -> ValueShape {
    let bytes: usize = names.iter().map(|name| name.len() + 5).sum();
    if bytes <= NAMES_LIMIT { shape(names.to_vec()) } else { ValueShape::Any }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn shape(row: RowKind, width: u32, fields: &str) -> Option<Shape> {
        Some(Shape { row, width, names: names(fields) })
    }

    #[test]
    fn an_open_shape_is_that_of_the_values() {
        for (shared, expected) in [
            (None, ValueShape::Any),
            (shape(RowKind::Scalar, 1, ""), ValueShape::Single),
            (shape(RowKind::List, 8, ""), ValueShape::Width(8)),
            (shape(RowKind::Tuple, 1, ""), ValueShape::Width(1)),
            (shape(RowKind::Array, 262, ""), ValueShape::Width(262)),
            (shape(RowKind::Dict, 2, "open close"), ValueShape::Names(names("open close"))),
            (shape(RowKind::Series, 3, "open close"), ValueShape::Names(names("open close"))),
        ] {
            assert_eq!(ValueShape::Open.found(&[], shared.as_ref()), expected);
            assert_eq!(ValueShape::Any.found(&[], shared.as_ref()), ValueShape::Any);
        }
    }

    #[test]
    fn columns_come_before_values_and_are_never_waived() {
        let values = shape(RowKind::List, 2, "");
        for asked in [ValueShape::Open, ValueShape::Any] {
            assert_eq!(asked.found(&names("a b"), values.as_ref()), ValueShape::Columns(names("a b")));
        }
    }

    #[test]
    fn names_that_no_message_could_carry_are_not_compared() {
        let many: Vec<String> = (0..65_536).map(|n| format!("column {n}")).collect();
        assert_eq!(ValueShape::Open.found(&many, None), ValueShape::Any);
        let few = ValueShape::Open.found(&many[..10_000], None);
        assert!(rmp_serde::to_vec(&few).expect("memory").len() <= NAMES_LIMIT);
        assert_eq!(few, ValueShape::Columns(many[..10_000].to_vec()));
    }

    #[test]
    fn what_was_found_stays() {
        let later = shape(RowKind::List, 2, "");
        for found in [ValueShape::Any, ValueShape::Width(8), ValueShape::Single] {
            assert_eq!(found.found(&[], later.as_ref()), found);
        }
    }
}
