//! What a child writes to stdout or stderr, kept within bounds: the first bytes, the last bytes, and how many were cut.
//!
//! It gives no meaning to the bytes (no lines, no encoding). A short command is best read once, after its exit: only
//! `follow` registers with the event loop. The pipe may stay open after the exit (a daemon holds it); `take` never waits
//! for that.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::sys;

/// One read.
const CHUNK: usize = 16 * 1024;
/// The most that is read before others get their turn: more than a pipe holds, so a pipe without writers is emptied.
const ROUND: usize = 1024 * 1024;

/// How many bytes are kept at either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub head: usize,
    pub tail: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 32 * 1024, tail: 32 * 1024 }
    }
}

/// What was kept. If nothing was cut, head and tail together are all there was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    pub head: Vec<u8>,
    /// Bytes between head and tail that are gone.
    pub cut: u64,
    pub tail: Vec<u8>,
}

/// Keeps the two ends of a stream. Its memory grows with what is kept, never beyond the limits.
#[derive(Debug)]
pub struct Capture {
    limits: Limits,
    head: Vec<u8>,
    cut: u64,
    tail: VecDeque<u8>,
}

impl Capture {
    pub fn new(limits: Limits) -> Self {
        Self { limits, head: Vec::new(), cut: 0, tail: VecDeque::new() }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.limits.head - self.head.len()));
        self.head.extend_from_slice(head);
        let (skipped, kept) = rest.split_at(rest.len().saturating_sub(self.limits.tail));
        let overflow = (self.tail.len() + kept.len()).saturating_sub(self.limits.tail);
        self.tail.drain(..overflow);
        self.tail.extend(kept);
        self.cut += (skipped.len() + overflow) as u64;
    }

    pub fn finish(self) -> Captured {
        Captured { head: self.head, cut: self.cut, tail: self.tail.into() }
    }
}

/// The reading end of a child's output, with what has been read of it.
#[derive(Debug)]
pub struct OutputPipe {
    pipe: Arc<OwnedFd>,
    registered: Option<AsyncFd<Arc<OwnedFd>>>,
    capture: Capture,
}

/// What a bounded round of reading ended with.
#[derive(PartialEq, Eq)]
enum Pipe {
    Closed,
    Empty,
    Busy,
}

impl OutputPipe {
    /// A pipe: this end to read, the other to pass to the child.
    pub fn new(limits: Limits) -> io::Result<(Self, OwnedFd)> {
        let (ours, childs) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((Self { pipe: Arc::new(ours), registered: None, capture: Capture::new(limits) }, childs))
    }

    /// Reads what comes until every writer has closed. Cancelling loses nothing, so it may stand in a `select!` beside
    /// what ends it, again and again.
    pub async fn follow(&mut self) -> io::Result<()> {
        if self.registered.is_none() {
            self.registered = Some(sys::watch(Arc::clone(&self.pipe), Interest::READABLE)?);
        }
        let registered = self.registered.as_ref().expect("it was registered above");
        loop {
            let mut ready = registered.readable().await?;
            match drain(&self.pipe, &mut self.capture)? {
                Pipe::Closed => return Ok(()),
                Pipe::Empty => ready.clear_ready(),
                Pipe::Busy => tokio::task::yield_now().await,
            }
        }
    }

    /// What was kept since the last call, with what lies in the pipe by now; waits for nothing.
    pub fn take(&mut self) -> io::Result<Captured> {
        drain(&self.pipe, &mut self.capture)?;
        let fresh = Capture::new(self.capture.limits);
        Ok(std::mem::replace(&mut self.capture, fresh).finish())
    }
}

/// Reads until the pipe is empty or closed, but no more than `ROUND`: a writer that never pauses must not hold us.
fn drain(pipe: &OwnedFd, capture: &mut Capture) -> io::Result<Pipe> {
    let mut buffer = [0; CHUNK];
    for _ in 0..ROUND / CHUNK {
        match read(pipe, &mut buffer) {
            Ok(0) => return Ok(Pipe::Closed),
            Ok(length) => capture.push(&buffer[..length]),
            Err(Errno::EAGAIN) => return Ok(Pipe::Empty),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Pipe::Busy)
}

#[cfg(test)]
mod tests;
