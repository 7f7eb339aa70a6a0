//! Judges a file as a whole: what it holds, and whether what is wrong with it is the trace of a crash or corruption.
//!
//! Two passes: the first finds how much of the file was durable once (*witnessed*), the second reads keys, and bodies
//! where asked or where no later frame witnesses them. It changes nothing and remembers no frame.
//!
//! Invariant: what is visited, if there is no corruption, is exactly what lies before [`Inspection::end`].

use std::{io, ops::Range};

use super::{
    Damage, FileHeader, FrameAt, Head, HeaderError, Kind, ReadAt, Scanner, Step, Totals, What,
    head::HeadError,
    read::{BadRows, Block, Contents, Side},
    show,
};
use crate::msgpack;

/// How much of a file is checked. What no later frame witnesses is always checked wholly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// That each frame is there.
    Heads,
    /// Their keys too.
    Keys,
    /// Every byte.
    All,
}

/// What a file is found to be.
#[derive(Debug)]
pub struct Inspection {
    /// Its header.
    pub header: Result<FileHeader, HeaderError>,
    /// What it holds, as far as it can be read.
    pub totals: Totals,
    /// When the last frame was written, Unix time in milliseconds.
    pub last_at: Option<u64>,
    /// Where its frames begin.
    pub start: u64,
    /// So much of it was durable once.
    pub witnessed: u64,
    /// Where the next frame belongs: the end of the last one that is relied upon.
    pub end: u64,
    /// How much of it was inspected: its length, or less if what follows does not count.
    pub len: u64,
    /// Where the trace of a crash begins, if there is one; it goes on to `len`.
    pub crash: Option<u64>,
    /// The number of the next frame.
    pub next_sequence: u64,
    /// Whether the last writer ended in order.
    pub closed: bool,
    /// Corruption, in the order of the file.
    pub damages: Vec<Damage>,
}

/// A sound frame whose keys were read, or a sound frame that has none.
pub struct Visit<'a> {
    /// Where it is.
    pub frame: FrameAt,
    /// What it holds.
    pub head: &'a Head,
    /// Its keys, one behind the other; empty with [`Depth::Heads`].
    pub keys: &'a [u8],
}

