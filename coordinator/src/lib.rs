//! The coordinator: takes jobs from clients, leases batches to workers, records outcomes.
//!
//! - [`core`]: decides, and knows no I/O; [`actors`]: carry out, and decide nothing
//! - [`shelf`]: the jobs that have to survive the coordinator actor, and with a state directory its process; [`ended`]: how the latest ended
//! - [`writer`]: the thread that owns one job's files; [`known`]: what its checkpoint had before; [`checkpoint`]: its checkpoint, on a [`disk`]
//! - [`depot`]: the objects that are handed on to the workers; [`untaken`]: the results that clients have not got yet

pub mod actors;
pub mod checkpoint;
pub mod config;
pub mod core;
pub mod depot;
pub mod disk;
pub mod ended;
pub mod known;
pub mod select;
pub mod shelf;
pub mod untaken;
pub mod writer;

pub use actors::root::Root;
pub use config::Config;
