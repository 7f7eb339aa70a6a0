//! Frames: how messages lie on a byte stream.
//!
//! ```text
//! head_len: u32 LE | payload_len: u32 LE | head: MessagePack | payload: raw bytes
//! ```
//! The head is one message in MessagePack (fields by name, so that the two sides may be one version apart); the
//! payload is opaque and is never copied on its way in.
//!
//! It deliberately does not know which messages exist, who the peer is, or what a payload means.
//!
//! Invariants: nothing is reserved for a frame before its lengths were compared with the limits; whatever bytes
//! arrive, the answer is a frame, "not yet" or an error, never a panic; a decoder that answered with an error has lost
//! its place in the stream, so the connection is to be closed.
//!
//! A head or payload shares the memory of the read that brought it: decode heads into owned types at once, and keep
//! a small payload beyond its batch only as a copy.

mod reader;
mod writer;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

pub use reader::{FrameReader, LOOKS};
pub use writer::FrameWriter;

/// The two lengths in front of every frame.
pub const PREFIX: usize = 8;

/// How deep the values of a head may nest.
pub const MAX_DEPTH: usize = 64;

/// The longest head and payload that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub head: usize,
    pub payload: usize,
}

impl Limits {
    /// The first frame of a connection.
    pub const HELLO: Limits = Limits { head: 4 << 10, payload: 0 };
    /// Messages that carry batches, results or chunks of larger values; nothing longer is ever sent.
    pub const DATA: Limits = Limits { head: 1 << 20, payload: 64 << 20 };
    /// The same between processes of one machine that are each other's only peer: values of up to 1 GiB as they are.
    pub const LOCAL: Limits = Limits { head: 1 << 20, payload: (1 << 30) + (1 << 20) };
}

/// A received frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub head: Bytes,
    pub payload: Bytes,
}

impl Frame {
    /// Decodes the head.
    ///
    /// # Errors
    /// [`CodecError::Malformed`].
    pub fn message<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        decode_head(&self.head)
    }
}

/// Which part of a frame an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Head,
    Payload,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Part::Head => "head",
            Part::Payload => "payload",
        })
    }
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("frame {what} of {len} bytes is above the limit of {limit}")]
    Oversized { what: Part, len: usize, limit: usize },
    #[error("frame head is malformed: {0}")]
    Malformed(String),
    #[error("message cannot be encoded: {0}")]
    Unencodable(String),
    #[error("the connection broke off")]
    Truncated,
    #[error("connection failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Appends prefix and head of a frame whose payload of `payload_len` bytes follows; `out` is unchanged on an error.
///
/// # Errors
/// [`CodecError::Oversized`] beyond `limits`, [`CodecError::Unencodable`].
pub fn encode_head<T: Serialize + ?Sized>(
    message: &T,
    payload_len: usize,
    limits: Limits,
    out: &mut BytesMut,
) -> Result<(), CodecError> {
    within(Part::Payload, payload_len, limits.payload)?;
    let start = out.len();
    out.put_bytes(0, PREFIX);
    let encoded = rmp_serde::encode::write_named(&mut out.writer(), message)
        .map_err(|error| CodecError::Unencodable(error.to_string()))
        .and_then(|()| {
            let head_len = out.len() - start - PREFIX;
            within(Part::Head, head_len, limits.head).map(|()| head_len)
        });
    match encoded {
        Ok(head_len) => {
            let mut prefix = &mut out[start..start + PREFIX];
            prefix.put_u32_le(u32::try_from(head_len).expect("the limit is below u32::MAX"));
            prefix.put_u32_le(u32::try_from(payload_len).expect("the limit is below u32::MAX"));
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// Takes the next frame (head and payload) off the front of `buf`, or says that it is not complete yet; then `buf`
/// has room for the rest of it.
///
/// # Errors
/// [`CodecError::Oversized`], before anything is reserved.
pub fn decode(buf: &mut BytesMut, limits: Limits) -> Result<Option<(Bytes, Bytes)>, CodecError> {
    let Some(mut prefix) = buf.get(..PREFIX) else { return Ok(None) };
    let head_len = prefix.get_u32_le() as usize;
    let payload_len = prefix.get_u32_le() as usize;
    within(Part::Head, head_len, limits.head)?;
    within(Part::Payload, payload_len, limits.payload)?;
    let total = PREFIX + head_len + payload_len;
    if buf.len() < total {
        buf.reserve(total - buf.len());
        return Ok(None);
    }
    let mut head = buf.split_to(total).freeze();
    head.advance(PREFIX);
    let payload = if payload_len == 0 { Bytes::new() } else { head.split_off(head_len) };
    Ok(Some((head, payload)))
}

/// Decodes a head into a message that owns its memory.
///
/// # Errors
/// [`CodecError::Malformed`]: not this message, nested beyond [`MAX_DEPTH`], or bytes left over.
pub fn decode_head<T: DeserializeOwned>(head: &[u8]) -> Result<T, CodecError> {
    let mut deserializer = rmp_serde::Deserializer::new(head);
    deserializer.set_max_depth(MAX_DEPTH);
    let message =
        T::deserialize(&mut deserializer).map_err(|error| CodecError::Malformed(error.to_string()))?;
    match deserializer.get_ref().len() {
        0 => Ok(message),
        rest => Err(CodecError::Malformed(format!("{rest} bytes left over"))),
    }
}

fn within(what: Part, len: usize, limit: usize) -> Result<(), CodecError> {
    if len > limit { Err(CodecError::Oversized { what, len, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
