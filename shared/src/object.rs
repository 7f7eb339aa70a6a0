//! Objects: what all tasks of a job need, in bytes that go once to each machine instead of with every task.
//!
//! Each is one run of memory that processes map and nobody copies; what is in it is between the client and the Python
//! child (`python/src/maniple/objects.py`), and nobody else looks at it. Processes of the client's own machine map its
//! memory. Others map a copy: the coordinator fetches it from the client, each node from the coordinator, both piece by
//! piece, so that whoever takes a piece has asked for it.

use serde::{Deserialize, Serialize};

use crate::id::ObjectId;

/// How much of an object is asked for at once: it goes between other messages, which should not wait for long.
pub const PIECE: u32 = 2 << 20;

/// An object as its client describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSpec {
    /// Which one.
    pub id: ObjectId,
    /// Its bytes.
    pub size: u64,
    /// What a child does with it.
    pub purpose: Purpose,
    /// The path by which this machine's processes map it: a descriptor of the process that has it, so that nothing is
    /// left when that process ends. Unknown to a client whose tasks run on other machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The CRC-32 (IEEE) of its bytes, for whoever gets it in pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc: Option<u32>,
}

impl ObjectSpec {
    /// Whether its bytes have to be fetched: nobody said where this machine has them.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.place.is_none()
    }
}

/// What a child does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// It is the pickle of the function, which is too long to be sent beside it.
    Function,
    /// It is a mapping of names to values, keyword arguments of every call.
    Shared,
}
