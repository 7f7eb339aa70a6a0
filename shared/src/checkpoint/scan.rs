//! Finds the frames of a file, and what lies between them that is none.
//!
//! A frame is believed once its checksum, its tag and its number are right. Where none begins, the scanner looks on for
//! the next one. It does not read bodies and does not judge damage; that is [`inspect`](super::inspect)'s.
//!
//! Invariants: positions only grow; memory is bounded by one head, which is no longer than the file; so is time by its
//! length, whatever lies in it.

use std::{fmt, io, ops::Range};

use super::{
    ReadAt,
    frame::{self, FIXED, FrameHeader, MARKER},
    head::{Blob, Head, HeadError},
    sums::{STRIDE, Sums},
    window::Window,
};

/// A head that takes no longer to read than to be told by [`Sums`].
const SHORT: u64 = 4 * STRIDE;

/// A frame whose fixed part and head are sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameAt {
    /// Where it begins.
    pub offset: u64,
    /// Its fixed part.
    pub header: FrameHeader,
}

impl FrameAt {
    /// One past its last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.header.frame_len()
    }

    /// Where a blob of it lies in the file, without padding.
    #[must_use]
    pub fn range(&self, blob: &Blob) -> Range<u64> {
        let start = self.offset + self.header.body_at() + blob.at;
        start..start + blob.len
    }
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where the frame begins that has it, or where one should begin.
    pub frame: u64,
    /// The bytes concerned.
    pub range: Range<u64>,
    /// What it is.
    pub what: What,
}

/// A kind of damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The file ends within a frame.
    Torn,
    /// No frame can be made out; how many are missing, if later ones tell.
    NoFrame(Option<u64>),
    /// Frames are missing between two that are next to each other.
    Gap(u64),
    /// A sound frame holds what it must not.
    Malformed,
    /// The keys of so many tasks.
    Keys(u32),
    /// Values or stories of so many tasks, and the first few keys.
    Outcomes(u32, Vec<String>),
    /// A frame that holds no rows, such as an index.
    NoRows,
    /// A sound frame of a newer version.
    Newer,
}

impl What {
    /// Whether a crash can have left it: bytes that are missing or wrong, not bytes that are wrong by intent.
    #[must_use]
    pub fn is_left_by_a_crash(&self) -> bool {
        match self {
            What::Torn | What::NoFrame(_) | What::Keys(_) | What::Outcomes(..) | What::NoRows => true,
            What::Gap(_) | What::Malformed | What::Newer => false,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}..{}: ", self.range.start, self.range.end)?;
        match &self.what {
            What::Torn => f.write_str("the file ends within a frame"),
            What::NoFrame(None) => f.write_str("no frame can be read"),
            What::NoFrame(Some(frames)) => write!(f, "{frames} frames cannot be read"),
            What::Gap(frames) => write!(f, "{frames} frames are missing"),
            What::Malformed => f.write_str("a frame breaks the rules of the format"),
            What::Keys(rows) => write!(f, "the keys of {rows} tasks"),
            What::Outcomes(rows, first) => {
                write!(f, "outcomes of {rows} tasks ({}", first.join(", "))?;
                f.write_str(if (*rows as usize) > first.len() { ", ..)" } else { ")" })
            }
            What::NoRows => f.write_str("a frame without outcomes, such as an index"),
            What::Newer => f.write_str("made by a newer version"),
        }
    }
}

/// What comes next in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A frame.
    Frame(FrameAt),
    /// Something else.
    Damage(Damage),
}

/// What is at an offset.
enum Found {
    Frame(FrameAt),
    Torn,
    Nothing,
}

/// Walks over a file, see the module.
pub struct Scanner<'a, S: ?Sized> {
    window: Window<'a, S>,
    sums: Sums<'a, S>,
    len: u64,
    at: u64,
    tag: Option<u32>,
    sequence: u64,
    found: Option<FrameAt>,
}

