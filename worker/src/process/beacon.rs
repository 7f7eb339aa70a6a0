//! The beacon: one page of memory shared with a child, by which its parent knows which task it runs, without a word.
//!
//! Three words, in this order: the ordinal of the task that the child is about to run (from 1 over its life, 0 = idle);
//! `stop`, the first ordinal that it must not begin; `committed`, the end of the stretch of ordinals that it runs
//! without looking at `stop` again. The child writes the first and the third, the parent the second. The page outlives
//! the child, so after its death the first word says what killed it.
//!
//! Taking work back: the child stores `committed`, *then* reads `stop`; the parent stores `stop`, then reads
//! `committed`; what lies beyond both was never begun. The child's side has no fence, so its store may still be on its
//! way when it reads: the parent must let some time pass (a tick, a millisecond) before it believes `committed`.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

use super::sys::SharedPage;

const RUNNING: usize = 0;
const STOP: usize = 1;
const COMMITTED: usize = 2;

/// The parent's view of the page.
#[derive(Debug)]
pub struct Beacon(SharedPage);

impl Beacon {
    /// The value of `stop` that forbids nothing.
    pub const NO_BOUND: u64 = u64::MAX;

    /// A fresh page, and the descriptor of it to pass to the child. Its size is sealed: a child that cut the file would
    /// kill its parent at the next glance.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let file = memfd_create("maniple-beacon", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        ftruncate(&file, SharedPage::BYTES as i64)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let beacon = Self(SharedPage::map(&file)?);
        beacon.set_stop(Self::NO_BOUND);
        Ok((beacon, file))
    }

    /// The ordinal of the task that the child runs, or ran when it died; `None` while it is idle.
    pub fn running(&self) -> Option<u64> {
        Some(self.0.word(RUNNING).load(Ordering::SeqCst)).filter(|ordinal| *ordinal != 0)
    }

    /// The first ordinal beyond the stretch that the child will run whatever `stop` says.
    pub fn committed(&self) -> u64 {
        self.0.word(COMMITTED).load(Ordering::SeqCst)
    }

    /// Forbids the child to begin the task with this ordinal, and all after it.
    pub fn set_stop(&self, ordinal: u64) {
        self.0.word(STOP).store(ordinal, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
