//! How the items of a frame - keys, values or stories - lie in its body: as they are, or column by column.
//!
//! It knows the words that a head has for it, and what these ask of the table of blobs; not the bytes themselves.
//!
//! Invariant: a decoded [`Schema`] is consistent in itself, so that rows can be made after it.

use std::collections::HashSet;

use super::head::{Blob, HeadError};

/// The most columns that a frame has.
pub const WIDTH_LIMIT: usize = 65_536;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// IEEE 754 binary64.
    Float64,
    /// Two's complement.
    Int64,
    /// Numbers of strings in a dictionary.
    Text,
    /// Anything, as MessagePack.
    Packed,
}

impl ColumnType {
    /// Its letter in the file.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            ColumnType::Float64 => 'f',
            ColumnType::Int64 => 'i',
            ColumnType::Text => 't',
            ColumnType::Packed => 'm',
        }
    }

    fn from_letter(letter: char) -> Option<ColumnType> {
        let all = [ColumnType::Float64, ColumnType::Int64, ColumnType::Text, ColumnType::Packed];
        all.into_iter().find(|kind| kind.letter() == letter)
    }

    /// How many blobs it takes.
    #[must_use]
    pub fn blobs(self) -> usize {
        match self {
            ColumnType::Float64 | ColumnType::Int64 | ColumnType::Packed => 1,
            ColumnType::Text => 2,
        }
    }

    /// Bytes of an item in the first blob, where all take the same.
    #[must_use]
    pub fn item_len(self) -> Option<u64> {
        match self {
            ColumnType::Float64 | ColumnType::Int64 => Some(8),
            ColumnType::Text => Some(4),
            ColumnType::Packed => None,
        }
    }

    fn is_number(self) -> bool {
        matches!(self, ColumnType::Float64 | ColumnType::Int64)
    }
}

/// What a row was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// A bare number or text.
    Scalar,
    /// An array.
    List,
    /// An array in extension 1.
    Tuple,
    /// A map with texts as keys.
    Dict,
    /// A one-dimensional array, extension 4.
    Array,
    /// A series, extension 5; its first column is the name of each.
    Series,
}

impl RowKind {
    const ALL: [RowKind; 6] =
        [RowKind::Scalar, RowKind::List, RowKind::Tuple, RowKind::Dict, RowKind::Array, RowKind::Series];

    /// Its word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            RowKind::Scalar => "scalar",
            RowKind::List => "list",
            RowKind::Tuple => "tuple",
            RowKind::Dict => "dict",
            RowKind::Array => "array",
            RowKind::Series => "series",
        }
    }

    /// What a word means; `None` for that of a newer version.
    #[must_use]
    pub fn from_word(word: &str) -> Option<RowKind> {
        RowKind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether its fields have names.
    #[must_use]
    pub fn has_names(self) -> bool {
        matches!(self, RowKind::Dict | RowKind::Series)
    }
}

/// What rows and their columns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// What a row was.
    pub row: RowKind,
    /// The type of each column.
    pub types: Vec<ColumnType>,
    /// The names of a row's fields, where it has any. A series has a column more than names: the first.
    pub names: Vec<String>,
}

/// What rows have in common whatever the types of their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// What a row was.
    pub row: RowKind,
    /// How many columns there are.
    pub width: u32,
    /// The names of a row's fields, where it has any.
    pub names: Vec<String>,
}

impl Schema {
    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape { row: self.row, width: self.types.len() as u32, names: self.names.clone() }
    }

    /// How many blobs there are.
    #[must_use]
    pub fn blobs(&self) -> usize {
        self.types.iter().map(|kind| kind.blobs()).sum()
    }

    /// The first blob of each column, counted from the first blob of the first; and one past the last.
    #[must_use]
    pub fn blob_starts(&self) -> Vec<usize> {
        let mut starts = vec![0];
        for kind in &self.types {
            starts.push(starts.last().expect("it begins with one") + kind.blobs());
        }
        starts
    }

    fn is_consistent(&self) -> bool {
        let Schema { row, types, names } = self;
        let distinct = || names.iter().collect::<HashSet<_>>().len() == names.len();
        let one_number = |types: &[ColumnType]| match types {
            [first, rest @ ..] => first.is_number() && rest.iter().all(|kind| kind == first),
            [] => false,
        };
        !types.is_empty()
            && types.len() <= WIDTH_LIMIT
            && match row {
                RowKind::Scalar => matches!(types[..], [kind] if kind != ColumnType::Packed),
                RowKind::List | RowKind::Tuple => true,
                RowKind::Dict => names.len() == types.len() && distinct(),
                RowKind::Array => one_number(types),
                RowKind::Series => names.len() + 1 == types.len() && one_number(&types[1..]) && distinct(),
            }
    }
}

