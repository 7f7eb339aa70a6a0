//! Objects: what all tasks of a job need, in bytes that go once to each machine instead of with every task.
//!
//! Each is one run of memory that processes map and nobody copies; what is in it is between the client and the Python
//! child (`python/src/maniple/objects.py`), and nobody else looks at it.

use serde::{Deserialize, Serialize};

use crate::id::ObjectId;

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
}

/// What a child does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// It is the pickle of the function, which is too long to be sent beside it.
    Function,
    /// It is a mapping of names to values, keyword arguments of every call.
    Shared,
}
