//! `maniple checkpoint ...`: one file per tool. What a tool writes is a new file; none changes one in place.
//!
//! [`files`] opens a checkpoint, [`reading`] walks over it, [`new_file`] makes one; [`rows`], [`hashes`] and [`lost`] are
//! what goes between.

mod compact;
mod diff;
mod export;
mod failures;
mod files;
mod hashes;
mod import;
mod info;
mod lost;
mod merge;
mod meter;
mod new_file;
mod reading;
mod repair;
mod rows;
mod verify;

use crate::{args::checkpoint::Checkpoint, fault::Fault};

/// Exit code: a checkpoint, or what was given as one, is damaged.
const DAMAGED: u8 = 3;

/// Carries out a tool; the exit code.
pub fn run(tool: &Checkpoint) -> Result<u8, Fault> {
    match tool {
        Checkpoint::Info(args) => info::run(args),
        Checkpoint::Verify(args) => verify::run(args),
        Checkpoint::Repair(args) => repair::run(args),
        Checkpoint::Compact(args) => compact::run(args),
        Checkpoint::Failures(args) => failures::run(args),
        Checkpoint::Merge(args) => merge::run(args),
        Checkpoint::Diff(args) => diff::run(args),
        Checkpoint::Export(args) => export::run(args),
        Checkpoint::Import(args) => import::run(args),
    }
}
