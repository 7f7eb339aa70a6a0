//! A disk in memory for tests: it keeps what is seen and what would survive a power failure apart.
//!
//! Unsynced writes may survive whole, in part, or not at all, in any order; unsynced names survive up to some point.
//! Calls that change something are counted, and one of them can be made to fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use shared::checkpoint::ReadAt;

use super::{Disk, DiskFile, Lock, LockError};

const SECTOR: usize = 512;

/// What goes wrong at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// From this call on the machine is gone.
    Power,
    /// An I/O error, once. If it is a sync, the kernel calls the pages clean although they never reached the disk.
    Error,
    /// No room, once: half of a write fits. A sync that finds none fails like one with an I/O error.
    Full,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Power | Fault::Error => io::Error::from_raw_os_error(5),
            Fault::Full => io::ErrorKind::StorageFull.into(),
        }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Naming {
    Give(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

type Names = BTreeMap<PathBuf, usize>;

#[derive(Debug, Clone, Default)]
struct State {
    inodes: Vec<Inode>,
    names: Names,
    durable_names: Names,
    pending_names: Vec<Naming>,
    locks: BTreeSet<PathBuf>,
    calls: u64,
    fault: Option<(u64, Fault)>,
    capacity: Option<usize>,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

/// A generator of chances (splitmix64), so that each crash image has a number.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    match change {
        Change::Cut(len) => bytes.resize(*len as usize, 0),
        Change::Write(at, written) => put(bytes, *at as usize, written),
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    let end = at + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(written);
}

fn name(naming: &Naming, names: &mut Names) {
    match naming {
        Naming::Give(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        Naming::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Naming::Remove(path) => {
            names.remove(path);
        }
    }
}

impl Inode {
    /// What may be there after a power failure.
    fn crash(&self, chance: &mut Chance) -> Inode {
        let mut bytes = self.durable.clone();
        let mut pending = self.pending.clone();
        let style = chance.below(4);
        while !pending.is_empty() {
            // Style 0 loses all, 1 keeps all, the others reorder and tear.
            let next = if style == 1 { 0 } else { chance.below(pending.len()) };
            let change = pending.remove(next);
            match (style, &change) {
                (0, _) => {}
                (1, _) => apply(&change, &mut bytes),
                (_, Change::Cut(_)) if chance.below(2) == 0 => {}
                (_, Change::Cut(_)) => apply(&change, &mut bytes),
                (_, Change::Write(at, written)) => tear(&mut bytes, *at as usize, written, chance),
            }
        }
        Inode { live: bytes.clone(), durable: bytes, pending: Vec::new() }
    }
}

fn tear(bytes: &mut Vec<u8>, at: usize, written: &[u8], chance: &mut Chance) {
    match chance.below(4) {
        0 => {}
        1 => put(bytes, at, written),
        2 => put(bytes, at, &written[..chance.below(written.len() + 1)]),
        _ => {
            for (index, sector) in written.chunks(SECTOR).enumerate() {
                if chance.below(2) == 0 {
                    put(bytes, at + index * SECTOR, sector);
                }
            }
        }
    }
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the disk")
    }

    /// Lets the call with this number fail, counted from the disk's first one, 0.
    pub fn fail(&self, call: u64, fault: Fault) {
        self.state().fault = Some((call, fault));
    }

    /// How many calls have changed something, or tried.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Bounds each file's length.
    pub fn set_capacity(&self, capacity: Option<usize>) {
        self.state().capacity = capacity;
    }

    /// A disk as it may be after a power failure; each seed is another one.
    pub fn crash(&self, seed: u64) -> MemoryDisk {
        let state = self.state();
        let mut chance = Chance(seed);
        let mut names = state.durable_names.clone();
        let kept = chance.below(state.pending_names.len() + 1);
        state.pending_names[..kept].iter().for_each(|naming| name(naming, &mut names));
        let inodes = state.inodes.iter().map(|inode| inode.crash(&mut chance)).collect();
        MemoryDisk(Arc::new(Mutex::new(State {
            inodes,
            durable_names: names.clone(),
            names,
            ..State::default()
        })))
    }

    /// The disk as another process of the same machine sees it after this one was killed.
    pub fn kill(&self) -> MemoryDisk {
        let mut state = self.state().clone();
        state.locks.clear();
        state.fault = None;
        MemoryDisk(Arc::new(Mutex::new(state)))
    }

    /// What is seen in a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|&inode| state.inodes[inode].live.clone())
    }

    /// Puts a durable file there.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let inode = state.inodes.len();
        state.inodes.push(Inode { live: bytes.to_vec(), durable: bytes.to_vec(), pending: Vec::new() });
        state.names.insert(path.to_owned(), inode);
        state.durable_names.insert(path.to_owned(), inode);
    }

    /// All names that are seen.
    pub fn names(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }
}

