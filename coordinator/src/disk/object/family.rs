//! The files of one checkpoint on a store - itself, its journal, what was set aside - and their one manifest, through
//! which alone anything becomes true: a new segment, another name, a removal.
//!
//! Changes gather here and are published together by replacing the manifest, on the condition that it is still the one
//! that is known. Invariants: a manifest names only segments that are durable; after a publication that failed nothing
//! is ever published again; a segment is only removed when no manifest that may be current names it.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use super::{
    lease::holder,
    manifest::{FileEntry, Manifest, Segment, epoch_of, segment_name},
    store::{PutError, Store, StoreError, Version, commit},
};

/// How often a manifest is read again that changes while it is taken over.
const TRIES: usize = 20;

/// See the module.
pub struct Family {
    store: Arc<dyn Store>,
    /// What the names of its objects begin with.
    key: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// As it is to be.
    manifest: Manifest,
    /// What the store has.
    version: Option<Version>,
    /// Whether that is older.
    changed: bool,
    standing: Standing,
    uploads: u64,
    /// Segments that the next manifest does not name any more.
    dropped: Vec<String>,
}

/// What may be done.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    #[default]
    Reader,
    Writer,
    /// A writer that has failed.
    Broken,
}

impl Family {
    /// What is there under this name.
    pub fn load(store: Arc<dyn Store>, key: &str) -> io::Result<Family> {
        let family = Family { store, key: key.to_owned(), state: Mutex::default() };
        family.reload(&mut family.state())?;
        Ok(family)
    }

    /// What the names of its objects begin with.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The store that it is in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whether the store has a manifest of it.
    pub fn is_there(&self) -> bool {
        self.state().version.is_some()
    }

    /// How often it was taken.
    pub fn epoch(&self) -> u64 {
        self.state().manifest.epoch
    }

    /// A file as it is known.
    pub fn file(&self, suffix: &str) -> Option<FileEntry> {
        self.state().manifest.files.get(suffix).cloned()
    }

    /// A file as somebody else has published it meanwhile; `None` also to the writer, since then nobody else may.
    pub fn published_meanwhile(&self, suffix: &str) -> io::Result<Option<FileEntry>> {
        let mut state = self.state();
        if state.standing != Standing::Reader {
            return Ok(None);
        }
        self.reload(&mut state)?;
        Ok(state.manifest.files.get(suffix).cloned())
    }

    /// Publishes nothing any more.
    pub fn give_up(&self) {
        self.state().standing = Standing::Broken;
    }

    /// Whether everything that was to be published has been.
    pub fn is_sound(&self) -> bool {
        self.state().standing != Standing::Broken
    }

    /// Makes it this writer's: whoever wrote before cannot publish any more. Then clears up behind them.
    pub fn take_over(&self, epoch: u64, writer: &str) -> io::Result<()> {
        let mut state = self.state();
        for _ in 0..TRIES {
            self.reload(&mut state)?;
            if state.manifest.epoch >= epoch {
                return Err(self.taken_over());
            }
            let mut manifest = state.manifest.clone();
            manifest.epoch = epoch;
            writer.clone_into(&mut manifest.writer);
            manifest.generation += 1;
            match commit(
                &*self.store,
                &self.manifest_key(),
                &manifest.encode().into(),
                state.version.as_ref(),
            ) {
                Ok(version) => {
                    *state = State {
                        manifest,
                        version: Some(version),
                        standing: Standing::Writer,
                        ..State::default()
                    };
                    self.sweep(&state.manifest);
                    return Ok(());
                }
                Err(PutError::Changed) => {}
                Err(PutError::Failed(error)) => return Err(error),
            }
        }
        Err(self.taken_over())
    }

    /// Makes an empty file, whatever was there.
    pub fn create(&self, suffix: &str) -> FileEntry {
        let mut state = self.state();
        let entry = FileEntry { id: state.manifest.next_file, segments: Vec::new() };
        state.manifest.next_file += 1;
        state.insert(suffix, entry.clone());
        entry
    }

