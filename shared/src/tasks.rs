//! A job's tasks: their keys as MessagePack, each distinct key once, in the order of first mention.
//!
//! It knows nothing of what a key means. Two keys are equal when their bytes are. Beyond the bytes themselves a task
//! costs about 17 bytes here: where its key ends, and a place in the index.

use bytes::Bytes;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    id::{TaskIndex, TaskRange},
    msgpack::{self, Malformed},
};

/// The distinct tasks of a job.
#[derive(Default)]
pub struct TaskList {
    keys: Vec<u8>,
    ends: Vec<u64>,
    index: HashTable<u32>,
}

impl TaskList {
    /// An empty list.
    #[must_use]
    pub fn new() -> TaskList {
        TaskList::default()
    }

    /// Adds the keys that lie one behind the other in `keys`, leaving out those already there.
    ///
    /// Returns the tasks that are new.
    pub fn extend(&mut self, keys: &[u8]) -> Result<TaskRange, Malformed> {
        let start = self.len();
        for key in msgpack::values(keys) {
            self.push(key?);
        }
        Ok(TaskRange::new(start, self.len()))
    }

    fn push(&mut self, key: &[u8]) {
        let TaskList { keys, ends, index } = self;
        let task = u32::try_from(ends.len()).expect("a job has fewer than 2^32 tasks");
        let same = |&other: &u32| key_at(keys, ends, other) == key;
        let hash_again = |&other: &u32| xxh3_64(key_at(keys, ends, other));
        let entry = index.entry(xxh3_64(key), same, hash_again);
        if let hashbrown::hash_table::Entry::Vacant(place) = entry {
            place.insert(task);
            keys.extend_from_slice(key);
            ends.push(keys.len() as u64);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A task's key.
    #[must_use]
    pub fn key(&self, task: TaskIndex) -> &[u8] {
        key_at(&self.keys, &self.ends, task.0)
    }

    /// The task that has this key.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<TaskIndex> {
        let same = |&task: &u32| key_at(&self.keys, &self.ends, task) == key;
        self.index.find(xxh3_64(key), same).map(|&task| TaskIndex(task))
    }

    /// The keys of some ranges, one behind the other.
    #[must_use]
    pub fn keys(&self, ranges: &[TaskRange]) -> Bytes {
        let span = |range: &TaskRange| start_of(&self.ends, range.start)..start_of(&self.ends, range.end);
        match ranges {
            [] => Bytes::new(),
            [one] => Bytes::copy_from_slice(&self.keys[span(one)]),
            many => many.iter().flat_map(|range| &self.keys[span(range)]).copied().collect(),
        }
    }

    /// All keys, one behind the other.
    #[must_use]
    pub fn all_keys(&self) -> &[u8] {
        &self.keys
    }
}

fn start_of(ends: &[u64], task: u32) -> usize {
    if task == 0 { 0 } else { ends[task as usize - 1] as usize }
}

fn key_at<'a>(keys: &'a [u8], ends: &[u64], task: u32) -> &'a [u8] {
    &keys[start_of(ends, task)..ends[task as usize] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_once_and_found_again() {
        let mut list = TaskList::new();
        assert_eq!(list.extend(&[1, 2, 0xa1, b'x', 2]), Ok(TaskRange::new(0, 3)));
        assert_eq!(list.extend(&[1, 7]), Ok(TaskRange::new(3, 4)));
        assert_eq!(list.find(&[0xa1, b'x']), Some(TaskIndex(2)));
        assert_eq!(list.find(&[9]), None);
        assert_eq!(list.key(TaskIndex(3)), &[7]);
        assert_eq!(&list.keys(&[TaskRange::new(0, 1), TaskRange::new(2, 4)])[..], &[1, 0xa1, b'x', 7]);
    }

    #[test]
    fn a_cut_key_is_refused() {
        assert_eq!(TaskList::new().extend(&[1, 0xa5, b'x']), Err(Malformed));
    }
}