impl<'a, S: ReadAt + ?Sized> Scanner<'a, S> {
    /// Walks from `start` to `len`. Without a tag, that of the first frame found is taken.
    pub fn new(source: &'a S, start: u64, len: u64, tag: Option<u32>) -> Scanner<'a, S> {
        let (window, sums) = (Window::new(source, len), Sums::new(source));
        Scanner { window, sums, len, at: start, tag, sequence: 0, found: None }
    }

    /// The next step; `None` at the end.
    pub fn step(&mut self) -> io::Result<Option<Step>> {
        if let Some(frame) = self.found.take() {
            return Ok(Some(self.accept(frame)));
        }
        if self.at >= self.len {
            return Ok(None);
        }
        let start = self.at;
        let what = match self.look(start)? {
            Found::Frame(frame) if frame.header.sequence == self.sequence => {
                return Ok(Some(self.accept(frame)));
            }
            Found::Frame(frame) => {
                let missing = frame.header.sequence - self.sequence;
                self.found = Some(frame);
                What::Gap(missing)
            }
            Found::Torn => {
                self.search(start + 1)?;
                if self.found.is_some() { self.unreadable() } else { What::Torn }
            }
            Found::Nothing => {
                self.search(start + 1)?;
                self.unreadable()
            }
        };
        let end = self.found.map_or(self.len, |frame| frame.offset);
        self.at = end;
        Ok(Some(Step::Damage(Damage { frame: start, range: start..end, what })))
    }

    fn unreadable(&self) -> What {
        What::NoFrame(
            self.found.map(|frame| frame.header.sequence - self.sequence).filter(|&frames| frames > 0),
        )
    }

    fn accept(&mut self, frame: FrameAt) -> Step {
        self.at = frame.end();
        self.sequence = frame.header.sequence.saturating_add(1);
        self.tag = Some(frame.header.tag);
        Step::Frame(frame)
    }

    /// The number that the next frame should have.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// Looks for a frame at this very place.
    fn look(&mut self, at: u64) -> io::Result<Found> {
        let Some(header) = FrameHeader::peek(self.window.get(at, FIXED)?) else { return Ok(Found::Nothing) };
        let expected = self.tag.is_none_or(|tag| tag == header.tag) && header.sequence >= self.sequence;
        if !expected || header.body_at() > self.len - at {
            return Ok(Found::Nothing);
        }
        if !self.is_sound(at, &header)? {
            return Ok(Found::Nothing);
        }
        if header.frame_len() > self.len - at {
            return Ok(Found::Torn);
        }
        Ok(Found::Frame(FrameAt { offset: at, header }))
    }

    /// Whether the checksum of a head within the file is right.
    fn is_sound(&mut self, at: u64, header: &FrameHeader) -> io::Result<bool> {
        let len = header.body_at();
        if len <= SHORT {
            let bytes = self.window.get(at, len as usize)?;
            return Ok(bytes.len() as u64 == len && frame::is_sound(bytes));
        }
        let head = self.sums.of(at + FIXED as u64..at + len)?;
        let fixed = self.window.get(at, FIXED)?;
        let is_sound = |head| fixed.len() == FIXED && frame::is_sound_with(fixed, head, len - FIXED as u64);
        Ok(head.is_some_and(is_sound))
    }

    /// Looks for the next frame from `at` on.
    fn search(&mut self, mut at: u64) -> io::Result<()> {
        const STRETCH: usize = 64 << 10;
        while at < self.len {
            let stretch = self.window.get(at, STRETCH)?;
            if stretch.len() < FIXED {
                return Ok(());
            }
            let marker = stretch.windows(MARKER.len()).position(|bytes| bytes == MARKER);
            match marker {
                None => at += (stretch.len() - (MARKER.len() - 1)) as u64,
                Some(skip) => {
                    at += skip as u64;
                    if let Found::Frame(frame) = self.look(at)? {
                        self.found = Some(frame);
                        return Ok(());
                    }
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// The head of a frame that this scanner found.
    pub fn head(&mut self, frame: &FrameAt) -> io::Result<Result<Head, HeadError>> {
        let len = FIXED + frame.header.head_len as usize;
        let bytes = self.window.get(frame.offset, len)?;
        Ok(match bytes.get(FIXED..len) {
            Some(head) => Head::decode(head, frame.header.body_len),
            None => Err(HeadError::Malformed),
        })
    }
}
