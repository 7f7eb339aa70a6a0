//! Results that a job's client has been told, or would have been if it were here, and that it has not taken over yet: to a
//! client that comes back they are told again.
//!
//! Pure. Invariant: what the client takes over is the first of them, as it is told them in this order over each connection.

use std::collections::VecDeque;

use bytes::Bytes;
use shared::id::TaskRange;

/// How much a client may leave before its job waits for it.
pub const UNTAKEN_BYTES: u64 = 64 << 20;
/// What each range of tasks counts besides its values, which may be a byte each: with them the report is in memory by
/// which they came.
const ENTRY: u64 = 256;

/// Some tasks, and the values of these in the same order, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Results {
    pub tasks: Vec<TaskRange>,
    pub values: Bytes,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Untaken {
    results: VecDeque<Results>,
    /// Memory that all of them take.
    bytes: u64,
    /// Payload bytes of the first one that were taken over.
    partly: u64,
}

impl Untaken {
    /// The client is told more.
    pub fn push(&mut self, results: Results) {
        self.bytes += results.memory();
        self.results.push_back(results);
    }

    /// The client has taken over so many bytes more.
    pub fn taken(&mut self, bytes: u64) {
        self.partly = self.partly.saturating_add(bytes);
        while let Some(first) = self.results.pop_front_if(|first| first.bytes() <= self.partly) {
            self.partly -= first.bytes();
            self.bytes -= first.memory();
        }
        if self.results.is_empty() {
            self.partly = 0;
        }
    }

    /// What a client that comes back is told over its new connection.
    pub fn again(&mut self) -> Vec<Results> {
        self.partly = 0;
        self.results.iter().cloned().collect()
    }

    /// Whether the client has taken over all.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// Whether it is so much that the job waits.
    pub fn is_too_much(&self) -> bool {
        self.bytes >= UNTAKEN_BYTES
    }
}

impl Results {
    fn bytes(&self) -> u64 {
        self.values.len() as u64
    }

    fn memory(&self) -> u64 {
        self.bytes() + ENTRY * self.tasks.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(task: u32, bytes: usize) -> Results {
        Results { tasks: vec![TaskRange::new(task, task + 1)], values: vec![0; bytes].into() }
    }

    fn tasks(untaken: &mut Untaken) -> Vec<u32> {
        untaken.again().iter().map(|results| results.tasks[0].start).collect()
    }

    #[test]
    fn what_was_not_taken_over_is_told_again() {
        let mut untaken = Untaken::default();
        (0..4).for_each(|task| untaken.push(results(task, 10)));
        untaken.taken(10);
        assert_eq!(tasks(&mut untaken), [1, 2, 3]);
        untaken.taken(15);
        assert_eq!(tasks(&mut untaken), [2, 3]);
        untaken.taken(10);
        untaken.push(results(4, 1));
        assert_eq!(tasks(&mut untaken), [3, 4], "of a new connection nothing has been taken over yet");
        untaken.taken(5);
        untaken.taken(6);
        assert!(untaken.is_empty());
        untaken.taken(100);
        untaken.push(results(5, 10));
        assert_eq!(tasks(&mut untaken), [5]);
    }

    #[test]
    fn a_client_that_comes_back_is_as_far_behind_as_it_was() {
        let mut untaken = Untaken::default();
        let most = (UNTAKEN_BYTES - ENTRY) as usize;
        untaken.push(results(0, most - 1));
        assert!(!untaken.is_too_much());
        untaken.push(results(1, 1));
        assert!(untaken.is_too_much());
        assert_eq!(tasks(&mut untaken), [0, 1]);
        assert!(untaken.is_too_much());
        untaken.taken(most as u64 - 1);
        assert!(!untaken.is_too_much());
    }
}
