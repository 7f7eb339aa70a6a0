//! Tasks that are MessagePack values, one behind the other: the keys themselves, taken over byte for byte.
//!
//! A file is always a stream of keys, whatever the keys are: an array at the top is one task with its positional
//! arguments, never a list of tasks. Bytes are not rewritten: who writes the same integer in two widths has two tasks.

use std::io::Read;

use shared::msgpack;

use super::{
    KEY_LIMIT, Room, TOO_LONG,
    error::Fault,
    input::{BLOCK, Input},
};

/// From so many elements on, a file of a single array looks like a list of tasks.
const LOOKS_LIKE_A_LIST: u64 = 16;

/// Reads tasks that are MessagePack values.
///
/// Invariant: `buffer[start..end]` is what has been read and not yet handed out; `offset` is the place of `start`.
#[derive(Debug)]
pub(super) struct PackedKeys {
    input: Input,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    offset: u64,
    number: u64,
    /// Elements of the first key, if that is an array.
    first_array: u64,
}

impl PackedKeys {
    pub(super) fn new(input: Input) -> PackedKeys {
        let buffer = vec![0; BLOCK];
        PackedKeys { input, buffer, start: 0, end: 0, ended: false, offset: 0, number: 0, first_array: 0 }
    }

    /// What to say if the file holds a single array.
    pub(super) fn note(&self) -> Option<String> {
        (self.number == 1 && self.first_array >= LOOKS_LIKE_A_LIST).then(|| {
            format!(
                "one task with {} arguments; for a task per element write the elements one behind the other, \
                 not as an array",
                self.first_array
            )
        })
    }

    pub(super) fn read(&mut self, keys: &mut Vec<u8>, room: Room) -> Result<u32, Fault> {
        let mut count = 0;
        while room.is_left(count, keys) {
            let whole = msgpack::value_len(&self.buffer[self.start..self.end]);
            match whole {
                Ok(length) if length <= KEY_LIMIT => {
                    let key = &self.buffer[self.start..self.start + length];
                    if self.number == 0 {
                        self.first_array = msgpack::array_header(key).map_or(0, |(_, count)| count);
                    }
                    keys.extend_from_slice(key);
                    self.start += length;
                    self.offset += length as u64;
                    self.number += 1;
                    count += 1;
                }
                Ok(_) => return Err(self.fault(TOO_LONG.to_owned())),
                // Perhaps only the rest of it has not been read yet.
                Err(_) if !self.ended && self.end - self.start <= KEY_LIMIT => self.read_more()?,
                Err(_) if self.start == self.end => break,
                Err(malformed) => return Err(self.fault(malformed.to_string())),
            }
        }
        Ok(count)
    }

    fn fault(&self, what: String) -> Fault {
        Fault::Key(self.number + 1, self.offset, what)
    }

    fn read_more(&mut self) -> Result<(), Fault> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end > self.buffer.len() / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let count = self.input.read(&mut self.buffer[self.end..]).map_err(Fault::Read)?;
        self.end += count;
        self.ended = count == 0;
        Ok(())
    }
}
