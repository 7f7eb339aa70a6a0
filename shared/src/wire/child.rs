//! A node and its Python child (`python/src/maniple/child.py`), or the template that forks children, over an inherited
//! socket of their own.
//!
//! Frames are those of [`codec`](crate::codec). A head is a MessagePack map of one entry: the message's name and its
//! fields by name. The child answers each [`ToChild::Run`] with one or more [`FromChild::Ran`] that cover
//! its tasks in order. Ordinals count the tasks that a child was given over its life, from 1; the beacon page (see
//! `worker::process::beacon`) speaks of them too.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    object::ObjectSpec,
    shape::ValueShape,
    wire::kv::{Answer, Request},
};

/// What a node says to a child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToChild {
    /// The first message: what to load.
    Load(Box<Load>),
    /// Call the function with each key of the payload, an array of keys in MessagePack.
    Run {
        /// The ordinal of the first one.
        first: u64,
        /// How many.
        count: u32,
    },
    /// What became of its [`FromChild::Ask`], and perhaps a payload with it.
    Answered(Answer),
}

/// What a child has to load before it can work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Dotted module name.
    pub module: String,
    /// Dotted name within it.
    pub function: String,
    /// Folders put before `sys.path`.
    pub path: Vec<String>,
    /// The pickle of the function; module and function only name it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickled: Option<Bytes>,
    /// The Python that pickled it, such as `3.11`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The packages that the function refers to, and which versions of them its caller has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<(String, String)>,
    /// For a copy of a template: what says in the environment whose it is that it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Limit on the resident memory of the process, in bytes: past it, an allocation raises `MemoryError`.
    pub memory: Option<u64>,
    /// Largest encoded value of one task, in bytes.
    pub value_limit: u64,
    /// What values have to look like.
    #[serde(default, skip_serializing_if = "ValueShape::is_open")]
    pub shape: ValueShape,
    /// What is mapped and not sent; each has its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectSpec>,
}

/// A package of which a child has another version than the function's caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its name, as it is imported.
    pub package: String,
    /// The caller's version.
    pub caller: String,
    /// The child's.
    pub child: String,
}

/// What a node says to a template, a process that imports once and forks children.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToTemplate {
    /// The first message: what to import.
    Preload {
        /// Dotted module names, in this order.
        names: Vec<String>,
        /// Folders put before `sys.path`.
        path: Vec<String>,
        /// The function's pickle, in which modules may have been sent along.
        pickled: Option<Bytes>,
        /// What is mapped and not sent; the function with its modules may be among it.
        objects: Vec<ObjectSpec>,
    },
    /// Fork a child. With it come its socket, its beacon, its standard output and its standard error.
    Fork {
        /// The request's number.
        number: u64,
    },
}

/// What a template says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromTemplate {
    /// All is imported.
    Ready {},
    /// It is not; the template ends.
    Unloadable {
        /// One line.
        message: String,
        /// Traceback, where there is more to say.
        traceback: String,
    },
    /// There is a child, which belongs to the template's parent.
    Forked {
        /// The request's number.
        number: u64,
        /// Its process.
        pid: i32,
        /// When it started, in clock ticks after boot.
        started: u64,
    },
    /// There is none.
    NotForked {
        /// The request's number.
        number: u64,
        /// One line.
        why: String,
    },
    /// There was one, and it was killed before it could say so.
    Killed {
        /// The request's number.
        number: u64,
    },
}

/// What a child says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromChild {
    /// The function is loaded.
    Ready {
        /// Version of the interpreter.
        python: String,
        /// The interpreter, where it lacks the module msgpack and so encodes values several times slower.
        lacks_msgpack: Option<String>,
    },
    /// Of some packages it has another version than the caller. Said before the child is ready.
    Differs {
        /// Which.
        packages: Vec<Difference>,
    },
    /// It is not; the child ends.
    Unloadable {
        /// One line.
        message: String,
        /// Traceback, where there is more to say.
        traceback: String,
    },
    /// Tasks that have been run. Payload: the values of those that have one, one behind the other.
    Ran {
        /// The ordinal of the first.
        first: u64,
        /// How many, failures included.
        count: u32,
        /// Wall time, in microseconds.
        busy_us: u64,
        /// Those that raised.
        failures: Vec<Raised>,
    },
    /// Something about the key-values, and perhaps a payload with it. The child waits for the answer.
    Ask(Request),
    /// The child begins no task of this ordinal or a later one of its current run: it saw the beacon's `stop`.
    Stopped {
        /// The first one that it does not run.
        at: u64,
    },
}

/// A task that raised, or whose value cannot be kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Raised {
    /// Its ordinal.
    pub ordinal: u64,
    /// Which of the two.
    pub kind: RaisedKind,
    /// Qualified name of the exception's type.
    pub type_name: String,
    /// Its text.
    pub message: String,
    /// Its traceback.
    pub traceback: String,
}

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RaisedKind {
    /// The function raised.
    Exception,
    /// The value does not encode or is too large.
    BadValue,
    /// Memory ran out under the limit.
    OutOfMemory,
}
