//! The jobs, kept where a restart of the coordinator finds them again: in memory for a restarted actor, and in the
//! state directory, where there is one, for a restarted process. Both recover from a shelf; there is one way back.
//!
//! On disk: `epoch`, `workers` (who was connected last) and `jobs/ID/{spec, tasks, complete, summary}`. The files of a
//! job are written by its [writer](crate::writer); `tasks` is the keys one behind the other, so what a crash has torn
//! off is sent again by the client.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

use shared::{
    id::{Epoch, JobId, WorkerId},
    job::JobSpec,
    msgpack,
    tasks::TaskList,
    wire::client::Summary,
};

/// How long the summary of an ended job is kept for its client to come back.
const KEEP_ENDED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything that outlives a coordinator.
pub struct Shelf {
    dir: Option<PathBuf>,
    epoch: Epoch,
    workers: BTreeSet<WorkerId>,
    /// The jobs.
    pub jobs: BTreeMap<JobId, Stored>,
}

/// One job on the shelf.
pub struct Stored {
    /// As the client described it.
    pub spec: JobSpec,
    /// Its tasks so far.
    pub tasks: Arc<RwLock<TaskList>>,
    /// Keys received so far, repeated ones included.
    pub received: u64,
    /// Whether they are all there.
    pub complete: bool,
    /// How it ended.
    pub summary: Option<Summary>,
    /// The time of day when it came; only shown.
    pub began: SystemTime,
}

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to {what} {}: {source}; check the path given as --state-dir and its permissions", path.display())]
pub struct ShelfError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Stored {
    /// A job that has just come.
    #[must_use]
    pub fn new(spec: JobSpec) -> Stored {
        let tasks = if spec.repeats { TaskList::with_repeats() } else { TaskList::new() };
        let began = SystemTime::now();
        Stored {
            spec,
            tasks: Arc::new(RwLock::new(tasks)),
            received: 0,
            complete: false,
            summary: None,
            began,
        }
    }
}

impl Shelf {
    /// A shelf that lives as long as this process.
    #[must_use]
    pub fn in_memory() -> Shelf {
        Shelf { dir: None, epoch: Epoch(0), workers: BTreeSet::new(), jobs: BTreeMap::new() }
    }

    /// The shelf of a state directory, made if it is not there. Unreadable jobs are logged and left alone.
    pub fn load(dir: &Path) -> Result<Shelf, ShelfError> {
        let jobs = dir.join("jobs");
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| ShelfError { what, path, source }
        };
        fs::create_dir_all(&jobs).map_err(failed("create", &jobs))?;
        let mut shelf = Shelf { dir: Some(dir.to_owned()), ..Shelf::in_memory() };
        shelf.epoch = Epoch(read_number(&dir.join("epoch")).unwrap_or(0));
        let workers = fs::read_to_string(dir.join("workers")).unwrap_or_default();
        shelf.workers =
            workers.lines().filter_map(|id| u64::from_str_radix(id, 16).ok()).map(WorkerId).collect();
        for entry in fs::read_dir(&jobs).map_err(failed("read", &jobs))? {
            let path = entry.map_err(failed("read", &jobs))?.path();
            match load_job(&path) {
                Ok(Some(stored)) => {
                    shelf.jobs.insert(stored.spec.id, stored);
                }
                Ok(None) => remove_ended(&path),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a stored job cannot be read; it is left alone")
                }
            }
        }
        Ok(shelf)
    }

    /// Begins the next incarnation; (its epoch, the workers of the one before)
    pub fn next_epoch(&mut self) -> io::Result<(Epoch, BTreeSet<WorkerId>)> {
        self.epoch = Epoch(self.epoch.0 + 1);
        if let Some(dir) = &self.dir {
            write_durably(&dir.join("epoch"), self.epoch.0.to_string().as_bytes())?;
        }
        Ok((self.epoch, self.workers.clone()))
    }

    /// Remembers who is connected, for the next incarnation to wait for.
    pub fn worker_here(&mut self, worker: WorkerId, here: bool) {
        let changed = if here { self.workers.insert(worker) } else { self.workers.remove(&worker) };
        if let (true, Some(dir)) = (changed, &self.dir) {
            let text: String = self.workers.iter().map(|id| format!("{id}\n")).collect();
            if let Err(error) = replace(&dir.join("workers"), text.as_bytes()) {
                tracing::warn!(%error, "failed to remember the workers; a restart may run some tasks again");
            }
        }
    }

    /// Where a job's files belong, if it has any.
    #[must_use]
    pub fn job_dir(&self, job: JobId) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join("jobs").join(job.to_string()))
    }
}

fn load_job(dir: &Path) -> io::Result<Option<Stored>> {
    let spec = read_message::<JobSpec>(&dir.join("spec"))?;
    let began = fs::metadata(dir.join("spec"))?.modified()?;
    if let Ok(summary) = read_message::<Summary>(&dir.join("summary")) {
        let age = fs::metadata(dir.join("summary"))?.modified()?;
        let age = SystemTime::now().duration_since(age).unwrap_or_default();
        return Ok((age < KEEP_ENDED).then(|| Stored {
            summary: Some(summary),
            complete: true,
            began,
            ..Stored::new(spec)
        }));
    }
    let keys = fs::read(dir.join("tasks"))?;
    let mut stored = Stored { began, ..Stored::new(spec) };
    let mut whole = 0;
    for key in msgpack::values(&keys).map_while(Result::ok) {
        whole += key.len();
        stored.received += 1;
    }
    let mut tasks = stored.tasks.write().expect("nobody else has it yet");
    tasks.extend(&keys[..whole]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    drop(tasks);
    if whole < keys.len() {
        fs::OpenOptions::new().write(true).open(dir.join("tasks"))?.set_len(whole as u64)?;
    }
    stored.complete = read_number::<u64>(&dir.join("complete")) == Some(stored.received);
    Ok(Some(stored))
}

fn remove_ended(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir) {
        tracing::warn!(path = %dir.display(), %error, "failed to remove an ended job");
    }
}

fn read_number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn read_message<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    rmp_serde::from_slice(&fs::read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Replaces a file as a whole.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    fs::rename(new, path)
}

/// Replaces a file as a whole, and waits for the disk.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(new, path)?;
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
