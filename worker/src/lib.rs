//! One machine's share of the work: a node that runs a pool of processes for a coordinator.
//!
//! - [`core`]: decides, and knows no I/O; [`actors`]: carry out, and decide nothing
//! - [`process`]: how processes are made, watched and ended; [`launch`]: what ours are started with
//! - [`registry`]: the processes that live now; [`machine`]: how the machine is; [`stock`]: objects in its memory
//!
//! `maniple worker` runs [`Node`] as its root; `maniple run` has it as a child of its own root. Both first split the
//! program in two by [`process::keeper::split`], and make a [`Keeping`] of the engine's end.

pub mod actors;
pub mod config;
pub mod core;
pub mod launch;
pub mod machine;
pub mod process;
pub mod registry;
pub mod stock;

pub use actors::{node::Node, said::Alarm, said::Shutdown};
pub use config::{Config, Keeping};
