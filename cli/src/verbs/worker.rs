//! `maniple worker`: the processes of this machine for a coordinator.

use crate::{args::Worker, fault::Fault};

/// Carries out the verb.
pub fn run(_args: &Worker) -> Result<u8, Fault> {
    Err(Fault::internal("not connected yet"))
}
