//! Outcomes that wait to be written, already cut into what becomes a frame each.
//!
//! Values and failures are kept apart; which of the two of one task was first does not matter, since failures never
//! hide a value. It knows no file.
//!
//! Invariant: every chunk holds as many whole keys and outcomes as it says.

use std::collections::VecDeque;

use shared::{
    checkpoint::story,
    id::Attempt,
    msgpack::{self, Malformed},
    outcome::Failure,
};

/// Keys and outcomes of a frame, in bytes, unless a single row has more.
pub const CHUNK_BYTES: usize = 8 << 20;
/// Rows of a frame.
pub const CHUNK_ROWS: u32 = 1 << 20;

/// What becomes a frame.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The keys, one behind the other.
    pub keys: Vec<u8>,
    /// The values or stories, one behind the other.
    pub outcomes: Vec<u8>,
    /// How many.
    pub rows: u32,
    /// Attempts that were not the first, by row.
    pub attempts: Vec<(u32, Attempt)>,
}

impl Chunk {
    fn bytes(&self) -> usize {
        self.keys.len() + self.outcomes.len()
    }

    fn has_room_for(&self, bytes: usize, rows: u32) -> bool {
        self.bytes() + bytes <= CHUNK_BYTES && self.rows + rows <= CHUNK_ROWS
    }
}

/// Outcomes that wait.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Those with values.
    pub values: VecDeque<Chunk>,
    /// Those without.
    pub failures: VecDeque<Chunk>,
}

impl Buffer {
    /// Adds `count` values; `attempts` names rows of these, ascending, whose attempt was not the first.
    pub fn push_values(
        &mut self,
        keys: &[u8],
        values: &[u8],
        count: u32,
        attempts: &[(u32, Attempt)],
    ) -> Result<(), Malformed> {
        if !is_list(keys, count) || !is_list(values, count) {
            return Err(Malformed);
        }
        if keys.len() + values.len() <= CHUNK_BYTES && count <= CHUNK_ROWS {
            push(&mut self.values, keys, values, count, attempts);
            return Ok(());
        }
        let rows = msgpack::values(keys).zip(msgpack::values(values)).zip(0u32..);
        let mut attempts = attempts.iter().peekable();
        for ((key, value), row) in rows {
            let attempt = attempts.next_if(|(of, _)| *of == row).map(|&(_, attempt)| (0, attempt));
            push(&mut self.values, key?, value?, 1, attempt.as_slice());
        }
        Ok(())
    }

    /// Adds a failure.
    pub fn push_failure(&mut self, key: &[u8], failure: &Failure) -> Result<(), Malformed> {
        if !is_list(key, 1) {
            return Err(Malformed);
        }
        let mut story = Vec::new();
        story::encode(failure, &mut story);
        push(&mut self.failures, key, &story, 1, &[]);
        Ok(())
    }

    /// How many outcomes wait.
    pub fn rows(&self) -> u64 {
        self.values.iter().chain(&self.failures).map(|chunk| u64::from(chunk.rows)).sum()
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> usize {
        self.values.iter().chain(&self.failures).map(Chunk::bytes).sum()
    }
}

fn push(chunks: &mut VecDeque<Chunk>, keys: &[u8], outcomes: &[u8], rows: u32, attempts: &[(u32, Attempt)]) {
    if rows == 0 {
        return;
    }
    if !chunks.back().is_some_and(|last| last.has_room_for(keys.len() + outcomes.len(), rows)) {
        chunks.push_back(Chunk::default());
    }
    let last = chunks.back_mut().expect("one was just put there");
    last.keys.extend_from_slice(keys);
    last.outcomes.extend_from_slice(outcomes);
    last.attempts.extend(attempts.iter().map(|&(row, attempt)| (last.rows + row, attempt)));
    last.rows += rows;
}

/// Whether these are `count` whole values.
fn is_list(bytes: &[u8], count: u32) -> bool {
    let mut rest = bytes;
    for _ in 0..count {
        match row_len(rest) {
            Ok(len) => rest = &rest[len..],
            Err(Malformed) => return false,
        }
    }
    rest.is_empty()
}

/// Length of the first value; quicker than walking where it is an array of float64.
fn row_len(bytes: &[u8]) -> Result<usize, Malformed> {
    const FLOAT64: u8 = 0xcb;
    if let Some((head, width)) = msgpack::array_header(bytes)
        && let Some(len) = usize::try_from(width).ok().and_then(|width| width.checked_mul(9))
        && let Some(numbers) = bytes.get(head..).and_then(|rest| rest.get(..len))
        && numbers.chunks_exact(9).all(|number| number[0] == FLOAT64)
    {
        return Ok(head + len);
    }
    msgpack::value_len(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(chunks: &VecDeque<Chunk>) -> Vec<u32> {
        chunks.iter().map(|chunk| chunk.rows).collect()
    }

    #[test]
    fn small_pushes_share_a_chunk_and_large_ones_are_cut() {
        let mut buffer = Buffer::default();
        buffer.push_values(&[1, 2], &[3, 4], 2, &[(1, Attempt(2))]).expect("whole");
        buffer.push_values(&[5, 6], &[7, 8], 2, &[(0, Attempt(3))]).expect("whole");
        assert_eq!((buffer.rows(), buffer.bytes(), rows(&buffer.values)), (4, 8, vec![4]));
        assert_eq!(buffer.values[0].attempts, [(1, Attempt(2)), (2, Attempt(3))]);
        let mut value = Vec::new();
        rmp_bin(&mut value, CHUNK_BYTES / 2 - 100);
        let large = [&value[..], &value, &value, &value, &value].concat();
        buffer.push_values(&[1, 2, 3, 4, 5], &large, 5, &[(3, Attempt(9))]).expect("whole");
        assert_eq!(rows(&buffer.values), [6, 2, 1]);
        assert_eq!(buffer.values[1].attempts, [(1, Attempt(9))]);
        assert_eq!(buffer.values[2].attempts, []);
    }

    fn rmp_bin(out: &mut Vec<u8>, len: usize) {
        out.push(0xc6);
        out.extend((len as u32).to_be_bytes());
        out.resize(out.len() + len, 0);
    }

    #[test]
    fn what_is_not_whole_is_refused_and_leaves_nothing() {
        let mut buffer = Buffer::default();
        let cut = [0x92, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0, 0xcb, 0, 0];
        let whole = [&cut[..10], &cut[1..10]].concat();
        assert_eq!(buffer.push_values(&[1], &whole, 1, &[]), Ok(()));
        for (keys, values, count) in
            [(&[1][..], &cut[..], 1), (&[1], &[1, 2], 1), (&[1, 2], &[1], 1), (&[1], &[1], 2), (&[], &[], 1)]
        {
            assert_eq!(buffer.push_values(keys, values, count, &[]), Err(Malformed));
        }
        assert_eq!(buffer.rows(), 1);
    }
}
