//! `maniple checkpoint ...`: one file per tool. What a tool writes is a new file; none changes one in place.

mod files;
mod import;
mod info;
mod new_file;

use crate::{args::checkpoint::Checkpoint, fault::Fault};

/// Exit code: a checkpoint, or what was given as one, is damaged.
const DAMAGED: u8 = 3;

/// Carries out a tool; the exit code.
pub fn run(tool: &Checkpoint) -> Result<u8, Fault> {
    match tool {
        Checkpoint::Info(args) => info::run(args),
        Checkpoint::Import(args) => import::run(args),
    }
}