/// Inspects a file, showing each sound frame to `visit` in order.
pub fn inspect<S: ReadAt + ?Sized>(
    source: &S,
    depth: Depth,
    visit: &mut dyn FnMut(Visit<'_>),
) -> io::Result<Inspection> {
    inspect_within(source, Bounds { end: source.len()?, durable: None }, depth, visit)
}

/// What is known of a file from elsewhere.
pub(super) struct Bounds {
    /// What lies behind does not count.
    pub end: u64,
    /// So much of it was durable when its journal was begun, whatever its own frames say. What lies behind tells whether
    /// that counts, and so is checked wholly.
    pub durable: Option<u64>,
}

pub(super) fn inspect_within<S: ReadAt + ?Sized>(
    source: &S,
    bounds: Bounds,
    depth: Depth,
    visit: &mut dyn FnMut(Visit<'_>),
) -> io::Result<Inspection> {
    let len = source.len()?;
    let header = read_header(source, len)?;
    let (start, tag) = match &header {
        Ok((header, start)) => (*start, Some(header.tag())),
        Err(_) => (0, None),
    };
    // What bounds it came from another file, and may be nonsense.
    let len = len.min(bounds.end).max(start);
    let mut inspection = Inspection {
        header: header.map(|(header, _)| header),
        totals: Totals::default(),
        last_at: None,
        start,
        witnessed: start,
        end: start,
        len,
        crash: None,
        next_sequence: 0,
        closed: false,
        damages: Vec::new(),
    };
    let scanner = || Scanner::new(source, start, len, tag);
    inspection.witnessed = witnessed(scanner(), start)?.max(bounds.durable.unwrap_or(0));
    let depth_at = |offset| if bounds.durable.is_some_and(|end| offset >= end) { Depth::All } else { depth };
    inspection.walk(source, scanner(), &depth_at, visit)?;
    Ok(inspection)
}

fn witnessed<S: ReadAt + ?Sized>(mut scanner: Scanner<'_, S>, start: u64) -> io::Result<u64> {
    let mut witnessed = start;
    while let Some(step) = scanner.step()? {
        if let Step::Frame(frame) = step {
            witnessed = witnessed.max(frame.header.durable);
        }
    }
    Ok(witnessed)
}

/// The header of a file, and where its frames begin.
pub fn read_header<S: ReadAt + ?Sized>(
    source: &S,
    len: u64,
) -> io::Result<Result<(FileHeader, u64), HeaderError>> {
    let mut start = [0; 24];
    let filled = source.read_at(0, &mut start)?;
    Ok(match FileHeader::len_from(&start[..filled]) {
        Err(error) => Err(error),
        Ok(header_len) if header_len > len => Err(HeaderError::Damaged),
        Ok(header_len) => {
            let mut bytes = vec![0; header_len as usize];
            let filled = source.read_at(0, &mut bytes)?;
            FileHeader::decode(&bytes[..filled])
        }
    })
}

impl Inspection {
    /// The trace of a crash, if there is one: nothing from where it begins is relied upon.
    #[must_use]
    pub fn tail(&self) -> Option<Range<u64>> {
        self.crash.map(|start| start..self.len)
    }

    /// How many tasks are known to be concerned by corruption, and whether there may be more.
    #[must_use]
    pub fn affected(&self) -> (u64, bool) {
        let known = self.damages.iter().map(|damage| match damage.what {
            What::Keys(rows) | What::Outcomes(rows, _) => u64::from(rows),
            What::Torn | What::NoFrame(_) | What::Gap(_) | What::Malformed | What::NoRows | What::Newer => 0,
        });
        let unknown = self
            .damages
            .iter()
            .any(|damage| !matches!(damage.what, What::Keys(_) | What::Outcomes(..) | What::NoRows));
        (known.sum(), unknown)
    }

    fn walk<S: ReadAt + ?Sized>(
        &mut self,
        source: &S,
        mut scanner: Scanner<'_, S>,
        depth_at: &dyn Fn(u64) -> Depth,
        visit: &mut dyn FnMut(Visit<'_>),
    ) -> io::Result<()> {
        while let Some(step) = scanner.step()? {
            let damage = match step {
                Step::Damage(damage) => damage,
                Step::Frame(frame) => {
                    let depth = depth_at(frame.offset);
                    match self.check(source, &mut scanner, &frame, depth, visit)? {
                        None => continue,
                        Some(damage) => damage,
                    }
                }
            };
            let crash = damage.frame >= self.witnessed && damage.what.is_left_by_a_crash();
            if crash {
                self.crash = Some(damage.frame);
                return Ok(());
            }
            self.closed = false;
            self.damages.push(damage);
        }
        Ok(())
    }

    /// Checks a frame as deep as asked and counts it; what is wrong with it otherwise.
    fn check<S: ReadAt + ?Sized>(
        &mut self,
        source: &S,
        scanner: &mut Scanner<'_, S>,
        frame: &FrameAt,
        depth: Depth,
        visit: &mut dyn FnMut(Visit<'_>),
    ) -> io::Result<Option<Damage>> {
        let wrong = |range: Range<u64>, what: What| Ok(Some(Damage { frame: frame.offset, range, what }));
        let whole = frame.offset..frame.end();
        let head = match scanner.head(frame)? {
            Ok(head) => head,
            Err(HeadError::Newer) => return wrong(whole, What::Newer),
            Err(HeadError::Malformed) => return wrong(whole, What::Malformed),
        };
        let wholly = depth == Depth::All || frame.end() > self.witnessed;
        let rows = head.rows();
        let contents = Contents::new(source, frame, &head);
        let keys = if wholly || depth >= Depth::Keys { contents.block(Side::Keys) } else { Ok(None) };
        let keys = match keys {
            Ok(keys) => keys.map(Block::into_rows).unwrap_or_default(),
            Err(BadRows::Read(error)) => return Err(error),
            Err(BadRows::Checksum(blob)) => return wrong(frame.range(&head.blobs[blob]), What::Keys(rows)),
            Err(BadRows::Form(_)) => return wrong(whole, What::Malformed),
        };
        match if wholly { contents.check_outcomes() } else { Ok(()) } {
            Ok(()) => {}
            Err(BadRows::Read(error)) => return Err(error),
            Err(BadRows::Checksum(blob)) if rows == 0 => {
                return wrong(frame.range(&head.blobs[blob]), What::NoRows);
            }
            Err(BadRows::Checksum(blob)) => {
                let first = msgpack::values(&keys).take(3).flatten().map(show::key).collect();
                return wrong(frame.range(&head.blobs[blob]), What::Outcomes(rows, first));
            }
            Err(BadRows::Form(blob)) => return wrong(frame.range(&head.blobs[blob]), What::Malformed),
        }
        visit(Visit { frame: *frame, head: &head, keys: &keys });
        self.count(frame, &head);
        Ok(None)
    }

    fn count(&mut self, frame: &FrameAt, head: &Head) {
        let rows = u64::from(head.rows());
        match head.kind {
            Kind::Values { .. } => self.totals.values += rows,
            Kind::Failures { .. } => self.totals.failures += rows,
            Kind::Index { .. } | Kind::Close(_) | Kind::Optional => {}
        }
        self.totals.frames += 1;
        self.last_at = Some(head.at);
        self.closed = matches!(head.kind, Kind::Close(_));
        self.end = frame.end();
        self.next_sequence = frame.header.sequence.saturating_add(1);
    }
}
