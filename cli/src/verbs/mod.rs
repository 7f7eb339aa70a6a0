//! What each verb does, a file each. A verb returns its exit code, or an error that `main` shows as one line.

pub mod checkpoint;
pub mod cleanup;
pub mod coordinator;
pub mod engine;
pub mod run;
pub mod submit;
pub mod worker;
