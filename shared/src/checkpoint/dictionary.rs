//! The texts of a column, each distinct one once.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::form;

/// A dictionary that grows row by row.
pub(super) struct Dictionary<'a> {
    codes: Vec<u32>,
    texts: Vec<&'a str>,
    index: HashTable<u32>,
    most: usize,
}

impl<'a> Dictionary<'a> {
    /// For a column of `rows` texts, of which at most half may be distinct.
    pub fn new(rows: u32) -> Dictionary<'a> {
        Dictionary { codes: Vec::new(), texts: Vec::new(), index: HashTable::new(), most: rows as usize / 2 }
    }

    /// Adds the text of the next row; `false` if that is one distinct text too many.
    #[must_use]
    pub fn push(&mut self, text: &'a str) -> bool {
        let Dictionary { codes, texts, index, most } = self;
        // The same text often comes many times in a row.
        if let Some(&last) = codes.last()
            && texts[last as usize] == text
        {
            codes.push(last);
            return true;
        }
        let same = |&code: &u32| texts[code as usize] == text;
        let hash_again = |&code: &u32| xxh3_64(texts[code as usize].as_bytes());
        let code = match index.entry(xxh3_64(text.as_bytes()), same, hash_again) {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(_) if texts.len() == *most => return false,
            hashbrown::hash_table::Entry::Vacant(place) => {
                let code = texts.len() as u32;
                place.insert(code);
                texts.push(text);
                code
            }
        };
        codes.push(code);
        true
    }

    /// The blobs: codes, and the texts in ascending order as MessagePack.
    pub fn finish(self) -> (Vec<u32>, Vec<u8>) {
        let Dictionary { mut codes, texts, .. } = self;
        let mut order: Vec<u32> = (0..texts.len() as u32).collect();
        order.sort_unstable_by_key(|&code| texts[code as usize]);
        let mut places = vec![0; texts.len()];
        for (place, &code) in order.iter().enumerate() {
            places[code as usize] = place as u32;
        }
        codes.iter_mut().for_each(|code| *code = places[*code as usize]);
        (codes, order.iter().flat_map(|&code| form::text(texts[code as usize])).collect())
    }
}
