//! Key-values that the tasks and the callers of a coordinator share: what may be asked for, and what is answered. It
//! goes from a child to its node, on to the coordinator, and back; or from a client to the coordinator, and back.
//!
//! A value is one MessagePack value, in the payload; only an integer is ever looked into.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The value of a key.
    Get(String),
    /// Give a key a value, which is the payload.
    Set(String),
    /// Add to the integer that a key has, 0 if it has no value; the answer is the sum.
    Incr {
        /// The key.
        key: String,
        /// What is added.
        by: i64,
    },
    /// Take a key's value away.
    Delete(String),
    /// All there is, as [`Pairs`].
    All,
    /// Give away all there is, as [`Pairs`]: hereafter it is [`Elsewhere`](Answer::Elsewhere).
    Leave,
    /// Take over the payload, [`Pairs`], but for keys that have a value already; hereafter it is here.
    Inherit,
}

/// Keys and their values, as the payload of a message.
pub type Pairs = Vec<(String, Bytes)>;

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done; the payload is what was asked for.
    Done,
    /// The key has no value.
    Missing,
    /// It is not done, for this reason.
    Refused(String),
    /// It is not done, because another coordinator of the same client has the key-values.
    Elsewhere,
    /// There is no coordinator, or none any more: whether it is done is not known.
    Lost,
}