/// Whether blobs are stored as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compress {
    /// They are.
    #[default]
    None,
    /// Each is one Zstandard frame.
    Zstd,
}

/// How the items of a frame lie in its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The columns; `None` if the items lie one behind the other in one blob.
    pub schema: Option<Schema>,
    /// How each blob is stored.
    pub compress: Compress,
}

/// The words of a head about one layout.
pub(super) struct Words<'a> {
    pub layout: Option<&'a str>,
    pub types: Option<&'a str>,
    pub row: Option<&'a str>,
    pub names: Vec<&'a str>,
}

impl Layout {
    /// The word in the file.
    pub(super) fn word(columns: bool, compress: Compress) -> &'static str {
        match (columns, compress) {
            (false, Compress::None) => "msgpack",
            (false, Compress::Zstd) => "msgpack+zstd",
            (true, Compress::None) => "columns",
            (true, Compress::Zstd) => "columns+zstd",
        }
    }

    pub(super) fn decode(words: Words<'_>) -> Result<Layout, HeadError> {
        let (columns, compress) = match words.layout.ok_or(HeadError::Malformed)? {
            "msgpack" => (false, Compress::None),
            "msgpack+zstd" => (false, Compress::Zstd),
            "columns" => (true, Compress::None),
            "columns+zstd" => (true, Compress::Zstd),
            _ => return Err(HeadError::Newer),
        };
        let schema = if columns { Some(Schema::decode(words)?) } else { None };
        Ok(Layout { schema, compress })
    }

    /// How many blobs it has.
    #[must_use]
    pub fn blobs(&self) -> usize {
        self.schema.as_ref().map_or(1, Schema::blobs)
    }

    /// Whether blobs of these lengths can hold `rows` items.
    pub(super) fn fits(&self, blobs: &[Blob], rows: u32) -> bool {
        let Layout { schema: Some(schema), compress: Compress::None } = self else { return true };
        let starts = schema.blob_starts();
        let mut columns = schema.types.iter().zip(starts);
        columns
            .all(|(kind, start)| kind.item_len().is_none_or(|len| blobs[start].len == len * u64::from(rows)))
    }
}

impl Schema {
    fn decode(words: Words<'_>) -> Result<Schema, HeadError> {
        let types = words.types.ok_or(HeadError::Malformed)?;
        let types = types.chars().map(|letter| ColumnType::from_letter(letter).ok_or(HeadError::Newer));
        let types = types.collect::<Result<_, _>>()?;
        let row = RowKind::from_word(words.row.ok_or(HeadError::Malformed)?).ok_or(HeadError::Newer)?;
        let names = if row.has_names() { words.names } else { Vec::new() };
        let names = names.into_iter().map(str::to_owned).collect();
        let schema = Schema { row, types, names };
        if schema.is_consistent() { Ok(schema) } else { Err(HeadError::Malformed) }
    }
}

/// What all rows seen so far have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CommonShape {
    /// There were none.
    #[default]
    Unknown,
    /// This.
    One(Shape),
    /// Nothing.
    None,
}

impl CommonShape {
    /// Takes in the rows of one more frame; `None` if they have no shape.
    pub fn add(&mut self, shape: Option<Shape>) {
        *self = match (std::mem::take(self), shape) {
            (CommonShape::Unknown, Some(shape)) => CommonShape::One(shape),
            (CommonShape::One(common), Some(shape)) if common == shape => CommonShape::One(common),
            (CommonShape::Unknown | CommonShape::One(_) | CommonShape::None, _) => CommonShape::None,
        };
    }

    /// The shape, if they have one.
    #[must_use]
    pub fn shape(&self) -> Option<&Shape> {
        match self {
            CommonShape::One(shape) => Some(shape),
            CommonShape::Unknown | CommonShape::None => None,
        }
    }
}
