//! Which task has a key with this hash: a table in blocks of one cache line, filled from the front, never removed from.
//!
//! A hash has its home block; where that is full, the next one with room. A byte of the hash beside each task tells
//! nearly all others apart, so that a look-up costs one wait for memory, and [`fetch`](Index::fetch) lets many of
//! these waits pass at once. It keeps no keys and no hashes: it cannot grow, only be made anew, and who makes it gives
//! back the old one first. So there is no moment at which two of them are held.

use std::hint::black_box;

/// Tasks in a block.
const SLOTS: usize = 12;
/// Of so many slots ...
const OF_SLOTS: usize = 8;
/// ... so many are filled, at most.
const FILLED: usize = 7;

/// Lanes of the byte arithmetic on tags: the slots, and four that stay empty.
const LANES: usize = 16;
const ONES: u128 = u128::from_le_bytes([1; LANES]);
/// The highest bit of each slot's lane.
const SLOT_BITS: u128 = (ONES << 7) & (u128::MAX >> (8 * (LANES - SLOTS)));

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Block {
    /// A byte of each task's hash, never 0; 0 where there is no task.
    tags: [u8; LANES],
    tasks: [u32; SLOTS],
}

impl Block {
    /// The tasks with this tag, the first of them for sure; behind it there may be one whose tag is another.
    fn tagged(&self, tag: u8) -> impl Iterator<Item = u32> {
        let differing = u128::from_le_bytes(self.tags) ^ (ONES * u128::from(tag));
        let mut equal = differing.wrapping_sub(ONES) & !differing & SLOT_BITS;
        std::iter::from_fn(move || {
            let slot = equal.checked_sub(1).map(|_| equal.trailing_zeros() as usize / 8)?;
            equal &= equal - 1;
            Some(self.tasks[slot])
        })
    }

    fn has_room(&self) -> bool {
        self.tags[SLOTS - 1] == 0
    }
}

/// Tasks, by the hash of their key.
#[derive(Default)]
pub(super) struct Index {
    blocks: Vec<Block>,
    len: usize,
}

impl Index {
    /// An empty one with room for so many tasks.
    pub(super) fn for_tasks(count: usize) -> Index {
        let blocks = (count * OF_SLOTS).div_ceil(FILLED * SLOTS);
        Index { blocks: vec![Block { tags: [0; LANES], tasks: [0; SLOTS] }; blocks], len: 0 }
    }

    /// How many tasks there is room for.
    pub(super) fn room(&self) -> usize {
        self.blocks.len() * SLOTS * FILLED / OF_SLOTS - self.len
    }

    /// Adds a task; the caller knows that it is not there and that there is room.
    pub(super) fn insert(&mut self, hash: u64, task: u32) {
        let mut at = self.home(hash);
        loop {
            let block = &mut self.blocks[at];
            if block.has_room() {
                let empty = u128::from_le_bytes(block.tags).leading_zeros() as usize / 8;
                let slot = LANES - empty;
                block.tags[slot] = tag(hash);
                block.tasks[slot] = task;
                self.len += 1;
                return;
            }
            at = (at + 1) % self.blocks.len();
        }
    }

    /// What `look` finds at a task that may have this hash.
    pub(super) fn find<T>(&self, hash: u64, look: impl Fn(u32) -> Option<T>) -> Option<T> {
        let mut at = self.home(hash);
        loop {
            let block = self.blocks.get(at)?;
            let found = block.tagged(tag(hash)).find_map(&look);
            if found.is_some() || block.has_room() {
                return found;
            }
            at = (at + 1) % self.blocks.len();
        }
    }

    /// The most likely task of this hash.
    pub(super) fn guess(&self, hash: u64) -> Option<u32> {
        self.blocks.get(self.home(hash)).and_then(|block| block.tagged(tag(hash)).next())
    }

    /// Brings the home blocks of some hashes near: nothing here waits for the one before.
    pub(super) fn fetch(&self, hashes: impl Iterator<Item = u64>) {
        if !self.blocks.is_empty() {
            black_box(hashes.fold(0, |all, hash| all ^ self.blocks[self.home(hash)].tags[0]));
        }
    }

    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.blocks.len() as u128) >> 64) as usize
    }

    /// Bytes of memory that are held.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
    }
}

/// The home is made of the high bits of a hash, the tag of the low ones.
fn tag(hash: u64) -> u8 {
    (hash as u8).max(1)
}
