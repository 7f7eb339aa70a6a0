//! `maniple run`: coordinator, worker and client in one engine, under a keeper.

use crate::{args::Run, fault::Fault};

/// Carries out the verb.
pub fn run(_args: &Run) -> Result<u8, Fault> {
    Err(Fault::internal("not connected yet"))
}
