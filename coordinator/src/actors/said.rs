//! The mail that reaches the coordinator from its sessions and its listener.

use actix::Message;
use bytes::Bytes;
use shared::wire::{client::FromClient, worker::FromWorker};

use crate::actors::handshake::Connection;

/// One connection, for as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Somebody was accepted.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Arrived(pub Connection);

/// A worker has said something.
#[derive(Message)]
#[rtype(result = "()")]
pub struct WorkerSaid {
    pub session: SessionId,
    pub said: FromWorker,
    pub payload: Bytes,
}

/// A client has said something.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ClientSaid {
    pub session: SessionId,
    pub said: FromClient,
    pub payload: Bytes,
}

/// A peer was silent for a whole lease.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SessionSilent(pub SessionId);
