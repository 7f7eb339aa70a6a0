//! One machine's share of the work: a node that runs a pool of processes for a coordinator.

pub mod core;
pub mod process;
