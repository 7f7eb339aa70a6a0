//! The coordinator: takes jobs from clients, leases batches to workers, records outcomes.
//!
//! `core` decides and knows no I/O; `actors` carry out and decide nothing.

pub mod core;
