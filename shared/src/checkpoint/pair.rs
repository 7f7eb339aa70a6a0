//! A checkpoint and its journal as one: which frames count, in which order, and what is wrong with the two.
//!
//! It is the one judgement for whoever opens, verifies, exports or only looks. It opens no file and names none, and
//! decides nothing about what to do: cutting, folding and removing are the writer's.
//!
//! Invariant: what is shown, if there is no corruption, is every acknowledged row, once.

use std::io;

use super::{
    Damage, Depth, FileHeader, FrameAt, Head, HeaderError, Inspection, JournalOf, ReadAt, Scanner, Step,
    Totals, Visit,
    inspect::{Bounds, inspect, inspect_within, read_header},
};

/// A checkpoint, and the journal beside it.
///
/// To see all that was acknowledged, open the journal first and then the checkpoint.
pub struct Pair<'a, S: ?Sized> {
    /// The checkpoint.
    pub main: &'a S,
    /// Its journal, if there is a file of that name.
    pub journal: Option<&'a S>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The checkpoint.
    Main,
    /// Its journal.
    Journal,
}

/// What the file beside a checkpoint is to it.
#[derive(Debug)]
pub enum Journal {
    /// Its rows count, as if they stood at the end of the checkpoint.
    Counts(Inspection),
    /// All its rows are in the checkpoint: it is without meaning.
    Folded,
    /// Its rows count, but the checkpoint was longer when it was begun: that one was cut short from outside.
    MainTooShort {
        /// How long it was.
        end: u64,
        /// The journal.
        journal: Inspection,
    },
    /// It belongs to the checkpoint with this id, or is none at all.
    Foreign(Option<[u8; 16]>),
    /// Its header cannot be read.
    Unreadable(HeaderError),
}

/// What a checkpoint and its journal are found to be.
#[derive(Debug)]
pub struct Judgement {
    /// The checkpoint, as far as it counts: what lies at or beyond [`Inspection::len`] is a fold that was not finished.
    pub main: Inspection,
    /// The journal, if there is one.
    pub journal: Option<Journal>,
}

/// A frame that counts.
pub struct Listed<'a, S: ?Sized> {
    /// In which of the two it is.
    pub part: Part,
    /// The bytes of that one.
    pub source: &'a S,
    /// Where it is.
    pub frame: FrameAt,
    /// What it holds.
    pub head: Head,
}

/// What a journal says that it is, checked against the checkpoint.
enum Relation {
    Counts(JournalOf),
    Folded(JournalOf),
    Foreign(Option<[u8; 16]>),
    Unreadable(HeaderError),
}

impl<'a, S: ReadAt + ?Sized> Pair<'a, S> {
    /// A checkpoint without a journal.
    pub fn alone(main: &'a S) -> Pair<'a, S> {
        Pair { main, journal: None }
    }

    /// Inspects both, showing each sound frame that counts to `visit` in order, with the bytes that it is part of.
    ///
    /// A journal that counts is always checked wholly.
    pub fn inspect(
        &self,
        depth: Depth,
        visit: &mut dyn FnMut(Part, &'a S, Visit<'_>),
    ) -> io::Result<Judgement> {
        let len = self.main.len()?;
        let relation = self.journal.map(|journal| self.relation(journal, len)).transpose()?;
        let bounds = match &relation {
            Some(Relation::Counts(JournalOf { end, .. })) => Bounds { end: *end, durable: Some(*end) },
            Some(Relation::Folded(JournalOf { end, .. })) => Bounds { end: len, durable: Some(*end) },
            Some(Relation::Foreign(_) | Relation::Unreadable(_)) | None => Bounds { end: len, durable: None },
        };
        let main = inspect_within(self.main, bounds, depth, &mut |seen| visit(Part::Main, self.main, seen))?;
        let mut counted =
            |source| inspect(source, Depth::All, &mut |seen| visit(Part::Journal, source, seen));
        let journal = match (self.journal, relation) {
            (Some(source), Some(Relation::Counts(JournalOf { end, .. }))) if end > len => {
                Some(Journal::MainTooShort { end, journal: counted(source)? })
            }
            (Some(source), Some(Relation::Counts(_))) => Some(Journal::Counts(counted(source)?)),
            (_, Some(Relation::Counts(_)) | None) => None,
            (_, Some(Relation::Folded(_))) => Some(Journal::Folded),
            (_, Some(Relation::Foreign(of))) => Some(Journal::Foreign(of)),
            (_, Some(Relation::Unreadable(error))) => Some(Journal::Unreadable(error)),
        };
        Ok(Judgement { main, journal })
    }

    fn relation(&self, journal: &S, len: u64) -> io::Result<Relation> {
        let header = match read_header(journal, journal.len()?)? {
            Ok((header, _)) => header,
            Err(error) => return Ok(Relation::Unreadable(error)),
        };
        let Some(of) = header.journal else { return Ok(Relation::Foreign(None)) };
        let foreign = |main: &FileHeader| main.id != of.of;
        if read_header(self.main, len)?.is_ok_and(|(main, _)| foreign(&main)) {
            return Ok(Relation::Foreign(Some(of.of)));
        }
        let mut folded = false;
        let bounds = Bounds { end: len, durable: Some(of.end) };
        let found = inspect_within(self.main, bounds, Depth::Heads, &mut |seen| {
            folded |= seen.frame.offset >= of.end && seen.head.folds() == Some(header.id);
        })?;
        // The frame that would tell is among what was lost, and it was durable: what follows it must not be given up.
        let lost = found.damages.iter().any(|damage| damage.frame >= of.end);
        Ok(if folded || lost { Relation::Folded(of) } else { Relation::Counts(of) })
    }

    /// The frames that count, in order, one at a time; `found` is what [`inspect`](Pair::inspect) said of the same two.
    ///
    /// Frames whose head cannot be used are left out; bodies have not been checked.
    pub fn frames(&self, found: &Judgement) -> Frames<'a, S> {
        let journal = found.journal.as_ref().and_then(Journal::counted);
        let scan = |part, source: &'a S, inspection: &Inspection| {
            let tag = inspection.header.as_ref().ok().map(FileHeader::tag);
            Walk { part, source, scanner: Scanner::new(source, inspection.start, inspection.end, tag) }
        };
        let journal = self.journal.zip(journal).map(|(source, found)| scan(Part::Journal, source, found));
        Frames { rest: [Some(scan(Part::Main, self.main, &found.main)), journal] }
    }
}

