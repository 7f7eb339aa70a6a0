//! Reading a task file: from lines, rows or MessagePack to chunks of task keys.
//!
//! A key is what the task's function is called with, as MessagePack: an array holds positional arguments, a map named
//! ones, anything else a single one. Integers are written in their shortest form and floats as float64, so equal
//! tasks have equal keys, which is what resuming goes by. The reader streams: it holds a chunk and a block of the file,
//! whatever the file's length. It does not know of duplicates, jobs or connections.
//!
//! | ends in | a task is | module |
//! |---|---|---|
//! | `.csv` | a row | [`rows`] |
//! | `.jsonl`, `.ndjson`, `-` for functions | a line of JSON | [`json`] |
//! | `.txt`, `-` for commands | a line of text | [`lines`] |
//! | `.msgpack` | a value | [`packed`] |

use std::path::Path;

use bytes::Bytes;

mod error;
mod input;
mod json;
mod lines;
mod numbers;
mod packed;
mod rows;

pub use error::TaskError;
use input::Input;
use json::JsonLines;
use lines::{Lines, TextLines};
use packed::PackedKeys;
use rows::Rows;

/// Tasks in the first chunk: few, so that work starts at once.
const FIRST_CHUNK: u32 = 4_096;
/// Tasks in a later chunk, at most.
const CHUNK_TASKS: u32 = 65_536;
/// Bytes in a chunk, about: the key that reaches this is its last.
const CHUNK_BYTES: usize = 1 << 20;
/// Longest line, row or key in bytes; a chunk with such a key still fits a frame of the wire.
const KEY_LIMIT: usize = 32 << 20;
/// What is said of one that is longer.
const TOO_LONG: &str = "longer than 32 MiB";
/// Tasks are numbered by 32 bits.
const TASK_LIMIT: u64 = u32::MAX as u64;

/// Where tasks come from.
#[derive(Debug, Clone, Copy)]
pub struct TaskSource<'a> {
    /// The file; `-` is standard input.
    pub file: &'a Path,
    /// Whether the tasks are for a command: lines of standard input are text, not JSON.
    pub for_command: bool,
    /// Columns of a .csv file that are text whatever they look like.
    pub text: &'a [String],
}

/// Some tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Their keys, one behind the other.
    pub keys: Bytes,
    /// How many.
    pub count: u32,
}

impl Chunk {
    /// What is left behind the first `count` tasks.
    pub fn skip(&self, count: u32) -> Option<Chunk> {
        if count >= self.count {
            return None;
        }
        let skipped = shared::msgpack::values(&self.keys).take(count as usize);
        let bytes: usize =
            skipped.map(|key| key.expect("keys that were just encoded are well formed").len()).sum();
        Some(Chunk { keys: self.keys.slice(bytes..), count: self.count - count })
    }
}

/// How much still fits into the chunk that is being filled.
#[derive(Debug, Clone, Copy)]
struct Room {
    tasks: u32,
    bytes: usize,
}

impl Room {
    fn is_left(self, count: u32, keys: &[u8]) -> bool {
        count < self.tasks && keys.len() < self.bytes
    }

    /// Whether the key that was put last, from `start` on, is too long: numbers may take more bytes than as text.
    fn check_key(self, keys: &[u8], start: usize) -> Result<(), String> {
        if keys.len() - start > KEY_LIMIT { Err(format!("as a key {TOO_LONG}")) } else { Ok(()) }
    }
}

#[derive(Debug)]
enum Format {
    Rows(Rows),
    Json(JsonLines),
    Text(TextLines),
    Packed(PackedKeys),
}

/// Reads tasks, a chunk at a time.
#[derive(Debug)]
pub struct TaskReader {
    name: String,
    format: Format,
    tasks: u64,
    notes: Vec<String>,
    ended: bool,
}

