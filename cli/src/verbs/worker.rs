//! `maniple worker`.

use crate::args::Worker;

/// Carries out the verb.
pub fn run(_args: Worker) -> anyhow::Result<u8> {
    anyhow::bail!("'maniple worker' is not connected yet")
}