impl Journal {
    /// What is in it, if its rows count.
    #[must_use]
    pub fn counted(&self) -> Option<&Inspection> {
        match self {
            Journal::Counts(journal) | Journal::MainTooShort { journal, .. } => Some(journal),
            Journal::Folded | Journal::Foreign(_) | Journal::Unreadable(_) => None,
        }
    }

    /// What is wrong about the journal as such, apart from damage inside it.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        match self {
            Journal::Counts(_) | Journal::Folded => None,
            Journal::MainTooShort { end, .. } => Some(format!(
                "the checkpoint was {end} bytes long when its journal was begun, and is shorter"
            )),
            Journal::Foreign(Some(_)) => Some("the journal belongs to another checkpoint".to_owned()),
            Journal::Foreign(None) => Some("what lies where the journal belongs is none".to_owned()),
            Journal::Unreadable(error) => Some(format!("the journal: {error}")),
        }
    }
}

impl Judgement {
    /// Whether no writer may go on with the two.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        let damaged = |found: &Inspection| found.header.is_err() || !found.damages.is_empty();
        let journal = self.journal.as_ref();
        damaged(&self.main)
            || journal.and_then(Journal::counted).is_some_and(damaged)
            || journal.is_some_and(|journal| journal.fault().is_some())
    }

    /// What both hold together, as far as it can be read and counts.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let journal = self.journal.as_ref().and_then(Journal::counted);
        let more = journal.map_or_else(Totals::default, |journal| journal.totals);
        let Totals { values, failures, frames, .. } = self.main.totals;
        Totals {
            values: values + more.values,
            failures: failures + more.failures,
            frames: frames + more.frames,
            failed: None,
        }
    }

    /// Corruption in either, in order.
    pub fn damages(&self) -> impl Iterator<Item = (Part, &Damage)> {
        let journal = self.journal.as_ref().and_then(Journal::counted);
        let main = self.main.damages.iter().map(|damage| (Part::Main, damage));
        let more = journal.into_iter().flat_map(|found| &found.damages);
        main.chain(more.map(|damage| (Part::Journal, damage)))
    }
}

/// The frames of a pair that count, see [`Pair::frames`].
pub struct Frames<'a, S: ?Sized> {
    rest: [Option<Walk<'a, S>>; 2],
}

struct Walk<'a, S: ?Sized> {
    part: Part,
    source: &'a S,
    scanner: Scanner<'a, S>,
}

impl<'a, S: ReadAt + ?Sized> Iterator for Frames<'a, S> {
    type Item = io::Result<Listed<'a, S>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest.iter_mut().flatten().find_map(|walk| walk.next().transpose())
    }
}

impl<'a, S: ReadAt + ?Sized> Walk<'a, S> {
    fn next(&mut self) -> io::Result<Option<Listed<'a, S>>> {
        while let Some(step) = self.scanner.step()? {
            if let Step::Frame(frame) = step
                && let Ok(head) = self.scanner.head(&frame)?
            {
                return Ok(Some(Listed { part: self.part, source: self.source, frame, head }));
            }
        }
        Ok(None)
    }
}