impl State {
    /// Counts a call; whether it fails, and how.
    fn call(&mut self) -> Option<Fault> {
        let call = self.calls;
        self.calls += 1;
        self.fault
            .filter(|&(chosen, fault)| call == chosen || (fault == Fault::Power && call > chosen))
            .map(|f| f.1)
    }

    fn give_name(&mut self, naming: Naming) -> io::Result<()> {
        match self.call() {
            Some(fault @ (Fault::Error | Fault::Full)) => return Err(fault.error()),
            Some(fault @ Fault::Power) => {
                self.pending_names.push(naming);
                return Err(fault.error());
            }
            None => {}
        }
        name(&naming, &mut self.names);
        self.pending_names.push(naming);
        Ok(())
    }
}

struct MemoryFile(MemoryDisk, usize);

impl ReadAt for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state().inodes[self.1].live.len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.state().inodes[self.1].live[..].read_at(at, into)
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.state();
        let fault = state.call();
        let room = match fault {
            Some(Fault::Full) => bytes.len() / 2,
            _ => state.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(at as usize)),
        };
        let fits = &bytes[..bytes.len().min(room)];
        if fault != Some(Fault::Error) {
            let inode = &mut state.inodes[self.1];
            put(&mut inode.live, at as usize, fits);
            inode.pending.push(Change::Write(at, fits.to_vec()));
        }
        match fault {
            Some(fault) => Err(fault.error()),
            None if fits.len() < bytes.len() => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.state();
        let fault = state.call();
        let inode = &mut state.inodes[self.1];
        match fault {
            Some(fault @ Fault::Power) => Err(fault.error()),
            Some(fault @ (Fault::Error | Fault::Full)) => {
                inode.pending.clear();
                Err(fault.error())
            }
            None => {
                inode.pending.iter().for_each(|change| apply(change, &mut inode.durable));
                inode.pending.clear();
                Ok(())
            }
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.0.state();
        let fault = state.call();
        let inode = &mut state.inodes[self.1];
        if matches!(fault, None | Some(Fault::Power)) {
            inode.live.truncate(len as usize);
            inode.pending.push(Change::Cut(len));
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }
}

struct MemoryLock(MemoryDisk, PathBuf);

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.0.state().locks.remove(&self.1);
    }
}

impl Disk for MemoryDisk {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        let inode = self.state().names.get(path).copied();
        Ok(inode.map(|inode| Box::new(MemoryFile(self.clone(), inode)) as Box<dyn DiskFile>))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.give_name(Naming::Give(path.to_owned(), inode))?;
        drop(state);
        Ok(Box::new(MemoryFile(self.clone(), inode)))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state().names.contains_key(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().give_name(Naming::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().give_name(Naming::Remove(path.to_owned()))
    }

    fn sync_folder_of(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Some(fault) = state.call() {
            return Err(fault.error());
        }
        state.durable_names = state.names.clone();
        state.pending_names.clear();
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        if !self.state().locks.insert(path.to_owned()) {
            return Err(LockError::Held("a test".into()));
        }
        Ok(Box::new(MemoryLock(self.clone(), path.to_owned())))
    }

    fn unix_ms(&self) -> u64 {
        1_709_251_198_000
    }

    fn random(&self) -> io::Result<[u8; 16]> {
        Ok((self.calls() as u128 + 1).to_le_bytes())
    }
}