/// Opens a task file and reads as far as its header, if it has one.
pub fn open(source: &TaskSource<'_>) -> Result<TaskReader, TaskError> {
    let is_stdin = source.file.as_os_str() == "-";
    let name = if is_stdin { "standard input".to_owned() } else { source.file.display().to_string() };
    let extension = source.file.extension().map(|text| text.to_string_lossy().to_ascii_lowercase());
    let kind = match (extension.as_deref(), is_stdin) {
        (_, true) if source.for_command => "txt",
        (_, true) => "jsonl",
        (Some(known @ ("csv" | "jsonl" | "ndjson" | "msgpack" | "txt")), false) => known,
        _ => return Err(TaskError::UnknownFormat { name }),
    };
    if kind != "csv" && !source.text.is_empty() {
        return Err(TaskError::TextWithoutColumns { name });
    }
    let input = if is_stdin { Input::stdin() } else { Input::file(source.file) };
    let input = input.map_err(|source| TaskError::Open { name: name.clone(), source })?;
    TaskReader::new(name, kind, input, source.text)
}

impl TaskReader {
    fn new(name: String, kind: &str, input: Input, text: &[String]) -> Result<TaskReader, TaskError> {
        let format = match kind {
            "csv" => Format::Rows(Rows::open(input, text).map_err(|fault| fault.within(&name))?),
            "txt" => Format::Text(TextLines::new(Lines::new(input))),
            "msgpack" => Format::Packed(PackedKeys::new(input)),
            _ => Format::Json(JsonLines::new(Lines::new(input))),
        };
        Ok(TaskReader { name, format, tasks: 0, notes: Vec::new(), ended: false })
    }

    /// Names of a task's fields, where the file gives them: the header of a .csv file.
    pub fn fields(&self) -> &[String] {
        match &self.format {
            Format::Rows(rows) => rows.fields(),
            Format::Json(_) | Format::Text(_) | Format::Packed(_) => &[],
        }
    }

    /// How many fields each task has, where that is known before it is read.
    pub fn width(&self) -> Option<usize> {
        match &self.format {
            Format::Rows(rows) => Some(rows.fields().len()),
            Format::Text(_) => Some(1),
            Format::Json(_) | Format::Packed(_) => None,
        }
    }

    /// The next tasks; `None` when there are no more. Blocks only while it has none at all. Not to be called again
    /// after an error.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, TaskError> {
        let tasks = if self.tasks == 0 { FIRST_CHUNK } else { CHUNK_TASKS };
        let room = Room { tasks, bytes: CHUNK_BYTES };
        let mut keys = Vec::with_capacity(if self.tasks == 0 { 1 << 16 } else { CHUNK_BYTES + 4_096 });
        let count = match &mut self.format {
            Format::Rows(rows) => rows.read(&mut keys, room),
            Format::Json(lines) => lines.read(&mut keys, room),
            Format::Text(lines) => lines.read(&mut keys, room),
            Format::Packed(packed) => packed.read(&mut keys, room),
        };
        let count = count.map_err(|fault| fault.within(&self.name))?;
        self.tasks += u64::from(count);
        if self.tasks > TASK_LIMIT {
            return Err(TaskError::TooMany { name: self.name.clone() });
        }
        if count == 0 {
            self.end();
            return Ok(None);
        }
        if keys.len() < keys.capacity() / 2 {
            keys.shrink_to_fit();
        }
        Ok(Some(Chunk { keys: keys.into(), count }))
    }

    /// How many tasks have been read, repeated ones included.
    #[cfg(test)]
    pub fn tasks(&self) -> u64 {
        self.tasks
    }

    /// What the user should know about the file, a line each; complete once the file has been read to its end.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let name = &self.name;
        if self.tasks == 0 {
            self.notes.push(format!("{name} holds no tasks"));
        }
        match &self.format {
            Format::Rows(rows) => self.notes.extend(rows.notes().map(|note| format!("{name}: {note}"))),
            Format::Packed(packed) => self.notes.extend(packed.note().map(|note| format!("{name}: {note}"))),
            Format::Json(_) | Format::Text(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
