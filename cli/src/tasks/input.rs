//! The bytes of a task file: a regular file or standard input, read in large blocks.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::Path,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Bytes asked of the operating system at once.
pub(super) const BLOCK: usize = 256 << 10;

/// An open task file.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
}

impl Input {
    pub(super) fn file(path: &Path) -> io::Result<Input> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
        }
        Ok(Input { file })
    }

    /// Standard input, past the standard library's small buffer.
    pub(super) fn stdin() -> io::Result<Input> {
        Ok(Input::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// Whether a read would return at once.
    pub(super) fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        // If the question fails, reading will tell.
        poll(&mut fds, PollTimeout::ZERO) != Ok(0)
    }

    /// The number of the line that starts at `offset`, or below it after empty lines. Reads the file again, up to
    /// there.
    pub(super) fn line_at(&self, offset: u64) -> io::Result<u64> {
        let mut block = vec![0; BLOCK];
        let (mut at, mut line) = (0, 1);
        loop {
            let count = self.file.read_at(&mut block, at)?;
            for &byte in &block[..count] {
                if at >= offset && byte != b'\n' && byte != b'\r' {
                    return Ok(line);
                }
                line += u64::from(byte == b'\n');
                at += 1;
            }
            if count == 0 {
                return Ok(line);
            }
        }
    }
}

impl From<OwnedFd> for Input {
    fn from(fd: OwnedFd) -> Input {
        Input { file: File::from(fd) }
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
