//! A checkpoint under a tool: what counts of it, as often as the tool walks over it.
//!
//! Invariant: every walk shows the same frames in the same order, so rows may be told by their number.

use std::ops::Range;

use coordinator::checkpoint::Recorded;
use shared::{
    checkpoint::{
        BadRows, Compress, Damage, Depth, FileHeader, HeaderError, Journal, Judgement, Listed, Pair, Part,
        ReadAt, Side, Visit, What,
    },
    msgpack,
};

use super::{
    DAMAGED,
    files::{Files, Source},
    hashes::LastFailures,
    rows::{Rows, half, kind_of},
};
use crate::{fault::Fault, keys};

/// How many places a message names.
const PLACES: usize = 3;
/// How many keys the text of a damage names.
const KEYS: usize = 3;

/// See the module.
pub struct Reading<'a> {
    pub files: &'a Files,
    pub pair: Pair<'a, Source>,
    pub found: Judgement,
}

/// The rows of a frame, or why they cannot be had.
pub struct Seen<'a> {
    pub listed: &'a Listed<'a, Source>,
    /// The number of the first of its rows among the rows of the kind that is walked over.
    pub first: u64,
    pub rows: Result<Rows, Damage>,
}

impl<'a> Reading<'a> {
    /// Looks over heads, and over all that no later frame witnesses.
    pub fn of(files: &'a Files) -> Result<Reading<'a>, Fault> {
        Reading::to(files, files.pair(), Depth::Heads, &mut |_, _, _| {})
    }

    /// Looks over as much as is asked for, and shows the frames that are sound.
    pub fn to(
        files: &'a Files,
        pair: Pair<'a, Source>,
        depth: Depth,
        visit: &mut dyn FnMut(Part, &'a Source, Visit<'_>),
    ) -> Result<Reading<'a>, Fault> {
        let found = pair.inspect(depth, visit).map_err(|error| files.unreadable(&error))?;
        Ok(Reading { files, pair, found })
    }

    /// What is in the journal, where that cannot be counted because its header is damaged.
    pub fn of_stray_journal(&self) -> Result<Option<Reading<'a>>, Fault> {
        match (&self.found.journal, self.pair.journal) {
            (Some(Journal::Unreadable(HeaderError::Damaged)), Some(journal)) => {
                let alone = Pair::alone(journal);
                Reading::to(self.files, alone, Depth::Heads, &mut |_, _, _| {}).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The same of one that has to be whole.
    pub fn of_whole(files: &'a Files) -> Result<Reading<'a>, Fault> {
        let reading = Reading::of(files)?;
        if let Err(error) = &reading.found.main.header {
            return Err(files.damaged(error));
        }
        let mut places: Vec<String> =
            reading.found.damages().take(PLACES).map(|(_, damage)| damage.to_string()).collect();
        places.extend(reading.found.journal.as_ref().and_then(|journal| journal.fault()));
        if reading.found.is_corrupt() { Err(reading.damaged(&places.join("; "))) } else { Ok(reading) }
    }

    /// The header of one that is whole.
    pub fn header(&self) -> &FileHeader {
        self.found.main.header.as_ref().expect("it was judged whole")
    }

    /// The bytes of both files.
    pub fn bytes(&self) -> Result<u64, Fault> {
        let pair = &self.pair;
        let journal = pair.journal.map_or(Ok(0), ReadAt::len);
        let len = pair.main.len().and_then(|main| Ok(main + journal?));
        len.map_err(|error| self.files.unreadable(&error))
    }

    /// The error of a tool that needs a whole checkpoint.
    pub fn damaged(&self, what: &str) -> Fault {
        let path = self.files.location();
        let message = format!(
            "{path} is damaged ({what}); nothing was changed: see `maniple checkpoint verify`, then take what is whole with `maniple checkpoint repair`"
        );
        Fault { code: DAMAGED, message }
    }

    /// Walks over the frames of rows that count.
    fn walk(
        &self,
        mut each: impl FnMut(&Listed<'_, Source>, Recorded) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for listed in self.pair.frames(&self.found) {
            let listed = listed.map_err(|error| self.files.unreadable(&error))?;
            if let Some(kind) = kind_of(&listed.head.kind) {
                each(&listed, kind)?;
            }
        }
        Ok(())
    }

    /// The keys of all rows of a kind that can be read, a frame at a time.
    pub fn keys(&self, wanted: Recorded, each: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        self.walk(|listed, kind| {
            if kind != wanted {
                return Ok(());
            }
            match half(listed, Side::Keys) {
                Ok(keys) => each(&keys),
                Err(BadRows::Read(error)) => return Err(self.files.unreadable(&error)),
                Err(BadRows::Checksum(_) | BadRows::Form(_)) => {}
            }
            Ok(())
        })
    }

    /// All rows of a kind, a frame at a time, also those that cannot be read.
    pub fn frames(
        &self,
        wanted: Recorded,
        each: &mut dyn FnMut(Seen<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut first = 0;
        self.walk(|listed, kind| {
            if kind != wanted {
                return Ok(());
            }
            let rows = match Rows::read(kind, listed) {
                Ok(rows) => Ok(rows),
                Err(BadRows::Read(error)) => return Err(self.files.unreadable(&error)),
                Err(BadRows::Checksum(blob) | BadRows::Form(blob)) => Err(damage(listed, blob)),
            };
            each(Seen { listed, first, rows })?;
            first += u64::from(listed.head.rows());
            Ok(())
        })
    }

    /// All rows of a kind, a frame at a time; what cannot be read is the end.
    pub fn rows(
        &self,
        wanted: Recorded,
        each: &mut dyn FnMut(u64, Rows) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.frames(wanted, &mut |seen| {
            let rows = seen.rows.map_err(|damage| self.damaged(&damage.to_string()))?;
            each(seen.first, rows)
        })
    }

    /// Enters the failures that can be read, with their numbers and `offset`.
    pub fn enter_failures(&self, last: &mut LastFailures, offset: u64) -> Result<(), Fault> {
        self.frames(Recorded::Failures, &mut |seen| {
            if let Ok(rows) = &seen.rows {
                last.failed(&rows.keys, seen.first + offset);
            }
            Ok(())
        })
    }

    /// Enters the keys that have values, if there is anything that they matter to.
    pub fn enter_values(&self, last: &mut LastFailures) -> Result<(), Fault> {
        if last.is_empty() { Ok(()) } else { self.keys(Recorded::Values, &mut |keys| last.have_values(keys)) }
    }

    /// How values are stored, by the first frame of them.
    pub fn compress(&self) -> Result<Compress, Fault> {
        let mut compress = None;
        self.walk(|listed, kind| {
            if kind == Recorded::Values {
                compress = compress.or(listed.head.layouts().map(|(_, values)| values.compress));
            }
            Ok(())
        })?;
        Ok(compress.unwrap_or_default())
    }
}

/// What is wrong with a frame whose blob is.
fn damage(listed: &Listed<'_, Source>, blob: usize) -> Damage {
    let (frame, head) = (&listed.frame, &listed.head);
    let range: Range<u64> = frame.range(&head.blobs[blob]);
    let what = match half(listed, Side::Keys) {
        Ok(rows) => {
            let first = msgpack::values(&rows).flatten().take(KEYS).map(keys::text).collect();
            What::Outcomes(head.rows(), first)
        }
        Err(_) => What::Keys(head.rows()),
    };
    Damage { frame: frame.offset, range, what }
}
