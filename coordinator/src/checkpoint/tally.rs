//! What index and close frame will say of a checkpoint, kept as its frames are found and written.
//!
//! It knows no file and no journal: only what is durable in the checkpoint itself is told to it.
//!
//! Invariant: memory grows with keys that failed and with frames that no index lists, not with values.

use shared::checkpoint::{CommonShape, FailedKeys, Shape, Totals};

use super::Recorded;

/// What a checkpoint holds.
#[derive(Debug, Default)]
pub struct Tally {
    values: u64,
    failures: u64,
    failed: FailedKeys,
    shape: CommonShape,
    unlisted: Vec<u8>,
    last_index: Option<u64>,
}

impl Tally {
    /// Enters rows whose keys lie one behind the other.
    pub fn rows(&mut self, kind: Recorded, keys: &[u8], count: u32) {
        match kind {
            Recorded::Values => {
                self.values += u64::from(count);
                self.failed.have_values(keys);
            }
            Recorded::Failures => {
                self.failures += u64::from(count);
                self.failed.failed(keys);
            }
        }
    }

    /// Enters a frame of rows: what an index has of it, and the shape of its values.
    pub fn frame(&mut self, kind: Recorded, entry: &[u8], shape: Option<Shape>) {
        self.unlisted.extend_from_slice(entry);
        match kind {
            Recorded::Values => self.shape.add(shape),
            Recorded::Failures => {}
        }
    }

    /// Enters an index frame that begins here.
    pub fn index(&mut self, offset: u64) {
        self.last_index = Some(offset);
        self.unlisted.clear();
    }

    /// What the next index will hold.
    pub fn unlisted(&self) -> &[u8] {
        &self.unlisted
    }

    /// Where the last index begins.
    pub fn last_index(&self) -> Option<u64> {
        self.last_index
    }

    /// What the file holds in so many frames.
    pub fn totals(&self, frames: u64) -> Totals {
        Totals { values: self.values, failures: self.failures, failed: Some(self.failed.len()), frames }
    }

    /// What all values have in common, if they have anything.
    pub fn shape(&self) -> Option<&Shape> {
        self.shape.shape()
    }
}
