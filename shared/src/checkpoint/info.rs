//! What a checkpoint holds, told at once where its last writer ended in order and nothing failed.
//!
//! It trusts a close frame at the end and does not look for damage before it; that is [`inspect`](super::inspect())'s.
//! Failures stay in the file when their tasks get a value later, so keys have to be read to count those that did not.

use std::{io, ops::Range};

use super::{
    Damage, Depth, FileHeader, HeaderError, Inspection, Kind, ReadAt, Scanner, Step, Totals,
    inspect::{inspect, read_header},
};
use crate::{msgpack, tasks::TaskList};

/// What `maniple checkpoint info` shows.
#[derive(Debug)]
pub struct Info {
    /// What the file says about itself.
    pub header: FileHeader,
    /// What it holds.
    pub totals: Totals,
    /// Tasks that have failed and have no value.
    pub failed: u64,
    /// When the last frame was written, Unix time in milliseconds.
    pub last_at: Option<u64>,
    /// Its length.
    pub bytes: u64,
    /// Whether the last writer ended in order.
    pub closed: bool,
    /// Bytes at its end that a crash left, or that are being written.
    pub tail: Option<Range<u64>>,
    /// Corruption that the heads show.
    pub damages: Vec<Damage>,
}

impl Info {
    /// Reads it: at once from a file that was closed in order, else by a walk over the heads; where there are failures, by
    /// two more over the keys.
    pub fn read<S: ReadAt + ?Sized>(source: &S) -> io::Result<Result<Info, HeaderError>> {
        let bytes = source.len()?;
        let (header, start) = match read_header(source, bytes)? {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        if let Some((totals, at)) = close_at_end(source, start, bytes, header.tag())? {
            let (last_at, closed, tail, damages) = (Some(at), true, None, Vec::new());
            let failed = failed(source, totals)?;
            return Ok(Ok(Info { header, totals, failed, last_at, bytes, closed, tail, damages }));
        }
        let found = inspect(source, Depth::Heads, &mut |_| {})?;
        let tail = found.tail();
        let Inspection { totals, last_at, closed, damages, .. } = found;
        let failed = failed(source, totals)?;
        Ok(Ok(Info { header, totals, failed, last_at, bytes, closed, tail, damages }))
    }
}

/// How many tasks have failures and no value, before or after.
fn failed<S: ReadAt + ?Sized>(source: &S, totals: Totals) -> io::Result<u64> {
    if totals.failures == 0 {
        return Ok(0);
    }
    let mut tasks = TaskList::new();
    inspect(source, Depth::Keys, &mut |seen| {
        if matches!(seen.head.kind, Kind::Failures { .. }) {
            tasks.extend(seen.keys).expect("the keys of a sound frame are whole values");
        }
    })?;
    let mut has_value = vec![false; tasks.len() as usize];
    inspect(source, Depth::Keys, &mut |seen| {
        if matches!(seen.head.kind, Kind::Values { .. }) {
            let known = msgpack::values(seen.keys).map_while(Result::ok).filter_map(|key| tasks.find(key));
            known.for_each(|task| has_value[task.0 as usize] = true);
        }
    })?;
    Ok(has_value.iter().filter(|has_value| !**has_value).count() as u64)
}

/// The totals of a close frame that ends where the file does, and when it was written.
fn close_at_end<S: ReadAt + ?Sized>(
    source: &S,
    start: u64,
    len: u64,
    tag: u32,
) -> io::Result<Option<(Totals, u64)>> {
    const LONGEST: u64 = 4096;
    let mut scanner = Scanner::new(source, len.saturating_sub(LONGEST).max(start), len, Some(tag));
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
    Ok(last.and_then(|head| match head.kind {
        Kind::Close(close) => Some((close.totals, head.at)),
        Kind::Values { .. } | Kind::Failures { .. } | Kind::Index { .. } | Kind::Optional => None,
    }))
}
