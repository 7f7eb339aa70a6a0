//! What is in a checkpoint and its journal when a writer opens them. It only reads.
//!
//! Which frames count is judged by `shared::checkpoint::pair`; this keeps what the writer has to know of them.
//!
//! Invariant: the rows of a journal that counts are all in the buffer, to be folded.

use std::io;

use shared::checkpoint::{
    BadRows, Block, Contents, Depth, Judgement, Kind, Pair, Part, ReadAt, Side, Visit, index,
};

use super::{
    buffer::Buffer,
    open::{Recorded, Shown},
    tally::Tally,
};

/// What was found.
pub struct Found {
    /// Which frames count, and what is wrong.
    pub judged: Judgement,
    /// What the checkpoint itself holds.
    pub tally: Tally,
    /// What the journal holds, if it counts.
    pub buffer: Buffer,
}

impl Found {
    /// Reads both, into a buffer that cuts frames of `large` bytes, and shows the keys that count to `visit`.
    pub fn read(
        main: &dyn ReadAt,
        journal: Option<&dyn ReadAt>,
        large: usize,
        visit: &mut Shown<'_>,
    ) -> io::Result<Found> {
        let mut tally = Tally::default();
        let mut buffer = Buffer::new(large);
        let mut taken = Ok(());
        let judged = Pair { main, journal }.inspect(Depth::Keys, &mut |part, source, seen| {
            if taken.is_err() {
                return;
            }
            let kind = match seen.head.kind {
                Kind::Values { .. } => Recorded::Values,
                Kind::Failures { .. } => Recorded::Failures,
                Kind::Index { .. } => return tally.index(seen.frame.offset),
                Kind::Close(_) | Kind::Optional => return,
            };
            visit(kind, seen.keys, seen.head.rows());
            taken = match part {
                Part::Main => enter(&mut tally, source, kind, &seen),
                Part::Journal => take(&mut buffer, source, kind, &seen),
            };
        })?;
        taken.map(|()| Found { judged, tally, buffer })
    }
}

fn enter(tally: &mut Tally, main: &dyn ReadAt, kind: Recorded, seen: &Visit<'_>) -> io::Result<()> {
    let mut bytes = vec![0; seen.frame.header.body_at() as usize];
    if main.read_at(seen.frame.offset, &mut bytes)? != bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut entry = Vec::new();
    index::list(seen.frame.offset, &bytes, &mut entry);
    tally.rows(kind, seen.keys, seen.head.rows());
    tally.frame(kind, &entry, seen.head.shape());
    Ok(())
}

fn take(buffer: &mut Buffer, journal: &dyn ReadAt, kind: Recorded, seen: &Visit<'_>) -> io::Result<()> {
    let attempts: &[_] = match &seen.head.kind {
        Kind::Values { attempts, .. } => attempts,
        Kind::Failures { .. } | Kind::Index { .. } | Kind::Close(_) | Kind::Optional => &[],
    };
    match Contents::new(journal, &seen.frame, seen.head).block(Side::Outcomes) {
        Ok(block) => {
            let outcomes = block.map(Block::into_rows).unwrap_or_default();
            let pushed = buffer.push_rows(kind, seen.keys, &outcomes, seen.head.rows(), attempts);
            pushed.map_err(io::Error::other)
        }
        Err(BadRows::Read(error)) => Err(error),
        Err(changed @ (BadRows::Checksum(_) | BadRows::Form(_))) => Err(io::Error::other(changed)),
    }
}
