//! What a checkpoint and its journal hold, told at once where the last writer ended in order.
//!
//! It trusts a close frame that follows on the index that it tells of, or on no rows at all, and does not look for damage
//! before that; that is [`Pair::inspect`]'s.

use std::{io, ops::Range};

use super::{
    Close, CommonShape, FailedKeys, FileHeader, HeaderError, Kind, Pair, Part, ReadAt, Scanner, Shape, Step,
    Totals, What, encode::CLOSE_LIMIT, inspect::Depth, inspect::read_header, pair::Journal,
};

/// What `maniple checkpoint info` shows.
#[derive(Debug)]
pub struct Info {
    /// What the file says about itself.
    pub header: FileHeader,
    /// What it holds, with what counts of its journal.
    pub totals: Totals,
    /// What all values have in common.
    pub shape: Option<Shape>,
    /// When the last frame was written, Unix time in milliseconds.
    pub last_at: Option<u64>,
    /// Its length.
    pub bytes: u64,
    /// The length of its journal, if there is one.
    pub journal_bytes: Option<u64>,
    /// How many rows the journal adds.
    pub journal_rows: u64,
    /// Whether the last writer ended in order.
    pub closed: bool,
    /// Bytes at its end that a crash left, or that are being written.
    pub tail: Option<Range<u64>>,
    /// Corruption that was found, each in a line.
    pub damages: Vec<String>,
}

impl Info {
    /// Reads it: at once from a file that was closed in order, else by a walk over heads, and over keys if some have failed.
    pub fn read<S: ReadAt + ?Sized>(pair: &Pair<'_, S>) -> io::Result<Result<Info, HeaderError>> {
        let bytes = pair.main.len()?;
        let (header, start) = match read_header(pair.main, bytes)? {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        let closed = match pair.journal {
            None => close_at_end(pair.main, start, bytes, header.tag())?,
            Some(_) => None,
        };
        // Version 1.0 did not tell how many keys have failed.
        let failed = |totals: &Totals| totals.failed.or((totals.failures == 0).then_some(0));
        let closed = closed.and_then(|(close, at)| Some((failed(&close.totals)?, close, at)));
        Ok(Ok(match closed {
            Some((failed, Close { totals, shape, .. }, at)) => Info {
                header,
                totals: Totals { failed: Some(failed), ..totals },
                shape,
                last_at: Some(at),
                bytes,
                journal_bytes: None,
                journal_rows: 0,
                closed: true,
                tail: None,
                damages: Vec::new(),
            },
            None => Info::walk(pair, header, bytes)?,
        }))
    }

    fn walk<S: ReadAt + ?Sized>(pair: &Pair<'_, S>, header: FileHeader, bytes: u64) -> io::Result<Info> {
        let (mut failed, mut shape, mut failures) = (FailedKeys::default(), CommonShape::default(), false);
        let found = pair.inspect(Depth::Heads, &mut |_, _, seen| match seen.head.kind {
            Kind::Values { .. } => shape.add(seen.head.shape()),
            Kind::Failures { .. } => failures = true,
            Kind::Index { .. } | Kind::Close(_) | Kind::Optional => {}
        })?;
        if failures {
            pair.inspect(Depth::Keys, &mut |_, _, seen| {
                if let Kind::Failures { .. } = seen.head.kind {
                    failed.failed(seen.keys);
                }
            })?;
            pair.inspect(Depth::Keys, &mut |_, _, seen| {
                if let Kind::Values { .. } = seen.head.kind {
                    failed.have_values(seen.keys);
                }
            })?;
        }
        let name = |part: Part| if part == Part::Journal { "journal, " } else { "" };
        let mut damages: Vec<String> =
            found.damages().map(|(part, damage)| format!("{}{damage}", name(part))).collect();
        damages.extend(found.journal.as_ref().and_then(Journal::fault));
        let journal = found.journal.as_ref().and_then(Journal::counted);
        let journal_at = journal.and_then(|journal| journal.last_at);
        let closed = found.main.closed && journal.is_none();
        let totals = found.totals();
        // A close frame does not count itself, and whether it was read at once should not be seen.
        let frames = totals.frames - u64::from(closed);
        Ok(Info {
            header,
            totals: Totals { failed: Some(failed.len()), frames, ..totals },
            shape: shape.shape().cloned(),
            last_at: journal_at.or(found.main.last_at),
            bytes,
            journal_bytes: pair.journal.map(ReadAt::len).transpose()?,
            journal_rows: journal.map_or(0, |journal| journal.totals.values + journal.totals.failures),
            closed,
            tail: found.main.tail(),
            damages,
        })
    }
}

/// What a close frame tells that ends where the file does, and when it was written.
fn close_at_end<S: ReadAt + ?Sized>(
    source: &S,
    start: u64,
    len: u64,
    tag: u32,
) -> io::Result<Option<(Close, u64)>> {
    let mut scanner = Scanner::new(source, len.saturating_sub(CLOSE_LIMIT as u64).max(start), len, Some(tag));
    let mut last = None;
    while let Some(step) = scanner.step()? {
        last = match step {
            // Its own offset: a copy of such a frame that is part of a value has another.
            Step::Frame(frame) if frame.end() == len && frame.header.durable == frame.offset => {
                scanner.head(&frame)?.ok()
            }
            Step::Frame(_) | Step::Damage(_) => None,
        };
    }
    let closed = last.and_then(|head| match head.kind {
        Kind::Close(close) => Some((close, head.at)),
        Kind::Values { .. } | Kind::Failures { .. } | Kind::Index { .. } | Kind::Optional => None,
    });
    Ok(match closed {
        Some((close, at)) if is_rowless_before(source, start, close.index, len, tag)? => Some((close, at)),
        Some(_) | None => None,
    })
}

/// Whether only frames without rows lie between the index, or the header where none is told of, and the end, as they do
/// unless two writers wrote at once, or one of version 1.0, which wrote no index.
fn is_rowless_before<S: ReadAt + ?Sized>(
    source: &S,
    start: u64,
    index: Option<u64>,
    len: u64,
    tag: u32,
) -> io::Result<bool> {
    let mut scanner = Scanner::new(source, index.unwrap_or(start), len, Some(tag));
    let mut frames = 0;
    while let Some(step) = scanner.step()? {
        let is_sound = match step {
            Step::Frame(frame) => {
                frames += 1;
                scanner.head(&frame)?.is_ok_and(|head| head.rows() == 0)
            }
            // The frames before the index, which are not looked at.
            Step::Damage(damage) => frames == 0 && index.is_some() && matches!(damage.what, What::Gap(_)),
        };
        if !is_sound {
            return Ok(false);
        }
    }
    Ok(frames > usize::from(index.is_some()))
}
