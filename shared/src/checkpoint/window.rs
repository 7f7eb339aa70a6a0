//! A moving window over something that can be read: many small reads, one behind the other, cost few large ones.

use std::io;

use super::ReadAt;

/// What is read at once, unless more is asked for.
const WINDOW: usize = 128 << 10;

/// A window over a source.
pub struct Window<'a, S: ?Sized> {
    source: &'a S,
    /// Where the source ends.
    end: u64,
    start: u64,
    bytes: Vec<u8>,
    filled: usize,
}

impl<'a, S: ReadAt + ?Sized> Window<'a, S> {
    /// A window that has read nothing yet, over a source that ends at `end`.
    pub fn new(source: &'a S, end: u64) -> Window<'a, S> {
        Window { source, end, start: 0, bytes: Vec::new(), filled: 0 }
    }

    /// `len` bytes from `at` on; fewer only where the source ends.
    ///
    pub fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let inside = at
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|&skip| skip <= self.filled)
            .filter(|skip| skip.checked_add(len).is_some_and(|end| end <= self.filled || self.is_last()));
        let skip = match inside {
            Some(skip) => skip,
            None => {
                self.fill(at, len)?;
                0
            }
        };
        let end = self.filled.min(skip + len);
        Ok(&self.bytes[skip..end])
    }

    /// Whether nothing follows on what was read.
    fn is_last(&self) -> bool {
        self.start + self.filled as u64 >= self.end
    }

    fn fill(&mut self, at: u64, len: usize) -> io::Result<()> {
        let rest = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
        let len = len.max(WINDOW).min(rest);
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        self.filled = 0;
        self.filled = self.source.read_at(at, &mut self.bytes[..len])?;
        self.start = at;
        Ok(())
    }
}
