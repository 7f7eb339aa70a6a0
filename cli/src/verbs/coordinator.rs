//! `maniple coordinator`.

use crate::args::Coordinator;

/// Carries out the verb.
pub fn run(_args: Coordinator) -> anyhow::Result<u8> {
    anyhow::bail!("'maniple coordinator' is not connected yet")
}
