//! Keys one behind the other, in pieces: a long list is never moved, and no room is kept for what may never come.
//!
//! Where a key begins is noted for one key in [`GROUP`]; the others are walked to. It does not know whether two keys
//! are equal.
//!
//! Invariant: every key is one whole MessagePack value, so none is the beginning of another one.

use std::hint::black_box;

use crate::msgpack;

/// Keys in a piece.
const PIECE: usize = 4_096;
/// Keys that share the note where the first of them begins.
const GROUP: usize = 16;
const CACHE_LINE: usize = 64;

#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    groups: Vec<usize>,
}

/// Keys, by their place.
#[derive(Default)]
pub(super) struct Keys {
    pieces: Vec<Piece>,
    len: u32,
    bytes: u64,
}

impl Keys {
    pub(super) fn push(&mut self, key: &[u8]) {
        let place = self.len as usize % PIECE;
        if place == 0 {
            self.begin_piece();
        }
        let piece = self.pieces.last_mut().expect("a piece has been begun");
        if place.is_multiple_of(GROUP) {
            piece.groups.push(piece.bytes.len());
        }
        piece.bytes.extend_from_slice(key);
        self.len += 1;
        self.bytes += key.len() as u64;
    }

    /// The keys of a list are alike, so a piece will be about as long as the one before.
    fn begin_piece(&mut self) {
        let piece = match self.pieces.last_mut() {
            None => Piece::default(),
            Some(full) => {
                full.bytes.shrink_to_fit();
                Piece {
                    bytes: Vec::with_capacity(full.bytes.len()),
                    groups: Vec::with_capacity(PIECE / GROUP),
                }
            }
        };
        self.pieces.push(piece);
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// How many bytes the keys have together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn key(&self, task: u32) -> &[u8] {
        let rest = self.from(task);
        &rest[..first_len(rest)]
    }

    /// This key and those behind it, as far as they lie together.
    pub(super) fn from(&self, task: u32) -> &[u8] {
        let (piece, place) = (&self.pieces[task as usize / PIECE], task as usize % PIECE);
        let mut rest = &piece.bytes[piece.groups[place / GROUP]..];
        for _ in 0..place % GROUP {
            rest = &rest[first_len(rest)..];
        }
        rest
    }

    /// What lies behind this task's key if it is `key`.
    pub(super) fn behind(&self, task: u32, key: &[u8]) -> Option<&[u8]> {
        self.from(task).strip_prefix(key)
    }

    /// Brings some keys near, and those that are walked over on the way: nothing here waits for the one before.
    pub(super) fn fetch(&self, tasks: impl Iterator<Item = u32>) {
        black_box(tasks.fold(0, |all, task| {
            let (piece, place) = (&self.pieces[task as usize / PIECE], task as usize % PIECE);
            let start = piece.groups[place / GROUP];
            let end = piece.groups.get(place / GROUP + 1).copied().unwrap_or(piece.bytes.len());
            let about = start + (end - start) / GROUP * (place % GROUP);
            (start..=about).step_by(CACHE_LINE).fold(all, |all, at| all ^ piece.bytes[at])
        }));
    }

    /// All of them, as far as they lie together.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| piece.bytes.as_slice())
    }

    /// The keys from `start` up to, not including, `end`, as far as they lie together.
    pub(super) fn stretches(&self, start: u32, end: u32) -> impl Iterator<Item = &[u8]> {
        let mut at = start;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let stretch = self.from(at);
            at = (at as usize / PIECE * PIECE + PIECE) as u32;
            // A later key of the same piece begins where this stretch ends.
            let behind = if end < at.min(self.len) { self.from(end).len() } else { 0 };
            Some(&stretch[..stretch.len() - behind])
        })
    }

    /// Bytes of memory that are held.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        let of = |piece: &Piece| piece.bytes.capacity() + piece.groups.capacity() * size_of::<usize>();
        self.pieces.capacity() * size_of::<Piece>() + self.pieces.iter().map(of).sum::<usize>()
    }
}

fn first_len(bytes: &[u8]) -> usize {
    msgpack::value_len(bytes).expect("only whole values are taken in")
}
