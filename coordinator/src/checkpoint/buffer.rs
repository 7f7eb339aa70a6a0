//! Outcomes that wait for a large frame, already cut into what becomes a frame each.
//!
//! Values and failures are kept apart; which of the two of one task was first does not matter, since failures never
//! hide a value. It knows no file, only how much of it is in one already: the journal.
//!
//! Invariants: every chunk holds as many whole keys and outcomes as it says; what is in the journal of a chunk lies
//! before what is not.

use std::mem;

use shared::{
    checkpoint::story,
    id::Attempt,
    msgpack::{self, Malformed},
    outcome::Failure,
};

use super::Recorded;

/// Keys and outcomes of a large frame, in bytes, unless a single row has more.
pub const LARGE: usize = 16 << 20;
/// Rows of a frame.
pub const CHUNK_ROWS: u32 = 1 << 20;

/// What becomes a frame.
#[derive(Debug, Default)]
pub struct Chunk {
    keys: Vec<u8>,
    outcomes: Vec<u8>,
    rows: u32,
    attempts: Vec<(u32, Attempt)>,
    journaled: Journaled,
}

/// How much of a chunk the journal has.
#[derive(Debug, Default)]
struct Journaled {
    keys: usize,
    outcomes: usize,
    rows: u32,
}

/// Rows that are written together.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// What the outcomes are.
    pub kind: Recorded,
    /// The keys, one behind the other.
    pub keys: &'a [u8],
    /// The values or stories, one behind the other.
    pub outcomes: &'a [u8],
    /// How many.
    pub rows: u32,
    /// Attempts that were not the first, by row.
    pub attempts: Vec<(u32, Attempt)>,
}

impl Chunk {
    /// None of it, in the same memory.
    fn emptied(mut self) -> Chunk {
        self.keys.clear();
        self.outcomes.clear();
        Chunk { keys: self.keys, outcomes: self.outcomes, ..Chunk::default() }
    }

    fn bytes(&self) -> usize {
        self.keys.len() + self.outcomes.len()
    }

    /// The rows from `skip` on.
    fn part(&self, kind: Recorded, skip: &Journaled) -> Option<Part<'_>> {
        let rows = self.rows - skip.rows;
        let attempts = self.attempts.iter().filter(|(row, _)| *row >= skip.rows);
        (rows > 0).then(|| Part {
            kind,
            keys: &self.keys[skip.keys..],
            outcomes: &self.outcomes[skip.outcomes..],
            rows,
            attempts: attempts.map(|&(row, attempt)| (row - skip.rows, attempt)).collect(),
        })
    }
}

/// Outcomes that wait.
#[derive(Debug)]
pub struct Buffer {
    large: usize,
    values: Vec<Chunk>,
    failures: Vec<Chunk>,
    /// An empty one that has memory.
    spare: Chunk,
}

impl Buffer {
    /// An empty one that cuts frames of at most `large` bytes.
    pub fn new(large: usize) -> Buffer {
        Buffer { large, values: Vec::new(), failures: Vec::new(), spare: Chunk::default() }
    }

    /// Adds `count` outcomes of a kind; `attempts` names rows of these, ascending, whose attempt was not the first.
    pub fn push_rows(
        &mut self,
        kind: Recorded,
        keys: &[u8],
        outcomes: &[u8],
        count: u32,
        attempts: &[(u32, Attempt)],
    ) -> Result<(), Malformed> {
        if !is_list(keys, count) || !is_list(outcomes, count) {
            return Err(Malformed);
        }
        if keys.len() + outcomes.len() <= self.large && count <= CHUNK_ROWS {
            self.push(kind, keys, outcomes, count, attempts);
            return Ok(());
        }
        let rows = msgpack::values(keys).zip(msgpack::values(outcomes)).zip(0u32..);
        let mut attempts = attempts.iter().peekable();
        for ((key, outcome), row) in rows {
            let attempt = attempts.next_if(|(of, _)| *of == row).map(|&(_, attempt)| (0, attempt));
            self.push(kind, key?, outcome?, 1, attempt.as_slice());
        }
        Ok(())
    }

    /// Adds a failure.
    pub fn push_failure(&mut self, key: &[u8], failure: &Failure) -> Result<(), Malformed> {
        let mut story = Vec::new();
        story::encode(failure, &mut story);
        self.push_rows(Recorded::Failures, key, &story, 1, &[])
    }

    fn push(&mut self, kind: Recorded, keys: &[u8], outcomes: &[u8], rows: u32, attempts: &[(u32, Attempt)]) {
        if rows == 0 {
            return;
        }
        let large = self.large;
        let chunks = match kind {
            Recorded::Values => &mut self.values,
            Recorded::Failures => &mut self.failures,
        };
        let fits = chunks.last().is_some_and(|last| {
            last.bytes() + keys.len() + outcomes.len() <= large && last.rows + rows <= CHUNK_ROWS
        });
        if !fits {
            chunks.push(mem::take(&mut self.spare));
        }
        let last = chunks.last_mut().expect("one was just put there");
        last.keys.extend_from_slice(keys);
        last.outcomes.extend_from_slice(outcomes);
        last.attempts.extend(attempts.iter().map(|&(row, attempt)| (last.rows + row, attempt)));
        last.rows += rows;
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.failures.is_empty()
    }

