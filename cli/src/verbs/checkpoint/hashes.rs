//! Which keys are where, as 128-bit hashes: 16 bytes for each key, so that files of any size can be compared.
//!
//! Two keys are taken for one if their hashes are the same; among 10^12 keys that has a chance of 1 in 10^14.

use std::collections::HashMap;

use shared::msgpack;
use xxhash_rust::xxh3::xxh3_128;

/// The hash of a key.
pub fn hash(key: &[u8]) -> u128 {
    xxh3_128(key)
}

/// Keys, as often as they were met.
#[derive(Default)]
pub struct Hashes {
    all: Vec<u128>,
}

impl Hashes {
    /// Room for so many, without a guess about more.
    pub fn with_room(keys: u64) -> Hashes {
        let mut all = Vec::new();
        // Where memory for all is not to be had at once, it grows as it is needed.
        let _ = usize::try_from(keys).map(|keys| all.try_reserve_exact(keys));
        Hashes { all }
    }

    /// Takes in keys one behind the other.
    pub fn add(&mut self, keys: &[u8]) {
        self.all.extend(msgpack::values(keys).flatten().map(xxh3_128));
    }

    /// Those that were met more than once.
    pub fn repeated(mut self) -> Vec<u128> {
        self.all.sort_unstable();
        let mut repeated: Vec<u128> =
            self.all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        repeated.dedup();
        repeated
    }
}

/// The last failure of each key that has no value: about 40 bytes for each key that failed, none for the others.
#[derive(Default)]
pub struct LastFailures {
    /// Of each key the number of the failure among all failures.
    last: HashMap<u128, u64>,
}

impl LastFailures {
    /// Takes in the keys of failures, whose numbers begin at `first`.
    pub fn failed(&mut self, keys: &[u8], first: u64) {
        self.last.extend(msgpack::values(keys).flatten().map(xxh3_128).zip(first..));
    }

    /// Takes in keys that have values.
    pub fn have_values(&mut self, keys: &[u8]) {
        if !self.last.is_empty() {
            for key in msgpack::values(keys).flatten() {
                self.last.remove(&xxh3_128(key));
            }
        }
    }

    /// Whether this failure of this key is the one that counts.
    pub fn counts(&self, key: &[u8], number: u64) -> bool {
        self.last.get(&xxh3_128(key)) == Some(&number)
    }

    /// How many keys have failed.
    pub fn len(&self) -> u64 {
        self.last.len() as u64
    }

    /// Whether no key has.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_were_met_twice_are_found() {
        let mut hashes = Hashes::with_room(4);
        hashes.add(&[1, 2, 0x91, 3]);
        hashes.add(&[2, 4, 2]);
        assert_eq!(hashes.repeated(), [hash(&[2])]);
    }

    #[test]
    fn the_last_failure_of_a_key_without_value_counts() {
        let mut failures = LastFailures::default();
        failures.failed(&[1, 2, 1], 0);
        failures.failed(&[3], 3);
        failures.have_values(&[2, 9]);
        let counts = |key, number| failures.counts(&[key], number);
        assert_eq!([counts(1, 0), counts(1, 2), counts(2, 1), counts(3, 3)], [false, true, false, true]);
        assert_eq!(failures.len(), 2);
    }
}
