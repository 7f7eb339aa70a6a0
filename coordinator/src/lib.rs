//! The coordinator: so far the checkpoint, and the seam to the disk that it stands on.

pub mod checkpoint;
pub mod disk;
