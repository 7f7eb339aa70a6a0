//! A store in memory for tests: calls are counted, and one of them can be made to fail, before or after it has had its
//! effect, alone or as the last one of a writer that is cut off.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use super::store::{PutError, Store, StoreError, Version};

/// What goes wrong at the chosen call that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has no effect, and says so.
    Refused,
    /// It has its effect, and the answer is lost.
    AnswerLost,
    /// It has no effect, and neither has any later one: the writer was killed or cut off.
    CutOffBefore,
    /// The same, after its effect.
    CutOffAfter,
}

#[derive(Default)]
struct Objects {
    contents: BTreeMap<String, (Bytes, u64)>,
    writes: u64,
}

/// A way to the store, with faults of its own; the objects are shared by all clones.
#[derive(Clone, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Line {
    calls: u64,
    fault: Option<(u64, Fault)>,
}

impl MemoryStore {
    /// Another way to the same objects, without fault.
    pub fn other_line(&self) -> MemoryStore {
        MemoryStore { objects: Arc::clone(&self.objects), line: Arc::default() }
    }

    /// Lets the call with this number fail, counted from this line's first one, 0.
    pub fn fail(&self, call: u64, fault: Fault) {
        self.line().fault = Some((call, fault));
    }

    /// How many calls have changed something, or tried.
    pub fn calls(&self) -> u64 {
        self.line().calls
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<String> {
        self.objects().contents.keys().cloned().collect()
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().expect("no test panics while it holds the store")
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect("no test panics while it holds the line")
    }

    /// Carries out a change, unless it is to fail.
    fn change<T>(&self, change: impl FnOnce(&mut Objects) -> T) -> io::Result<T> {
        let (call, fault) = {
            let mut line = self.line();
            line.calls += 1;
            (line.calls - 1, line.fault)
        };
        let broken = || StoreError("the line broke".into()).into_io();
        match fault {
            Some((at, Fault::Refused)) if call == at => Err(broken()),
            Some((at, Fault::AnswerLost | Fault::CutOffAfter)) if call == at => {
                change(&mut self.objects());
                Err(broken())
            }
            Some((at, Fault::CutOffBefore | Fault::CutOffAfter)) if call >= at => Err(broken()),
            _ => Ok(change(&mut self.objects())),
        }
    }

    fn refuse_if_cut_off(&self) -> io::Result<()> {
        let line = self.line();
        match line.fault {
            Some((at, Fault::CutOffBefore | Fault::CutOffAfter)) if line.calls > at => {
                Err(StoreError("the line is broken".into()).into_io())
            }
            _ => Ok(()),
        }
    }
}

impl Objects {
    fn write(&mut self, name: &str, bytes: Bytes) -> Version {
        self.writes += 1;
        self.contents.insert(name.to_owned(), (bytes, self.writes));
        Version(self.writes.to_string())
    }
}

impl Store for MemoryStore {
    fn get(&self, name: &str) -> io::Result<Option<(Bytes, Version)>> {
        self.refuse_if_cut_off()?;
        let found = self.objects().contents.get(name).cloned();
        Ok(found.map(|(bytes, write)| (bytes, Version(write.to_string()))))
    }

    fn get_range(&self, name: &str, at: u64, len: usize) -> io::Result<Bytes> {
        let (bytes, _) = self.get(name)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes.slice(at as usize..at as usize + len))
    }

    fn upload(&self, name: &str, bytes: Bytes) -> io::Result<()> {
        self.change(|objects| {
            objects.write(name, bytes);
        })
    }

    fn put(&self, name: &str, bytes: Bytes, known: Option<&Version>) -> Result<Version, PutError> {
        let replaced = self.change(|objects| {
            let now = objects.contents.get(name).map(|(_, write)| Version(write.to_string()));
            (now.as_ref() == known).then(|| objects.write(name, bytes))
        });
        replaced.map_err(PutError::Failed)?.ok_or(PutError::Changed)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|objects| {
            objects.contents.remove(name);
        })
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.refuse_if_cut_off()?;
        let within = |name: String| name.strip_prefix(&format!("{folder}/")).map(str::to_owned);
        Ok(self.names().into_iter().filter_map(within).collect())
    }
}
