//! `maniple run`.

use crate::args::Run;

/// Carries out the verb.
pub fn run(_args: Run) -> anyhow::Result<u8> {
    anyhow::bail!("'maniple run' is not connected yet")
}
