//! The rows of one frame on their way from a checkpoint into another: read, thinned out, handed over.
//!
//! Invariant: keys and outcomes are as many whole values as it says, and stay byte for byte what they were.

use coordinator::checkpoint::{CheckpointError, CheckpointFile, Recorded};
use shared::{
    checkpoint::{BadRows, Block, Contents, Kind, Listed, ReadAt, Side},
    id::Attempt,
    msgpack,
};

/// See the module.
pub struct Rows {
    pub kind: Recorded,
    pub keys: Vec<u8>,
    /// Values or stories.
    pub outcomes: Vec<u8>,
    pub count: u32,
    attempts: Vec<(u32, Attempt)>,
}

/// Whether a frame has values or failures, if it has rows.
pub fn kind_of(kind: &Kind) -> Option<Recorded> {
    match kind {
        Kind::Values { .. } => Some(Recorded::Values),
        Kind::Failures { .. } => Some(Recorded::Failures),
        Kind::Index { .. } | Kind::Close(_) | Kind::Optional => None,
    }
}

/// One half of a frame, as MessagePack values one behind the other.
pub fn half<S: ReadAt + ?Sized>(listed: &Listed<'_, S>, side: Side) -> Result<Vec<u8>, BadRows> {
    let block = Contents::new(listed.source, &listed.frame, &listed.head).block(side)?;
    Ok(block.map(Block::into_rows).unwrap_or_default())
}

impl Rows {
    /// Those of a frame of this kind.
    pub fn read<S: ReadAt + ?Sized>(kind: Recorded, listed: &Listed<'_, S>) -> Result<Rows, BadRows> {
        let attempts = match &listed.head.kind {
            Kind::Values { attempts, .. } => attempts.clone(),
            Kind::Failures { .. } | Kind::Index { .. } | Kind::Close(_) | Kind::Optional => Vec::new(),
        };
        let (keys, outcomes) = (half(listed, Side::Keys)?, half(listed, Side::Outcomes)?);
        Ok(Rows { kind, keys, outcomes, count: listed.head.rows(), attempts })
    }

    /// Keys with their values or stories.
    pub fn each(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        msgpack::values(&self.keys).flatten().zip(msgpack::values(&self.outcomes).flatten())
    }

    /// Keeps the rows for which `keep` says so; it is asked about each, in order.
    pub fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        let kept: Vec<bool> = self.each().map(|(key, outcome)| keep(key, outcome)).collect();
        if kept.iter().all(|&kept| kept) {
            return;
        }
        let (mut keys, mut outcomes, mut attempts, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut old = self.attempts.iter().peekable();
        for (((key, outcome), kept), row) in self.each().zip(kept).zip(0u32..) {
            let attempt = old.next_if(|(of, _)| *of == row);
            if kept {
                keys.extend_from_slice(key);
                outcomes.extend_from_slice(outcome);
                attempts.extend(attempt.map(|&(_, attempt)| (count, attempt)));
                count += 1;
            }
        }
        *self = Rows { kind: self.kind, keys, outcomes, count, attempts };
    }

    /// Hands them to a checkpoint, which is made longer when it has enough for a large frame.
    pub fn push(&self, out: &mut CheckpointFile) -> Result<(), CheckpointError> {
        let Rows { kind, keys, outcomes, count, attempts } = self;
        match kind {
            Recorded::Values => out.push_values(keys, outcomes, *count, attempts),
            Recorded::Failures => out.push_stories(keys, outcomes, *count),
        }
        .expect("rows are whole values");
        if out.is_large() { out.fold() } else { Ok(()) }
    }
}
