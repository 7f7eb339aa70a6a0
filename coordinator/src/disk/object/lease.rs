//! One writer for each checkpoint on a store: an object that says who it is, and that its holder renews.
//!
//! A holder is dead if it is a process of this very machine that is gone, or if its object stays the same for
//! [`Pace::silence`] on the clock of whoever waits: clocks of two machines are never compared. A holder that was only
//! slow learns that it was taken over when it publishes: the manifest has another epoch (see `family.rs`). So the lock
//! spares work; it is not what keeps the checkpoint whole.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    family::Family,
    manifest::check_format,
    store::{PutError, Store, Version, commit},
};
use crate::disk::{Lock, LockError, civil::Civil};

/// How often a lock is renewed and looked at, and when it counts as forgotten.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub beat: Duration,
    pub glance: Duration,
    pub silence: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        let seconds = Duration::from_secs;
        Pace { beat: seconds(5), glance: seconds(1), silence: seconds(30) }
    }
}

/// What the object says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    format: u32,
    /// Whether somebody has it; the object stays when it is released.
    held: bool,
    epoch: u64,
    writer: String,
    host: String,
    pid: u32,
    since: String,
    /// Tells machines, boots and containers apart: only within one does `pid` mean something.
    machine: String,
    /// When the process was started, in the kernel's own count: a later process with its number is another one.
    started: u64,
    beat: u64,
}

impl Record {
    fn text(&self) -> String {
        format!("host {}, pid {}, since {}", self.host, self.pid, self.since)
    }

    fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("texts and numbers").into()
    }

    /// Whether this machine knows that its process is gone (`Some(true)`) or there (`Some(false)`).
    fn is_dead(&self) -> Option<bool> {
        (self.machine == machine()?).then(|| started(self.pid) != Some(self.started))
    }
}

fn key_of(family: &str) -> String {
    format!("{family}/lock")
}

fn read(store: &dyn Store, family: &str) -> io::Result<Option<(Record, Version)>> {
    let Some((bytes, version)) = store.get(&key_of(family))? else { return Ok(None) };
    check_format(&bytes, "lock")?;
    let record = serde_json::from_slice(&bytes).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("its lock is damaged: {error}"))
    })?;
    Ok(Some((record, version)))
}

/// Who has a checkpoint, for a message.
pub fn holder(store: &dyn Store, family: &str) -> String {
    match read(store, family) {
        Ok(Some((record, _))) => record.text(),
        _ => "another process".to_owned(),
    }
}

/// The machine, this boot of it, and this process's view of its processes.
fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let view = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), view.display()))
}

fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything: the state first, and 19 fields later when it was started.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // A zombie writes nothing any more.
    fields.next().filter(|state| !matches!(*state, "Z" | "X"))?;
    fields.nth(18)?.parse().ok()
}

struct Held {
    record: Record,
    version: Version,
    lost: bool,
}

/// A lock that is held, and renewed by a thread of its own until it is dropped.
pub struct Lease {
    family: Arc<Family>,
    held: Arc<Mutex<Held>>,
    stop: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Lock for Lease {}

impl Lease {
    /// Takes the lock, or says who has it; then makes the files this writer's.
    pub fn take(family: &Arc<Family>, unix_ms: u64, pace: Pace) -> Result<Lease, LockError> {
        let random = getrandom::u64().map_err(|error| LockError::Failed(io::Error::other(error)))?;
        let host =
            nix::unistd::gethostname().map_or_else(|_| "?".into(), |h| h.to_string_lossy().into_owned());
        let pid = std::process::id();
        let mut record = Record {
            format: 1,
            held: true,
            epoch: 0,
            writer: format!("{random:016x}"),
            host,
            pid,
            since: Civil::from_unix_ms(unix_ms).iso(),
            machine: machine().unwrap_or_default(),
            started: started(pid).unwrap_or_default(),
            beat: 0,
        };
        let store = &**family.store();
        let version = loop {
            let found = read(store, family.key()).map_err(LockError::Failed)?;
            if let Some((theirs, version)) = &found
                && theirs.held
                && is_alive(store, family.key(), theirs, version, pace)?
            {
                return Err(LockError::Held(theirs.text()));
            }
            let last = found.as_ref().map_or(0, |(theirs, _)| theirs.epoch);
            record.epoch = last.max(family.epoch()) + 1;
            let known = found.as_ref().map(|(_, version)| version);
            match commit(store, &key_of(family.key()), &record.encode(), known) {
                Ok(version) => break version,
                Err(PutError::Changed) => {}
                Err(PutError::Failed(error)) => return Err(LockError::Failed(error)),
            }
        };
        let (epoch, writer) = (record.epoch, record.writer.clone());
        let lease = Lease::renewed(Arc::clone(family), Held { record, version, lost: false }, pace)?;
        family.take_over(epoch, &writer).map_err(LockError::Failed)?;
        Ok(lease)
    }

    fn renewed(family: Arc<Family>, held: Held, pace: Pace) -> Result<Lease, LockError> {
        let held = Arc::new(Mutex::new(held));
        let (stop, stopped) = channel();
        let (of, ours) = (Arc::clone(&family), Arc::clone(&held));
        let renew = move || beat(&of, &ours, &stopped, pace.beat);
        let thread = thread::Builder::new().name("lock".into()).spawn(renew).map_err(LockError::Failed)?;
        Ok(Lease { family, held, stop: Some(stop), thread: Some(thread) })
    }
}

/// Whether somebody shows that the lock is in use, for as long as it takes to know.
fn is_alive(
    store: &dyn Store,
    family: &str,
    theirs: &Record,
    version: &Version,
    pace: Pace,
) -> Result<bool, LockError> {
    if let Some(dead) = theirs.is_dead() {
        return Ok(!dead);
    }
    tracing::warn!(
        "a checkpoint was in use by {}: waiting up to {} s for a sign of life",
        theirs.text(),
        pace.silence.as_secs()
    );
    let begin = Instant::now();
    while begin.elapsed() < pace.silence {
        thread::sleep(pace.glance);
        match read(store, family).map_err(LockError::Failed)? {
            Some((_, now)) if now == *version => {}
            Some((record, _)) => return Ok(record.held),
            None => return Ok(false),
        }
    }
    Ok(false)
}

fn beat(family: &Family, held: &Mutex<Held>, stopped: &Receiver<()>, every: Duration) {
    while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        let mut held = lock(held);
        held.record.beat += 1;
        replace(family, &mut held);
        if held.lost {
            return;
        }
    }
}

/// Writes the record. A store that fails now may not do so at the next beat; somebody else's record is left alone.
fn replace(family: &Family, held: &mut Held) {
    let (store, name) = (&**family.store(), key_of(family.key()));
    let write = |held: &Held| commit(store, &name, &held.record.encode(), Some(&held.version));
    let mut written = write(held);
    if matches!(written, Err(PutError::Changed)) {
        // A write of ours that looked failed may have come through late.
        match read(store, family.key()) {
            Ok(Some((found, version))) if found.writer == held.record.writer => {
                held.version = version;
                written = write(held);
            }
            _ => {}
        }
    }
    match written {
        Ok(version) => held.version = version,
        Err(PutError::Changed) => held.lost = true,
        Err(PutError::Failed(error)) => tracing::warn!(%error, "failed to renew the lock of a checkpoint"),
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic; and if it did, there would be nothing to do about it here.
            let _ended = thread.join();
        }
        let mut held = lock(&self.held);
        // On a store that has failed, another try would only make the end late; the lock is soon found dead.
        if !held.lost && self.family.is_sound() {
            held.record.held = false;
            replace(&self.family, &mut held);
        }
    }
}
