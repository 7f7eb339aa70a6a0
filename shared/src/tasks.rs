//! A job's tasks: their keys as MessagePack, each distinct key once, in the order of first mention.
//!
//! It knows nothing of what a key means. Two keys are equal when their bytes are. Beyond the bytes themselves a task
//! costs 7 to 10 bytes here, at every moment and however many there are.

mod index;
mod keys;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use self::{index::Index, keys::Keys};
use crate::{
    id::{TaskIndex, TaskRange},
    msgpack::{self, Malformed},
};

/// Keys that are looked up together.
const BATCH: usize = 32;
/// Room in the first index.
const FIRST_ROOM: usize = 1_000;

/// The distinct tasks of a job.
#[derive(Default)]
pub struct TaskList {
    keys: Keys,
    index: Index,
    repeats: bool,
}

impl TaskList {
    /// An empty list.
    #[must_use]
    pub fn new() -> TaskList {
        TaskList::default()
    }

    /// An empty list that keeps equal keys, each as a task of its own. Nothing is found in it by its key.
    #[must_use]
    pub fn with_repeats() -> TaskList {
        TaskList { repeats: true, ..TaskList::default() }
    }

    /// Adds the keys that lie one behind the other in `keys`, leaving out those already there.
    ///
    /// Returns the tasks that are new. After an error some of the keys in front of the malformed one may be missing.
    pub fn extend(&mut self, keys: &[u8]) -> Result<TaskRange, Malformed> {
        let start = self.len();
        let mut values = msgpack::values(keys);
        if self.repeats {
            for key in values {
                self.keys.push(key?);
                assert!(self.len() < u32::MAX, "a job has fewer than 2^32 tasks");
            }
            return Ok(TaskRange::new(start, self.len()));
        }
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.clear();
            for key in values.by_ref().take(BATCH) {
                let key = key?;
                batch.push((xxh3_64(key), key));
            }
            if batch.is_empty() {
                return Ok(TaskRange::new(start, self.len()));
            }
            if self.index.room() < batch.len() {
                self.make_room();
            }
            self.index.fetch(batch.iter().map(|(hash, _)| *hash));
            for &(hash, key) in &batch {
                self.push(hash, key);
            }
        }
    }

    fn push(&mut self, hash: u64, key: &[u8]) {
        let TaskList { keys, index, .. } = self;
        if index.find(hash, |task| keys.behind(task, key)).is_none() {
            let task = keys.len();
            assert!(task < u32::MAX, "a job has fewer than 2^32 tasks");
            index.insert(hash, task);
            keys.push(key);
        }
    }

    /// Makes the index anew, larger by half.
    fn make_room(&mut self) {
        let room = FIRST_ROOM.max(self.len() as usize + self.len() as usize / 2);
        self.index = Index::default();
        self.index = Index::for_tasks(room);
        let mut hashes = Vec::with_capacity(BATCH);
        let mut task = 0;
        for piece in self.keys.pieces() {
            let mut keys =
                msgpack::values(piece).map(|key| xxh3_64(key.expect("only whole values are taken in")));
            loop {
                hashes.clear();
                hashes.extend(keys.by_ref().take(BATCH));
                if hashes.is_empty() {
                    break;
                }
                self.index.fetch(hashes.iter().copied());
                for &hash in &hashes {
                    self.index.insert(hash, task);
                    task += 1;
                }
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes their keys have together.
    #[must_use]
    pub fn key_bytes(&self) -> u64 {
        self.keys.bytes()
    }

    /// A task's key.
    #[must_use]
    pub fn key(&self, task: TaskIndex) -> &[u8] {
        self.keys.key(task.0)
    }

    /// The tasks that have the keys in `keys`, one behind the other; keys that no task has are passed over.
    ///
    /// What was recorded together mostly lies together in the list, too, so a key is looked for behind the one before;
    /// only where it is not there, by its hash.
    pub fn find_all(&self, keys: &[u8], mut found: impl FnMut(TaskIndex)) {
        let mut keys = msgpack::values(keys).map_while(Result::ok);
        let mut batch = Vec::with_capacity(BATCH);
        let (mut next, mut rest): (u32, &[u8]) = (0, &[]);
        loop {
            batch.clear();
            batch.extend(keys.by_ref().take(BATCH));
            if batch.is_empty() {
                return;
            }
            let mut hashes = [0; BATCH];
            let mut hashed = false;
            for (at, key) in batch.iter().enumerate() {
                if rest.is_empty() && next < self.len() {
                    rest = self.keys.from(next);
                }
                if let Some(behind) = rest.strip_prefix(*key) {
                    rest = behind;
                } else {
                    if !hashed {
                        hashed = true;
                        (at..batch.len()).for_each(|at| hashes[at] = xxh3_64(batch[at]));
                        let hashes = &hashes[at..batch.len()];
                        self.index.fetch(hashes.iter().copied());
                        self.keys.fetch(hashes.iter().filter_map(|&hash| self.index.guess(hash)));
                    }
                    let look = |task| Some((task, self.keys.behind(task, key)?));
                    let Some((task, behind)) = self.index.find(hashes[at], look) else { continue };
                    (next, rest) = (task, behind);
                }
                found(TaskIndex(next));
                next += 1;
            }
        }
    }

    /// The keys of some ranges, one behind the other.
    #[must_use]
    pub fn keys(&self, ranges: &[TaskRange]) -> Bytes {
        let mut all = Vec::new();
        for stretch in ranges.iter().flat_map(|range| self.keys.stretches(range.start, range.end)) {
            all.extend_from_slice(stretch);
        }
        all.into()
    }
}
