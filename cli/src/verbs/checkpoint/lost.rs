//! What damage has cost: the bytes concerned, and the tasks, by their keys where these can still be read.

use std::ops::Range;

use serde_json::{Value, json};
use shared::{
    checkpoint::{Damage, FileHeader, HeaderError, Inspection, Part, Scanner, Side, Step, What},
    msgpack,
};

use super::{files::Source, reading::Reading, rows::half};
use crate::{fault::Fault, keys};

/// Keys that a text names for each place.
const SHOWN: usize = 10;

/// Something that cannot be read.
pub struct Lost {
    part: Part,
    /// Where the frame begins that has it.
    frame: u64,
    bytes: Range<u64>,
    what: String,
    /// How many tasks are concerned, if that is known.
    tasks: Option<u64>,
    /// Their keys one behind the other, if these can be read.
    keys: Vec<u8>,
}

impl Lost {
    /// Damage, and the keys of the frame that has it.
    pub fn of(part: Part, damage: &Damage, keys: Vec<u8>) -> Lost {
        let tasks = match damage.what {
            What::Keys(rows) | What::Outcomes(rows, _) => Some(u64::from(rows)),
            What::Torn | What::NoFrame(_) | What::Gap(_) | What::Malformed | What::NoRows | What::Newer => {
                None
            }
        };
        let what = match &damage.what {
            What::Outcomes(rows, _) => format!("outcomes of {rows} tasks"),
            _ => damage.to_string().split_once(": ").map_or_else(String::new, |(_, what)| what.to_owned()),
        };
        Lost { part, frame: damage.frame, bytes: damage.range.clone(), what, tasks, keys }
    }

    /// Whether it is of the frame that begins here.
    pub fn is_at(&self, part: Part, frame: u64) -> bool {
        (self.part, self.frame) == (part, frame)
    }

    /// The place as text, a line, and its keys in further ones.
    pub fn text(&self) -> String {
        let journal = if self.part == Part::Journal { "journal, " } else { "" };
        let mut text = format!("  {journal}bytes {}..{}: {}\n", self.bytes.start, self.bytes.end, self.what);
        text.push_str(&listed(&self.keys));
        text
    }

    /// The same for programs, with all keys.
    pub fn json(&self) -> Value {
        let keys: Vec<Value> = msgpack::values(&self.keys).flatten().map(keys::json).collect();
        json!({
            "part": if self.part == Part::Journal { "journal" } else { "checkpoint" },
            "bytes": [self.bytes.start, self.bytes.end],
            "what": self.what,
            "tasks": self.tasks,
            "keys": keys,
        })
    }
}

/// The first of these keys, a line each.
pub fn listed(all: &[u8]) -> String {
    let mut rest = msgpack::values(all).flatten();
    let mut text: String =
        rest.by_ref().take(SHOWN).map(|key| format!("    {}\n", keys::text(key))).collect();
    let more = rest.count();
    if more > 0 {
        text.push_str(&format!("    and {more} more\n"));
    }
    text
}

/// Everything that an inspection found to be lost, in order; what is wrong with headers is not in it.
pub fn all(reading: &Reading<'_>) -> Result<Vec<Lost>, Fault> {
    let pair = &reading.pair;
    let journal = reading.found.journal.as_ref().and_then(|journal| journal.counted());
    reading
        .found
        .damages()
        .map(|(part, damage)| {
            let (source, found) = match (part, pair.journal, journal) {
                (Part::Journal, Some(source), Some(found)) => (source, found),
                (Part::Main | Part::Journal, ..) => (pair.main, &reading.found.main),
            };
            let keys = match damage.what {
                What::Outcomes(..) => keys_at(source, found, damage.frame),
                _ => Ok(Vec::new()),
            };
            Ok(Lost::of(part, damage, keys.map_err(|error| reading.files.unreadable(&error))?))
        })
        .collect()
}

/// The keys of the frame at this place, if they can be read.
fn keys_at(source: &Source, found: &Inspection, at: u64) -> std::io::Result<Vec<u8>> {
    let tag = found.header.as_ref().ok().map(FileHeader::tag);
    let mut scanner = Scanner::new(source, at, found.len, tag);
    while let Some(step) = scanner.step()? {
        if let Step::Frame(frame) = step {
            let Ok(head) = scanner.head(&frame)? else { break };
            let listed = shared::checkpoint::Listed { part: Part::Main, source, frame, head };
            return Ok(half(&listed, Side::Keys).unwrap_or_default());
        }
    }
    Ok(Vec::new())
}

/// What is wrong beside damaged frames, each in a line.
pub fn faults(reading: &Reading<'_>) -> Vec<String> {
    let header = reading.found.main.header.as_ref().err();
    let header = header.filter(|error| **error == HeaderError::Damaged).map(ToString::to_string);
    let journal = reading.found.journal.as_ref();
    let inside = journal.and_then(|journal| journal.counted()).and_then(|found| found.header.as_ref().err());
    let inside = inside.map(|error| format!("the journal: {error}"));
    header.into_iter().chain(inside).chain(journal.and_then(|journal| journal.fault())).collect()
}

/// What is no checkpoint, or none that this version can read.
pub fn is_one(reading: &Reading<'_>) -> Result<(), Fault> {
    match &reading.found.main.header {
        Ok(_) | Err(HeaderError::Damaged) => Ok(()),
        Err(error @ (HeaderError::NotACheckpoint | HeaderError::TextMode | HeaderError::Newer(..))) => {
            Err(reading.files.damaged(error))
        }
    }
}
