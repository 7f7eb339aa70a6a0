//! Which keys have failures and no value, as 128-bit hashes: 16 bytes for each key that failed, none for the others.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_128;

use crate::msgpack;

/// Keys that failed, as far as is known.
#[derive(Debug, Default)]
pub struct FailedKeys {
    hashes: HashSet<u128>,
}

impl FailedKeys {
    /// Takes in the keys of failures, one behind the other.
    pub fn failed(&mut self, keys: &[u8]) {
        self.hashes.extend(msgpack::values(keys).flatten().map(xxh3_128));
    }

    /// Takes in keys that have values.
    pub fn have_values(&mut self, keys: &[u8]) {
        if !self.hashes.is_empty() {
            for key in msgpack::values(keys).flatten() {
                self.hashes.remove(&xxh3_128(key));
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_value_has_not_failed() {
        let mut failed = FailedKeys::default();
        failed.have_values(&[1]);
        failed.failed(&[1, 2, 0x91, 3, 2]);
        assert_eq!(failed.len(), 3);
        failed.have_values(&[2, 9, 0x91, 3]);
        assert_eq!(failed.len(), 1);
        failed.have_values(&[1]);
        assert!(failed.is_empty());
    }
}
