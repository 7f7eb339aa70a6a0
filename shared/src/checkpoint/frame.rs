//! The 40 bytes before each frame's head: how long it is, where it belongs, and the checksum that makes it credible.
//!
//! It knows nothing of what the head says.

use super::{HEAD_LIMIT, pad8, u32_at, u64_at};

/// What a frame begins with.
pub const MARKER: [u8; 4] = *b"MNPF";
/// Length of the fixed part.
pub const FIXED: usize = 40;

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Length of the head, without padding.
    pub head_len: u32,
    /// Length of the body, with padding.
    pub body_len: u64,
    /// The frame's number in the file.
    pub sequence: u64,
    /// How much of the file was known to be durable when it was written.
    pub durable: u64,
    /// The file that it belongs to.
    pub tag: u32,
}

impl FrameHeader {
    /// The fixed part, for a head that is padded already.
    #[must_use]
    pub fn encode(&self, padded_head: &[u8]) -> [u8; FIXED] {
        let mut out = [0; FIXED];
        out[..4].copy_from_slice(&MARKER);
        out[4..8].copy_from_slice(&self.head_len.to_le_bytes());
        out[8..16].copy_from_slice(&self.body_len.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[24..32].copy_from_slice(&self.durable.to_le_bytes());
        out[32..36].copy_from_slice(&self.tag.to_le_bytes());
        let crc = checksum(&out, padded_head);
        out[36..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the fixed part as it stands; nothing of it is credible yet. `None` if no frame begins here.
    #[must_use]
    pub fn peek(fixed: &[u8]) -> Option<FrameHeader> {
        if fixed.len() < FIXED || fixed[..4] != MARKER {
            return None;
        }
        let header = FrameHeader {
            head_len: u32_at(fixed, 4),
            body_len: u64_at(fixed, 8),
            sequence: u64_at(fixed, 16),
            durable: u64_at(fixed, 24),
            tag: u32_at(fixed, 32),
        };
        (header.head_len <= HEAD_LIMIT).then_some(header)
    }

    /// Length of fixed part and head: where the body begins.
    #[must_use]
    pub fn body_at(&self) -> u64 {
        FIXED as u64 + pad8(self.head_len.into())
    }

    /// Length of the whole frame.
    #[must_use]
    pub fn frame_len(&self) -> u64 {
        self.body_at().saturating_add(self.body_len)
    }
}

/// Whether fixed part and head, `bytes`, are as they were written.
#[must_use]
pub fn is_sound(bytes: &[u8]) -> bool {
    checksum(&bytes[..FIXED], &bytes[FIXED..]) == u32_at(bytes, 36)
}

/// The same of a head that was not read, `padded_len` bytes long, by its checksum.
#[must_use]
pub fn is_sound_with(fixed: &[u8], padded_head: u32, padded_len: u64) -> bool {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&fixed[..36]);
    crc.combine(&crc32fast::Hasher::new_with_initial_len(padded_head, padded_len));
    crc.finalize() == u32_at(fixed, 36)
}

fn checksum(fixed: &[u8], padded_head: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&fixed[..36]);
    crc.update(padded_head);
    crc.finalize()
}
