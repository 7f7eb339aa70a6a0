//! What coordinator, worker and client have to agree on: ids, job, outcome, wire protocol, codec, checkpoint format,
//! security, restart policy and supervision. It deliberately listens on no socket and starts no process.

pub mod checkpoint;
pub mod codec;
pub mod id;
pub mod job;
pub mod outcome;
pub mod security;
pub mod supervision;
pub mod wire;
