//! coordinator

pub mod checkpoint;
pub mod disk;
