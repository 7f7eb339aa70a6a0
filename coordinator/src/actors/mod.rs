//! The coordinator's actors: mail becomes events, effects become mail, bytes and files. They decide nothing but how
//! to do what the core asks for.
//!
//! ```text
//! root (rest-for-one)
//! ├── coordinator          the core and what it needs to be carried out; escalates when a checkpointer dies
//! │   ├── checkpointer*    one per job: the writer thread's owner; its death is the coordinator's
//! │   ├── storekeeper      the objects that are handed on, once a job needs one; its death is the coordinator's
//! │   └── session*         one per connection, temporary: a lost one is an event, not a crash
//! └── listener             accepts connections, hands them to the coordinator
//! ```
//! A coordinator that is started anew recovers from the [shelf](crate::shelf) and the checkpoints, exactly as a new
//! process does; the connections of its predecessor are closed, and workers and clients come back by themselves.

mod attached;
pub mod carry_out;
pub mod checkpointer;
mod clerk;
pub mod coordinator;
mod deliver;
pub mod desk;
mod from_clients;
mod from_workers;
mod from_writers;
pub mod handshake;
pub mod listener;
mod provide;
pub mod root;
pub mod said;
pub mod session;
pub mod storekeeper;
mod watch;