    /// Gives a file another name, in place of what has that.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let file = state.manifest.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.insert(to, file);
        Ok(())
    }

    /// Takes a file away.
    pub fn remove(&self, suffix: &str) -> io::Result<()> {
        let mut state = self.state();
        let file = state.manifest.files.remove(suffix).ok_or(io::ErrorKind::NotFound)?;
        state.drop_segments(&file);
        state.changed = true;
        Ok(())
    }

    /// Writes a segment that no manifest names yet.
    pub fn upload(&self, bytes: Bytes) -> io::Result<Segment> {
        let (epoch, number) = {
            let mut state = self.state();
            self.refuse_unless_writer(&state)?;
            state.uploads += 1;
            (state.manifest.epoch, state.uploads)
        };
        let random = getrandom::u64().map_err(io::Error::other)?;
        let (len, crc) = (bytes.len() as u64, crc32fast::hash(&bytes));
        let segment = Segment { name: segment_name(epoch, number, random), len, crc };
        self.store.upload(&self.segment_key(&segment.name), bytes)?;
        Ok(segment)
    }

    /// Publishes that a file consists of these segments, and whatever else has changed.
    pub fn publish_file(&self, id: u64, segments: &[Segment]) -> io::Result<()> {
        let mut state = self.state();
        // A file that was removed while it was open has nothing to be published.
        if let Some(file) = state.manifest.files.values_mut().find(|file| file.id == id)
            && file.segments != segments
        {
            let old = std::mem::replace(&mut file.segments, segments.to_vec());
            let gone = old.into_iter().filter(|segment| !segments.contains(segment));
            state.dropped.extend(gone.map(|segment| segment.name));
            state.changed = true;
        }
        self.publish_state(&mut state)
    }

    /// Publishes what has changed.
    pub fn publish(&self) -> io::Result<()> {
        self.publish_state(&mut self.state())
    }

    fn publish_state(&self, state: &mut State) -> io::Result<()> {
        self.refuse_unless_writer(state)?;
        if !state.changed {
            return Ok(());
        }
        state.manifest.generation += 1;
        let bytes = state.manifest.encode().into();
        match commit(&*self.store, &self.manifest_key(), &bytes, state.version.as_ref()) {
            Ok(version) => {
                state.version = Some(version);
                state.changed = false;
                for name in std::mem::take(&mut state.dropped) {
                    self.clear_away(&name);
                }
                Ok(())
            }
            Err(failed) => {
                state.standing = Standing::Broken;
                Err(match failed {
                    PutError::Changed => self.taken_over(),
                    PutError::Failed(error) => error,
                })
            }
        }
    }

    /// Removes segments that earlier writers have left unnamed. Those of this epoch and of later ones are none of its
    /// business: who was itself taken over meanwhile must not touch what its successor writes.
    fn sweep(&self, manifest: &Manifest) {
        let folder = format!("{}/segments", self.key);
        let listed = match self.store.list(&folder) {
            Ok(listed) => listed,
            Err(error) => return tracing::warn!(%error, "failed to look for segments that nobody needs"),
        };
        let named: std::collections::BTreeSet<&str> = manifest.segments().collect();
        let is_orphan = |name: &&String| {
            epoch_of(name).is_some_and(|epoch| epoch < manifest.epoch) && !named.contains(name.as_str())
        };
        listed.iter().filter(is_orphan).for_each(|name| self.clear_away(name));
    }

    fn clear_away(&self, name: &str) {
        if let Err(error) = self.store.remove(&self.segment_key(name)) {
            tracing::warn!(%error, name, "failed to remove a segment that nobody needs; the next writer will");
        }
    }

    fn reload(&self, state: &mut State) -> io::Result<()> {
        let found = self.store.get(&self.manifest_key())?;
        *state = State::default();
        if let Some((bytes, version)) = found {
            state.manifest = Manifest::decode(&bytes)?;
            state.version = Some(version);
        }
        Ok(())
    }

    fn refuse_unless_writer(&self, state: &State) -> io::Result<()> {
        match state.standing {
            Standing::Writer => Ok(()),
            Standing::Reader => Err(io::ErrorKind::PermissionDenied.into()),
            Standing::Broken => Err(StoreError("an earlier write to the store failed".into()).into_io()),
        }
    }

    fn taken_over(&self) -> io::Error {
        let by = holder(&*self.store, &self.key);
        StoreError(format!("another writer has taken it over ({by})")).into_io()
    }

    fn manifest_key(&self) -> String {
        format!("{}/manifest", self.key)
    }

    /// The name of the object of a segment.
    pub fn segment_key(&self, name: &str) -> String {
        format!("{}/segments/{name}", self.key)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, suffix: &str, file: FileEntry) {
        if let Some(replaced) = self.manifest.files.insert(suffix.to_owned(), file) {
            self.drop_segments(&replaced);
        }
        self.changed = true;
    }

    fn drop_segments(&mut self, file: &FileEntry) {
        self.dropped.extend(file.segments.iter().map(|segment| segment.name.clone()));
    }
}
