//! The writing half of a connection: frames in, bytes out.
//!
//! Small frames are gathered and leave together; a payload above [`GATHER`] is never copied but goes out as it is,
//! in the same vectored write as the bytes before and after it.
//!
//! It deliberately does not know what kind of stream it writes, nor when it is time to flush.
//!
//! Invariants: bytes leave in the order in which frames were fed; `feed` and `flush` may be cancelled at any await (a
//! cancelled `feed` has not taken its frame); at most [`HIGH_WATER`] bytes and one frame wait in memory, but for
//! what was `put`.

use std::{collections::VecDeque, io, io::IoSlice, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::{error::Elapsed, timeout},
};

use super::{CodecError, Limits, encode_head};

/// The longest payload that is copied next to its head.
pub const GATHER: usize = 16 << 10;

/// With this many bytes waiting, `feed` writes before it takes another frame.
pub const HIGH_WATER: usize = 256 << 10;

/// How many pieces one vectored write carries at most.
const SLICES: usize = 16;

/// Writes frames to `W`.
#[derive(Debug)]
pub struct FrameWriter<W> {
    inner: W,
    limits: Limits,
    queue: VecDeque<Bytes>,
    queued: usize,
    tail: BytesMut,
    flushed: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// A writer of frames within [`Limits::DATA`].
    pub fn new(inner: W) -> Self {
        FrameWriter {
            inner,
            limits: Limits::DATA,
            queue: VecDeque::new(),
            queued: 0,
            tail: BytesMut::new(),
            flushed: true,
        }
    }

    /// From the next frame on, other limits hold.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes a frame; writes only when [`HIGH_WATER`] is reached, so call [`flush`](Self::flush) when nothing more is
    /// at hand. Cancel-safe.
    ///
    /// # Errors
    /// [`CodecError::Oversized`] and [`CodecError::Unencodable`] leave the stream intact; [`CodecError::Io`] ends it.
    pub async fn feed<T: Serialize + ?Sized>(
        &mut self,
        message: &T,
        payload: Bytes,
    ) -> Result<(), CodecError> {
        if self.waiting() >= HIGH_WATER {
            self.drain().await?;
        }
        self.put(message, payload)
    }

    /// Takes a frame and writes nothing, for whoever sees to it that little waits.
    ///
    /// # Errors
    /// As [`feed`](Self::feed), but for the last.
    pub fn put<T: Serialize + ?Sized>(&mut self, message: &T, payload: Bytes) -> Result<(), CodecError> {
        encode_head(message, payload.len(), self.limits, &mut self.tail)?;
        self.flushed = false;
        if payload.len() <= GATHER {
            self.tail.extend_from_slice(&payload);
        } else {
            self.seal();
            self.enqueue(payload);
        }
        Ok(())
    }

    /// Writes everything that was fed. Cancel-safe.
    ///
    /// # Errors
    /// [`CodecError::Io`].
    pub async fn flush(&mut self) -> Result<(), CodecError> {
        self.drain().await?;
        self.inner.flush().await?;
        self.flushed = true;
        Ok(())
    }

    /// Whether everything that was fed has left.
    pub fn is_flushed(&self) -> bool {
        self.flushed
    }

    /// Writes everything that was fed, unless not a byte of it leaves for so long: much may well take longer.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`Elapsed`] when it is stuck, else as [`flush`](Self::flush).
    pub async fn flush_unless_stuck(&mut self, limit: Duration) -> Result<Result<(), CodecError>, Elapsed> {
        loop {
            let before = self.waiting();
            match timeout(limit, self.flush()).await {
                Err(_) if self.waiting() < before => {}
                end => return end,
            }
        }
    }

    /// Writes everything that was fed and ends the stream in order.
    ///
    /// # Errors
    /// [`CodecError::Io`].
    pub async fn shutdown(&mut self) -> Result<(), CodecError> {
        self.flush().await?;
        Ok(self.inner.shutdown().await?)
    }

    /// How many bytes were fed and not yet written.
    pub fn waiting(&self) -> usize {
        self.queued + self.tail.len()
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let gathered = self.tail.split().freeze();
            self.enqueue(gathered);
        }
    }

    fn enqueue(&mut self, bytes: Bytes) {
        self.queued += bytes.len();
        self.queue.push_back(bytes);
    }

    /// Into how many pieces what waits is divided.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.queue.len() + usize::from(!self.tail.is_empty())
    }

    async fn drain(&mut self) -> io::Result<()> {
        self.seal();
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            let written = self.inner.write_vectored(&slices[..count]).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(written);
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.queued -= written;
        while let Some(front) = self.queue.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.queue.pop_front();
        }
    }
}
