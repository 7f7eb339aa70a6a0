//! A whole cluster in one thread under virtual time: the real cores of coordinator and node, and a model of everything
//! between and around them - connections, a disk, processes, and what may befall each.
//!
//! [`scenario`]: what is computed, and the faults, drawn from a seed - [`world`]: the clock and what is due
//! - `hub`: the coordinator, its disk, its sessions - `machine`: nodes - `child`: a process that runs tasks
//! - `net`: connections that delay, break and fall silent - `ledger`: what has to hold, checked as it happens
//! - [`shrink`]: the smallest scenario that still fails
//!
//! The same scenario always takes the same course. What is broken is a panic, here or in a core.

pub mod dice;
pub mod scenario;
pub mod shrink;
pub mod world;

mod child;
mod hub;
mod ledger;
mod machine;
mod net;

pub use scenario::{Fault, Scenario, Trouble};
pub use world::{Stats, run};
