//! News for the engine, gathered into few messages, kept while the engine does not read.
//!
//! Each message wakes the engine, which costs as much as a good part of a short command. So some news is quiet: it waits
//! a little for company. The keeper decides which, and how long.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};

use crate::process::event::KeeperEvent;
use crate::process::protocol::{INLINE, encode_event};

#[derive(Default)]
pub(super) struct Outbox {
    messages: VecDeque<Vec<u8>>,
    urgent: bool,
}

impl Outbox {
    /// Takes news that must not wait.
    pub(super) fn push(&mut self, event: &KeeperEvent) {
        self.urgent = true;
        self.push_quietly(event);
    }

    pub(super) fn push_quietly(&mut self, event: &KeeperEvent) {
        match self.messages.back_mut() {
            // An event is far shorter than the other half.
            Some(last) if last.len() < INLINE / 2 => encode_event(event, last),
            _ => {
                let mut message = Vec::new();
                encode_event(event, &mut message);
                self.messages.push_back(message);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// It holds news that must not wait.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Sends as much as the socket takes. If the engine is gone, the end of the socket says so; here it is ignored.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) {
        while let Some(message) = self.messages.front() {
            match send(socket.as_raw_fd(), message, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => {
                    self.urgent = true;
                    return;
                }
                _ => self.messages.pop_front(),
            };
        }
        self.urgent = false;
    }
}
