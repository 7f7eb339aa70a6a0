//! What one item is to a column of a table, and which type a column gets that holds several kinds.

use shared::msgpack;

/// An item of MessagePack, as far as a table has a place for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// What no column holds: a list, bytes, an integer beyond int64.
    Other,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int64,
    Float64,
    Text,
    /// Each item as a text of JSON.
    Json,
}

/// The kinds of items of a column so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Seen {
    #[default]
    Nothing,
    One(Type),
}

impl Cell<'_> {
    /// What a whole value is.
    pub fn of(item: &[u8]) -> Cell<'_> {
        use rmp::decode as take;
        let cell = match item.first() {
            Some(0xc0) => Some(Cell::Null),
            Some(0xc2) => Some(Cell::Bool(false)),
            Some(0xc3) => Some(Cell::Bool(true)),
            Some(0xca) => take::read_f32(&mut &*item).ok().map(|number| Cell::Float(number.into())),
            Some(0xcb) => take::read_f64(&mut &*item).ok().map(Cell::Float),
            Some(0x00..=0x7f | 0xe0..=0xff | 0xcc..=0xd3) => {
                take::read_int::<i64, _>(&mut &*item).ok().map(Cell::Int)
            }
            Some(_) => msgpack::text(item).and_then(|text| std::str::from_utf8(text).ok()).map(Cell::Text),
            None => None,
        };
        cell.unwrap_or(Cell::Other)
    }
}

impl Seen {
    /// Takes in one more item; `false` if no type holds it and those before, and then nothing was taken in.
    #[must_use]
    pub fn add(&mut self, cell: Cell<'_>) -> bool {
        let kind = match cell {
            Cell::Null => return true,
            Cell::Bool(_) => Type::Bool,
            Cell::Int(_) => Type::Int64,
            Cell::Float(_) => Type::Float64,
            Cell::Text(_) => Type::Text,
            Cell::Other => return false,
        };
        self.add_type(kind)
    }

    /// The same for a column of one type.
    #[must_use]
    pub fn add_type(&mut self, kind: Type) -> bool {
        let both = match (*self, kind) {
            (Seen::Nothing, kind) => kind,
            (Seen::One(before), kind) if before == kind => kind,
            (Seen::One(Type::Int64), Type::Float64) | (Seen::One(Type::Float64), Type::Int64) => {
                Type::Float64
            }
            (Seen::One(Type::Bool | Type::Int64 | Type::Float64 | Type::Text | Type::Json), _) => {
                return false;
            }
        };
        *self = Seen::One(both);
        true
    }

    /// The type; a column of nothing but nulls is one of floats.
    pub fn kind(self) -> Type {
        match self {
            Seen::Nothing => Type::Float64,
            Seen::One(kind) => kind,
        }
    }
}

impl Type {
    /// For people.
    pub fn plural(self) -> &'static str {
        match self {
            Type::Bool => "booleans",
            Type::Int64 => "integers",
            Type::Float64 => "floats",
            Type::Text => "texts",
            Type::Json => "JSON",
        }
    }
}

/// An item in words, for people.
pub fn describe(item: &[u8]) -> &'static str {
    match Cell::of(item) {
        Cell::Null => "a null",
        Cell::Bool(_) => "a boolean",
        Cell::Int(_) => "an integer",
        Cell::Float(_) => "a float",
        Cell::Text(_) => "a text",
        Cell::Other => match (item.first(), msgpack::extension_header(item)) {
            (Some(0xcf), _) | (_, Some((2, ..))) => "an integer beyond 64 bits",
            (_, Some((1, ..))) => "a tuple",
            (_, Some((3, ..))) => "a pickled object",
            (_, Some((4, ..))) => "an array",
            (_, Some((5, ..))) => "a series",
            (Some(0xc4..=0xc6), _) => "bytes",
            _ if msgpack::array_header(item).is_some() => "a list",
            _ if msgpack::map_header(item).is_some() => "a dict",
            _ => "something else",
        },
    }
}
