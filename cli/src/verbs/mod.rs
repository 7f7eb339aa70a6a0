//! What each verb does, a file each. A verb returns its exit code, or an error that `main` shows as one line.

pub mod attach;
pub mod cancel;
pub mod checkpoint;
pub mod cleanup;
pub mod coordinator;
pub mod engine;
pub mod jobs;
pub mod run;
pub mod submit;
pub mod worker;
