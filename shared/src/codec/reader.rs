//! The reading half of a connection: bytes in, frames out.
//!
//! It deliberately does not know what kind of stream it reads.
//!
//! Invariants: `next` may be cancelled at any await without losing a byte; between frames the reader owns at most
//! [`KEEP`] bytes of memory, however large the last frame was.

use std::{io::ErrorKind, time::Duration};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{CodecError, Frame, Limits, decode};

/// The least room that a read is given, so that many small frames come with one read.
const READ: usize = 64 << 10;

/// With less room than this, a read would not be worth its system call.
const ROOM: usize = 4 << 10;

/// The largest buffer that is used again after its frame was handed out.
pub(super) const KEEP: usize = 1 << 20;

/// A silence is made of so many, one after the other.
pub const LOOKS: u32 = 4;

/// Reads frames from `R`.
#[derive(Debug)]
pub struct FrameReader<R> {
    pub(super) inner: R,
    pub(super) buf: BytesMut,
    limits: Limits,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(inner: R, limits: Limits) -> Self {
        FrameReader { inner, buf: BytesMut::new(), limits }
    }

    /// From the next frame on, other limits hold.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The next frame; `None` when the stream ended between two frames. Cancel-safe.
    ///
    /// # Errors
    /// [`CodecError::Oversized`], [`CodecError::Truncated`], [`CodecError::Io`]; each ends the connection.
    pub async fn next(&mut self) -> Result<Option<Frame>, CodecError> {
        loop {
            if let Some((head, payload)) = decode(&mut self.buf, self.limits)? {
                self.let_go(head.len() + payload.len());
                return Ok(Some(Frame { head, payload }));
            }
            // `decode` has made room for the rest of a frame that has begun. A long one is left with just that: more
            // room would mean to move it.
            let len = self.buf.len();
            if len < ROOM && self.buf.capacity() - len < ROOM {
                self.buf.reserve(READ);
            }
            match self.inner.read_buf(&mut self.buf).await {
                Ok(0) if self.buf.is_empty() => return Ok(None),
                Ok(0) => return Err(CodecError::Truncated),
                // TLS itself notices a peer that has gone without a word, be it between two frames.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(CodecError::Truncated),
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
        }
    }

    /// [`next`](FrameReader::next), unless the sender is silent for so long: then `None`. Each byte counts, as a long
    /// frame may take longer than that.
    ///
    /// A process that was stopped finds its timers over before it sees what has come meanwhile. So the time is waited for
    /// in parts, and a pause of our own costs one of them, however long it was.
    pub async fn next_within(&mut self, silence: Duration) -> Option<Result<Option<Frame>, CodecError>> {
        let mut looks = 0;
        while looks < LOOKS {
            let before = self.buf.len();
            if let Ok(next) = tokio::time::timeout(silence / LOOKS, self.next()).await {
                return Some(next);
            }
            looks = if self.buf.len() > before { 0 } else { looks + 1 };
        }
        None
    }

    /// How many bytes have come of a frame that is not whole yet.
    pub fn waiting(&self) -> usize {
        self.buf.len()
    }

    /// Leaves a large buffer to the frame that was cut from it.
    fn let_go(&mut self, frame: usize) {
        if frame > KEEP {
            self.buf = BytesMut::from(&self.buf[..]);
        }
    }
}