    /// Whether that is enough for a large frame.
    pub fn is_large(&self) -> bool {
        self.chunks().map(|(_, chunk)| chunk.bytes()).sum::<usize>() >= self.large / 2
    }

    /// All of it.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.chunks().filter_map(|(kind, chunk)| chunk.part(kind, &Journaled::default()))
    }

    /// What the journal does not have.
    pub fn news(&self) -> impl Iterator<Item = Part<'_>> {
        self.chunks().filter_map(|(kind, chunk)| chunk.part(kind, &chunk.journaled))
    }

    /// The journal has all of it.
    pub fn mark_journaled(&mut self) {
        for chunk in self.values.iter_mut().chain(&mut self.failures) {
            let Chunk { keys, outcomes, rows, .. } = chunk;
            chunk.journaled = Journaled { keys: keys.len(), outcomes: outcomes.len(), rows: *rows };
        }
    }

    /// Forgets all of it; the memory of one chunk is used again.
    pub fn clear(&mut self) {
        let spare = self.values.pop().unwrap_or_default();
        *self =
            Buffer { large: self.large, values: Vec::new(), failures: Vec::new(), spare: spare.emptied() };
    }

    fn chunks(&self) -> impl Iterator<Item = (Recorded, &Chunk)> {
        let values = self.values.iter().map(|chunk| (Recorded::Values, chunk));
        values.chain(self.failures.iter().map(|chunk| (Recorded::Failures, chunk)))
    }
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

    fn rows(buffer: &Buffer) -> Vec<u32> {
        buffer.parts().map(|part| part.rows).collect()
    }

    #[test]
    fn small_pushes_share_a_chunk_and_large_ones_are_cut() {
        let mut buffer = Buffer::new(1000);
        let push = |buffer: &mut Buffer, keys: &[u8], values: &[u8], attempts: &[_]| {
            buffer.push_rows(Recorded::Values, keys, values, keys.len() as u32, attempts).expect("whole");
        };
        push(&mut buffer, &[1, 2], &[3, 4], &[(1, Attempt(2))]);
        push(&mut buffer, &[5, 6], &[7, 8], &[(0, Attempt(3))]);
        assert_eq!((rows(&buffer), buffer.is_large()), (vec![4], false));
        let part = buffer.parts().next().expect("some");
        assert_eq!(part.attempts, [(1, Attempt(2)), (2, Attempt(3))]);
        let value = [&[0xc5, 1, 144][..], &[0; 400]].concat();
        let large = [&value[..], &value, &value, &value, &value].concat();
        push(&mut buffer, &[1, 2, 3, 4, 5], &large, &[(3, Attempt(9))]);
        assert_eq!((rows(&buffer), buffer.is_large()), (vec![6, 2, 1], true));
        let attempts: Vec<_> = buffer.parts().skip(1).map(|part| part.attempts).collect();
        assert_eq!(attempts, [vec![(1, Attempt(9))], vec![]]);
        buffer.clear();
        assert!(buffer.is_empty() && rows(&buffer).is_empty() && !buffer.is_large());
    }

    #[test]
    fn news_are_what_came_since_the_journal_had_all() {
        let mut buffer = Buffer::new(1000);
        let push = |buffer: &mut Buffer, kind, key, attempts: &[_]| {
            buffer.push_rows(kind, &[key], &[key + 100], 1, attempts).expect("whole");
        };
        push(&mut buffer, Recorded::Values, 1, &[(0, Attempt(2))]);
        push(&mut buffer, Recorded::Failures, 2, &[]);
        buffer.mark_journaled();
        assert_eq!(buffer.news().count(), 0);
        push(&mut buffer, Recorded::Values, 3, &[(0, Attempt(5))]);
        let news: Vec<_> = buffer.news().collect();
        let attempts = vec![(0, Attempt(5))];
        let expected = Part { kind: Recorded::Values, keys: &[3], outcomes: &[103], rows: 1, attempts };
        assert_eq!((&news[..], rows(&buffer)), (&[expected][..], vec![2, 1]));
    }

    #[test]
    fn what_is_not_whole_is_refused_and_leaves_nothing() {
        let mut buffer = Buffer::new(LARGE);
        let mut push = |keys, values, count| buffer.push_rows(Recorded::Values, keys, values, count, &[]);
        let cut = [0x92, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0, 0xcb, 0, 0];
        let whole = [&cut[..10], &cut[1..10]].concat();
        assert_eq!(push(&[1], &whole, 1), Ok(()));
        for (keys, values, count) in
            [(&[1][..], &cut[..], 1), (&[1], &[1, 2], 1), (&[1, 2], &[1], 1), (&[1], &[1], 2), (&[], &[], 1)]
        {
            assert_eq!(push(keys, values, count), Err(Malformed));
        }
        assert_eq!(rows(&buffer), [1]);
    }
}
