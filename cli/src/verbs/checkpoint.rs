//! `maniple checkpoint ...`.

use crate::args::CheckpointInfo;

/// `maniple checkpoint info`.
pub fn info(_args: CheckpointInfo) -> anyhow::Result<u8> {
    anyhow::bail!("'maniple checkpoint info' is not connected yet")
}
