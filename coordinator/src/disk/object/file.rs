//! A file on an object store: durable segments, and behind them what has been written since.
//!
//! Invariants: what is durable is never overwritten with anything else, only cut off or appended to; every byte that
//! is read of a segment as a whole was checked against its CRC.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use shared::checkpoint::ReadAt;

use super::{
    family::Family,
    manifest::{FileEntry, Segment},
};
use crate::disk::DiskFile;

/// So much is kept in memory before it is uploaded.
const SEGMENT: usize = 32 << 20;
/// Segments below this length are put together ..
const SMALL: u64 = 1 << 20;
/// .. when there are so many of them.
const MANY: usize = 32;
/// What is read at once, unless more is asked for.
const BLOCK: u64 = 256 << 10;

/// See the module.
pub struct ObjectFile {
    family: Arc<Family>,
    suffix: String,
    id: u64,
    view: Mutex<View>,
}

/// The file as this handle sees it.
struct View {
    segments: Vec<Segment>,
    /// Behind the segments; not durable.
    pending: Vec<u8>,
    block: Option<Block>,
}

/// A part of a segment that has been read.
struct Block {
    segment: String,
    at: u64,
    bytes: Bytes,
}

impl ObjectFile {
    pub fn new(family: Arc<Family>, suffix: &str, entry: FileEntry) -> ObjectFile {
        let view = View { segments: entry.segments, pending: Vec::new(), block: None };
        ObjectFile { family, suffix: suffix.to_owned(), id: entry.id, view: Mutex::new(view) }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// At least one byte of a segment, from `skip` on.
    fn part(&self, view: &mut View, segment: &Segment, skip: u64, wanted: usize) -> io::Result<Bytes> {
        if let Some(block) = &view.block
            && block.segment == segment.name
            && let Some(into) = skip.checked_sub(block.at)
            && into < block.bytes.len() as u64
        {
            return Ok(block.bytes.slice(into as usize..));
        }
        // A short one is read as a whole, so that it is checked.
        let at = if segment.len <= BLOCK { 0 } else { skip };
        let len = (wanted as u64).max(BLOCK).min(segment.len - at);
        let bytes = self.fetch(segment, at, len)?;
        view.block = Some(Block { segment: segment.name.clone(), at, bytes: bytes.clone() });
        Ok(bytes.slice((skip - at) as usize..))
    }

    fn fetch(&self, segment: &Segment, at: u64, len: u64) -> io::Result<Bytes> {
        let bytes =
            self.family.store().get_range(&self.family.segment_key(&segment.name), at, len as usize)?;
        let whole = len == segment.len;
        if bytes.len() as u64 != len || (whole && crc32fast::hash(&bytes) != segment.crc) {
            let why = format!("segment {} is not as it was written", segment.name);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(bytes)
    }

    fn read(&self, view: &mut View, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        let mut start = 0;
        for index in 0..view.segments.len() {
            let end = start + view.segments[index].len;
            while filled < into.len() && (start..end).contains(&(at + filled as u64)) {
                let segment = view.segments[index].clone();
                let part = self.part(view, &segment, at + filled as u64 - start, into.len() - filled)?;
                let count = part.len().min(into.len() - filled);
                into[filled..filled + count].copy_from_slice(&part[..count]);
                filled += count;
            }
            start = end;
        }
        if let Some(skip) = (at + filled as u64).checked_sub(start) {
            filled += view.pending[..].read_at(skip, &mut into[filled..])?;
        }
        Ok(filled)
    }

    /// A writer has put segments together that this reader wants: shows it what there is now.
    fn look_again(&self, view: &mut View) -> io::Result<()> {
        match self.family.published_meanwhile(&self.suffix)? {
            Some(entry) if entry.id == self.id && entry.len() >= view.durable() => {
                view.segments = entry.segments;
                Ok(())
            }
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "one of its segments is gone; if somebody is writing it, read it again",
            )),
        }
    }

    /// Takes the last segments back into memory if they are many and small, so that there never are too many.
    fn gather(&self, view: &mut View) -> io::Result<()> {
        let small = view.segments.iter().rev().take_while(|segment| segment.len < SMALL).count();
        if small >= MANY {
            let first = view.segments.len() - small;
            self.take_back(view, first)?;
        }
        Ok(())
    }

    /// Takes the segments from this one on back into memory.
    fn take_back(&self, view: &mut View, first: usize) -> io::Result<()> {
        let mut bytes = Vec::new();
        for segment in &view.segments[first..] {
            bytes.extend_from_slice(&self.fetch(segment, 0, segment.len)?);
        }
        bytes.append(&mut view.pending);
        view.segments.truncate(first);
        view.pending = bytes;
        Ok(())
    }

    fn upload(&self, view: &mut View) -> io::Result<()> {
        if !view.pending.is_empty() {
            let segment = self.family.upload(std::mem::take(&mut view.pending).into())?;
            view.segments.push(segment);
        }
        Ok(())
    }

    /// How many of `bytes` are durable at `at` already. A checkpoint writes its end once more after a crash, since a
    /// disk may have forgotten it; a store does not.
    fn durable_already(&self, view: &mut View, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let durable = view.durable().saturating_sub(at).min(bytes.len() as u64) as usize;
        let mut there = vec![0; durable];
        if self.read(view, at, &mut there)? == durable && there == bytes[..durable] {
            return Ok(durable);
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "what is in an object store is not overwritten"))
    }
}

impl View {
    fn durable(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

impl ReadAt for ObjectFile {
    fn len(&self) -> io::Result<u64> {
        let view = self.view();
        Ok(view.durable() + view.pending.len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut view = self.view();
        match self.read(&mut view, at, into) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.look_again(&mut view)?;
                self.read(&mut view, at, into)
            }
            read => read,
        }
    }
}

impl DiskFile for ObjectFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut view = self.view();
        let known = self.durable_already(&mut view, at, bytes)?;
        if known == bytes.len() {
            return Ok(());
        }
        let into = (at + known as u64 - view.durable()) as usize;
        let end = into + bytes.len() - known;
        if view.pending.len() < end {
            view.pending.resize(end, 0);
        }
        view.pending[into..end].copy_from_slice(&bytes[known..]);
        if view.pending.len() < SEGMENT {
            return Ok(());
        }
        self.upload(&mut view).inspect_err(|_| self.family.give_up())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut view = self.view();
        self.gather(&mut view)
            .and_then(|()| self.upload(&mut view))
            .and_then(|()| self.family.publish_file(self.id, &view.segments))
            .inspect_err(|_| self.family.give_up())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut view = self.view();
        let mut start = view.durable();
        while start > len {
            let last = view.segments.len() - 1;
            start -= view.segments[last].len;
            if start < len {
                self.take_back(&mut view, last)?;
            } else {
                view.segments.truncate(last);
                view.pending.clear();
            }
        }
        view.pending.truncate((len - start) as usize);
        Ok(())
    }
}
