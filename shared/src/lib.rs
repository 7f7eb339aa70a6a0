//! What coordinator, worker and client have to agree on: ids, job, outcome, wire protocol, codec, checkpoint format,
//! security, restart policy and supervision. It deliberately listens on no socket and starts no process.

pub mod checkpoint;
pub mod codec;
pub mod door;
pub mod endpoint;
pub mod id;
pub mod inject;
pub mod job;
pub mod location;
pub mod msgpack;
pub mod object;
pub mod outcome;
pub mod security;
pub mod shape;
pub mod supervision;
pub mod task_set;
pub mod tasks;
pub mod wire;
