//! Tasks that are rows of a .csv file: a header, then each row's fields as an array of positional arguments.
//!
//! What is a number is decided field by field (see [`numbers`](super::numbers)); quotes make no difference to it. Blank
//! lines are no tasks. Every row has as many fields as the header.

use std::io::{Cursor, Read};

use csv::{ByteRecord, Reader, ReaderBuilder};
use rmp::encode as put;

use super::{
    KEY_LIMIT, Room, TOO_LONG,
    error::{Fault, check_utf8},
    input::{BLOCK, Input},
    numbers::{Field, classify},
};

/// A row that is put behind the file's end. If it is not the last one to be read, a quote was left open and has
/// swallowed it: the parser itself does not tell.
const LAST_ROW: &[u8] = b"\n\x1cend of tasks\x1c\n";
const LAST_FIELD: &[u8] = b"\x1cend of tasks\x1c";

/// Reads tasks that are rows.
pub(super) struct Rows {
    reader: Reader<std::io::Chain<Input, Cursor<&'static [u8]>>>,
    fields: Vec<String>,
    columns: Vec<Column>,
    record: ByteRecord,
}

/// What has been seen of a column.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    is_text: bool,
    /// Where the first row that has a number starts.
    number: Option<u64>,
    /// Where the first row that has digits with leading zeros starts.
    padded: Option<u64>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl Rows {
    /// Reads the header. `text` names the columns that are text whatever they look like.
    pub(super) fn open(input: Input, text: &[String]) -> Result<Rows, Fault> {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BLOCK)
            .from_reader(input.chain(Cursor::new(LAST_ROW)));
        let mut rows = Rows { reader, fields: Vec::new(), columns: Vec::new(), record: ByteRecord::new() };
        if !rows.next_row()? {
            let what = "expected a header that names the columns, but the file is empty";
            return Err(Fault::Line(1, what.to_owned()));
        }
        for field in &rows.record {
            rows.fields.push(check_utf8(field).map_err(|what| rows.fault(what))?.to_owned());
        }
        rows.check_header().map_err(|what| rows.fault(what))?;
        rows.columns = vec![Column::default(); rows.fields.len()];
        for name in text {
            let Some(at) = rows.fields.iter().position(|field| field == name) else {
                let known = rows.fields.join(", ");
                return Err(rows.fault(format!("no column {name:?} for --text; there are: {known}")));
            };
            rows.columns[at].is_text = true;
        }
        Ok(rows)
    }

    fn check_header(&self) -> Result<(), String> {
        if self
            .fields
            .iter()
            .all(|field| matches!(classify(field), Field::Integer(_) | Field::Float(_) | Field::Padded))
        {
            return Err("expected a header that names the columns, but all fields are numbers".to_owned());
        }
        let mut names = self.fields.iter().enumerate().filter(|(_, name)| !name.is_empty());
        match names.find(|(at, name)| self.fields[..*at].contains(name)) {
            Some((_, name)) => Err(format!("two columns are named {name:?}")),
            None => Ok(()),
        }
    }

    pub(super) fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Columns whose fields are partly text and partly numbers only because of leading zeros.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.fields.iter().zip(&self.columns).filter_map(|(name, column)| {
            let (number, padded) = (self.line_at(column.number?), self.line_at(column.padded?));
            Some(format!(
                "column {name:?} has numbers (line {number}) and text with leading zeros (line {padded}); \
                 --text {name} keeps all of it as text"
            ))
        })
    }

    pub(super) fn read(&mut self, keys: &mut Vec<u8>, room: Room) -> Result<u32, Fault> {
        let mut count = 0;
        while room.is_left(count, keys) {
            if !self.next_row()? {
                break;
            }
            let (start, first) = (self.start(), keys.len());
            let (has, wants) = (self.record.len(), self.fields.len());
            if has != wants {
                let fields = if has == 1 { "field" } else { "fields" };
                return Err(self.fault(format!("{has} {fields}, but the header names {wants}")));
            }
            put::write_array_len(keys, wants as u32).expect("memory takes every write");
            for (at, field) in self.record.iter().enumerate() {
                match check_utf8(field) {
                    Ok(text) => write_field(keys, text, &mut self.columns[at], start),
                    Err(what) => return Err(self.fault(format!("column {:?}: {what}", self.fields[at]))),
                }
            }
            room.check_key(keys, first).map_err(|what| self.fault(what))?;
            count += 1;
        }
        Ok(count)
    }

    /// Reads the next row into `record`, if there is one.
    fn next_row(&mut self) -> Result<bool, Fault> {
        let more =
            self.reader.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
                csv::ErrorKind::Io(error) => Fault::Read(error),
                other => Fault::Read(std::io::Error::other(format!("{other:?}"))),
            })?;
        let row = self.record.as_slice();
        if !more || row == LAST_FIELD {
            return Ok(false);
        }
        if row.ends_with(LAST_ROW) {
            return Err(self.fault("a quoted field starts here or below and never ends".to_owned()));
        }
        if row.len() > KEY_LIMIT {
            return Err(self.fault(TOO_LONG.to_owned()));
        }
        Ok(true)
    }

    /// Where the row starts, or the empty lines above it.
    fn start(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::byte)
    }

    fn fault(&self, what: String) -> Fault {
        Fault::Line(self.line_at(self.start()), what)
    }

    /// The parser's own count of lines leaves out those within quotes, so the file's are counted once they matter.
    fn line_at(&self, start: u64) -> u64 {
        let (input, _) = self.reader.get_ref().get_ref();
        input.line_at(start).unwrap_or_else(|_| self.reader.position().line())
    }
}

fn write_field(keys: &mut Vec<u8>, text: &str, column: &mut Column, start: u64) {
    let kind = if column.is_text { Field::Text } else { classify(text) };
    match kind {
        Field::Integer(value) => {
            column.number.get_or_insert(start);
            put::write_sint(keys, value).map(|_| ()).expect("memory takes every write");
        }
        Field::Float(value) => {
            column.number.get_or_insert(start);
            put::write_f64(keys, value).expect("memory takes every write");
        }
        Field::Padded | Field::Text => {
            if kind == Field::Padded {
                column.padded.get_or_insert(start);
            }
            put::write_str(keys, text).expect("memory takes every write");
        }
    }
}
