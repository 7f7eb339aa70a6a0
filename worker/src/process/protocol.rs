//! What engine and keeper say to each other: one SEQPACKET message per request, several events to a message.
//!
//! Private to this folder and never stored: both ends are the same program, forked. So there is no version, and a
//! message that cannot be read is a bug, which ends the connection. Integers are little-endian, byte strings have a
//! 32-bit length. A request longer than `INLINE` travels in a memory file that is passed as the first descriptor.

mod event;
mod request;

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;

pub(super) use event::{decode_events, encode_event};
pub(super) use request::{Order, Request};

/// The longest message on the socket.
pub(super) const INLINE: usize = 32 * 1024;
/// A child's descriptors have numbers below this; the keeper's own are never below it.
pub(super) const CHILD_FDS: i32 = 32;
/// The most descriptors in one message: a child's, and the memory file of a long request.
pub(super) const MAX_PASSED: usize = CHILD_FDS as usize + 1;

/// NUL-terminated strings, one after the other: what `execve` wants, without an allocation for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Strings(Vec<u8>);

impl Strings {
    /// Appends the pieces as one string; refuses a NUL inside.
    pub(super) fn push(&mut self, pieces: &[&OsStr]) -> Result<(), ContainsNul> {
        for piece in pieces {
            if piece.as_bytes().contains(&0) {
                return Err(ContainsNul(piece.to_string_lossy().into_owned()));
            }
            self.0.extend_from_slice(piece.as_bytes());
        }
        self.0.push(0);
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CStr> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let string = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[string.to_bytes_with_nul().len()..];
            Some(string)
        })
    }
}

/// A string for the operating system has a NUL byte inside.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} contains a NUL byte; no program can be given that")]
pub struct ContainsNul(String);

/// Writes the fields of a message.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    fn integer(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        let length =
            u32::try_from(value.len()).expect("the kernel's limits on arguments are far below 4 GiB");
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(value);
    }
}

fn signed(out: &mut Writer, value: i32) {
    out.integer(i64::from(value).cast_unsigned());
}

/// Reads them back.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(unreadable)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn integer(&mut self) -> io::Result<u64> {
        let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
        Ok(u64::from_le_bytes(bytes))
    }

    fn signed(&mut self) -> io::Result<i32> {
        i32::try_from(self.integer()?.cast_signed()).map_err(|_| unreadable())
    }

    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken"));
        self.take(length as usize)
    }

    fn text(&mut self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    fn strings(&mut self) -> io::Result<Strings> {
        Ok(Strings(self.bytes()?.to_vec()))
    }
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "engine and keeper do not understand each other")
}

#[cfg(test)]
mod tests;
