//! Lines of a file, and tasks that are lines of text.
//!
//! A line ends in LF or CRLF, the last one may end with the file; a byte order mark at the start is left out. A task
//! of text is the line as it stands, spaces included; an empty line is no task.

use std::io::Read;

use super::{
    KEY_LIMIT, Room, TOO_LONG,
    error::{Fault, check_utf8},
    input::{BLOCK, Input},
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What comes next in a file of lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// Nothing that is there already: reading on would wait.
    Dry,
    /// The file's end.
    End,
}

/// Reads lines.
///
/// Invariant: `buffer[start..end]` is what has been read and not yet handed out; it has no line end before `searched`.
#[derive(Debug)]
pub(super) struct Lines {
    input: Input,
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
    end: usize,
    ended: bool,
    number: u64,
}

impl Lines {
    pub(super) fn new(input: Input) -> Lines {
        Lines { input, buffer: vec![0; BLOCK], start: 0, searched: 0, end: 0, ended: false, number: 0 }
    }

    /// The number of the line that [`next`](Self::next) returned, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line. With `wait`, never [`Next::Dry`].
    #[inline]
    pub(super) fn next(&mut self, wait: bool) -> Result<Next<'_>, Fault> {
        loop {
            if let Some(length) = self.buffer[self.searched..self.end].iter().position(|&byte| byte == b'\n')
            {
                let from = self.start;
                let to = self.searched + length;
                self.start = to + 1;
                self.searched = self.start;
                self.number += 1;
                self.check_length(to - from)?;
                return Ok(Next::Line(trim(&self.buffer[from..to], self.number)));
            }
            self.searched = self.end;
            if self.ended {
                let from = std::mem::replace(&mut self.start, self.end);
                if from == self.end {
                    return Ok(Next::End);
                }
                self.number += 1;
                self.check_length(self.end - from)?;
                return Ok(Next::Line(trim(&self.buffer[from..self.end], self.number)));
            }
            if !wait && !self.input.is_ready() {
                return Ok(Next::Dry);
            }
            self.read_more()?;
        }
    }

    fn check_length(&self, length: usize) -> Result<(), Fault> {
        if length > KEY_LIMIT { Err(Fault::Line(self.number, TOO_LONG.to_owned())) } else { Ok(()) }
    }

    #[cold]
    fn read_more(&mut self) -> Result<(), Fault> {
        if self.end - self.start > KEY_LIMIT {
            return Err(Fault::Line(self.number + 1, TOO_LONG.to_owned()));
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.searched -= self.start;
        self.start = 0;
        if self.buffer.len() - self.end < BLOCK / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let count = self.input.read(&mut self.buffer[self.end..]).map_err(Fault::Read)?;
        self.end += count;
        self.ended = count == 0;
        Ok(())
    }
}

fn trim(line: &[u8], number: u64) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line }
}

/// Reads tasks that are lines of text.
#[derive(Debug)]
pub(super) struct TextLines {
    lines: Lines,
}

impl TextLines {
    pub(super) fn new(lines: Lines) -> TextLines {
        TextLines { lines }
    }

    pub(super) fn read(&mut self, keys: &mut Vec<u8>, room: Room) -> Result<u32, Fault> {
        let mut count = 0;
        while room.is_left(count, keys) {
            match self.lines.next(count == 0)? {
                Next::Line(b"") => {}
                Next::Line(line) => {
                    let start = keys.len();
                    let put = |text| rmp::encode::write_str(keys, text).expect("memory takes every write");
                    let checked = check_utf8(line).map(put).and_then(|()| room.check_key(keys, start));
                    checked.map_err(|what| Fault::Line(self.lines.number(), what))?;
                    count += 1;
                }
                Next::Dry | Next::End => break,
            }
        }
        Ok(count)
    }
}
