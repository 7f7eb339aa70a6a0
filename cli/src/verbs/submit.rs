//! `maniple submit`.

use crate::args::Submit;

/// Carries out the verb.
pub fn run(_args: Submit) -> anyhow::Result<u8> {
    anyhow::bail!("'maniple submit' is not connected yet")
}
