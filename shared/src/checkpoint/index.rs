//! The index: copies of fixed parts and heads, so that who wants one column finds it after a few reads.
//!
//! It does not decide when an index is written, nor where it lies.

use super::{
    FrameAt,
    frame::{self, FIXED, FrameHeader},
    head::Head,
    u64_at,
};

/// Bytes before the copy of each head: the frame's offset.
const OFFSET: usize = 8;

/// Appends the entry of a frame of values or failures to `listed`, which becomes the contents of an index frame.
///
/// `frame` are the frame's bytes, or as many of them as hold its head.
///
/// # Panics
/// If these are not the bytes of a frame.
pub fn list(offset: u64, frame: &[u8], listed: &mut Vec<u8>) {
    let header = FrameHeader::peek(frame).expect("the bytes of a frame");
    listed.extend_from_slice(&offset.to_le_bytes());
    listed.extend_from_slice(&frame[..header.body_at() as usize]);
}

/// The frames that an index frame lists, in order; `None` if it does not have the form of one.
///
/// `tag` is that of the file; all that is listed lies before `end`, where the index frame begins.
#[must_use]
pub fn entries(mut listed: &[u8], tag: u32, end: u64) -> Option<Vec<(FrameAt, Head)>> {
    let mut found: Vec<(FrameAt, Head)> = Vec::new();
    while !listed.is_empty() {
        let copy = listed.get(OFFSET..)?;
        let header = FrameHeader::peek(copy)?;
        let len = usize::try_from(header.body_at()).ok()?;
        let bytes = copy.get(..len)?;
        let frame = FrameAt { offset: u64_at(listed, 0), header };
        let after = found.last().is_none_or(|(last, _)| last.end() <= frame.offset);
        let inside = frame.offset.checked_add(header.frame_len()).is_some_and(|frame_end| frame_end <= end);
        if !after || !inside || header.tag != tag || !frame::is_sound(bytes) {
            return None;
        }
        let head = Head::decode(&bytes[FIXED..], header.body_len).ok()?;
        found.push((frame, head));
        listed = &copy[len..];
    }
    Some(found)
}
