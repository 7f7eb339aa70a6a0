//! The keys that a client has sent and may have to send again. It does not know how they are sent.

use std::collections::VecDeque;

use crate::tasks::Chunk;

/// See the module.
///
/// Invariant: `chunks` are the keys behind the first `let_go`, in the order in which they were sent.
#[derive(Debug, Default)]
pub struct Sent {
    chunks: VecDeque<Chunk>,
    let_go: u64,
}

impl Sent {
    pub fn push(&mut self, chunk: Chunk) {
        self.chunks.push_back(chunk);
    }

    /// How many keys were sent, also those that are no longer here.
    pub fn total(&self) -> u64 {
        self.let_go + self.chunks.iter().map(|chunk| u64::from(chunk.count)).sum::<u64>()
    }

    /// The first `count` keys will not be asked for again.
    pub fn let_go_of(&mut self, count: u64) {
        let before = self.let_go;
        let mut gone = 0;
        while let Some(chunk) =
            self.chunks.pop_front_if(|chunk| before + gone + u64::from(chunk.count) <= count)
        {
            gone += u64::from(chunk.count);
        }
        self.let_go += gone;
    }

    /// What lies behind the first `known` keys.
    pub fn behind(&self, known: u64) -> impl Iterator<Item = Chunk> {
        let mut before = self.let_go;
        self.chunks.iter().filter_map(move |chunk| {
            let skip = known.saturating_sub(before).min(u64::from(chunk.count));
            before += u64::from(chunk.count);
            chunk.skip(skip as u32)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Sent {
        let mut sent = Sent::default();
        for keys in [&[1, 2, 3][..], &[4, 5], &[6]] {
            sent.push(Chunk { keys: keys.to_vec().into(), count: keys.len() as u32 });
        }
        sent
    }

    fn behind(sent: &Sent, known: u64) -> Vec<u8> {
        sent.behind(known).flat_map(|chunk| chunk.keys.to_vec()).collect()
    }

    #[test]
    fn what_is_not_known_is_sent_again() {
        let sent = sent();
        assert_eq!(behind(&sent, 0), [1, 2, 3, 4, 5, 6]);
        assert_eq!(behind(&sent, 2), [3, 4, 5, 6]);
        assert_eq!(behind(&sent, 5), [6]);
        assert!(behind(&sent, 6).is_empty());
    }

    #[test]
    fn what_is_kept_elsewhere_is_not_kept_here() {
        let mut sent = sent();
        sent.let_go_of(4);
        assert_eq!((sent.chunks.len(), sent.total()), (2, 6), "a chunk goes as a whole");
        assert_eq!(behind(&sent, 4), [5, 6]);
        sent.let_go_of(2);
        assert_eq!(sent.chunks.len(), 2);
        sent.let_go_of(6);
        assert_eq!((sent.chunks.len(), sent.total()), (0, 6));
    }
}
