//! The jobs, kept where a restart of the coordinator finds them again: in memory for a restarted actor, and in the
//! state directory, where there is one, for a restarted process. Both recover from a shelf; there is one way back.
//!
//! On disk: `epoch`, `workers` (who was connected last) and `jobs/ID/{spec, tasks, complete, stop, summary}`. The files of a
//! job are written by its [writer](crate::writer); `tasks` is the keys one behind the other, so what a crash has torn
//! off is sent again by the client. Of jobs that have [ended](crate::ended) there is a bounded number.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::{Duration, Instant, SystemTime},
};

use shared::{
    id::{Epoch, JobId, WorkerId},
    job::JobSpec,
    msgpack,
    tasks::TaskList,
    wire::client::Summary,
};

use crate::ended::{Card, End, Ended};

/// Everything that outlives a coordinator.
pub struct Shelf {
    dir: Option<PathBuf>,
    epoch: Epoch,
    workers: BTreeSet<WorkerId>,
    /// The jobs that have not ended.
    pub jobs: BTreeMap<JobId, Stored>,
    ended: Ended,
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
    /// The time of day when it came; only shown.
    pub began: SystemTime,
    /// When tasks are given up that still run, if it is to stop.
    pub stop_by: Option<Instant>,
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
        let (tasks, began) = (Arc::new(RwLock::new(tasks)), SystemTime::now());
        Stored { spec, tasks, received: 0, complete: false, began, stop_by: None }
    }
}

impl Shelf {
    /// A shelf that lives as long as this process.
    #[must_use]
    pub fn in_memory() -> Shelf {
        Shelf {
            dir: None,
            epoch: Epoch(0),
            workers: BTreeSet::new(),
            jobs: BTreeMap::new(),
            ended: Ended::default(),
        }
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
        let mut ended = Vec::new();
        for entry in fs::read_dir(&jobs).map_err(failed("read", &jobs))? {
            let path = entry.map_err(failed("read", &jobs))?.path();
            match load_job(&path) {
                Ok(Found::Open(stored)) => drop(shelf.jobs.insert(stored.spec.id, *stored)),
                Ok(Found::Ended(at, job, end)) => ended.push((at, job, *end)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a stored job cannot be read; it is left alone")
                }
            }
        }
        ended.sort_by_key(|(at, ..)| *at);
        for (at, job, end) in ended {
            shelf.keep_end(job, end, at);
        }
        Ok(shelf)
    }

    /// A job has ended: its summary takes its place.
    pub fn end(&mut self, job: JobId, summary: Summary) {
        let Some(stored) = self.jobs.remove(&job) else { return };
        let card = Card::of(&stored.spec, stored.began);
        self.keep_end(job, End { card, summary, received: stored.received }, SystemTime::now());
    }

    fn keep_end(&mut self, job: JobId, end: End, at: SystemTime) {
        for old in self.ended.add(job, end, at, SystemTime::now()) {
            self.job_dir(old).iter().for_each(|dir| remove_ended(dir));
        }
    }

    /// How a job has ended.
    #[must_use]
    pub fn end_of(&self, job: JobId) -> Option<&End> {
        self.ended.get(job)
    }

    /// How the jobs have ended that are still known.
    pub fn ends(&self) -> impl Iterator<Item = (JobId, &End)> {
        self.ended.iter()
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

/// A job on the disk.
enum Found {
    Open(Box<Stored>),
    Ended(SystemTime, JobId, Box<End>),
}

fn load_job(dir: &Path) -> io::Result<Found> {
    let spec = read_message::<JobSpec>(&dir.join("spec"))?;
    let began = fs::metadata(dir.join("spec"))?.modified()?;
    if let Ok(summary) = read_message::<Summary>(&dir.join("summary")) {
        let ended = fs::metadata(dir.join("summary"))?.modified()?;
        let end = End { card: Card::of(&spec, began), summary, received: 0 };
        return Ok(Found::Ended(ended, spec.id, Box::new(end)));
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
    stored.stop_by = read_stop(&dir.join("stop"));
    Ok(Found::Open(Box::new(stored)))
}

/// A number of milliseconds, from when the file was written. A clock that was set back does not prolong them.
fn read_stop(path: &Path) -> Option<Instant> {
    let grace = Duration::from_millis(read_number(path)?);
    let since = fs::metadata(path).and_then(|file| file.modified()).ok()?.elapsed().unwrap_or_default();
    Some(Instant::now() + grace.saturating_sub(since))
}

/// Keeps in a job's folder that it is to stop, and that what runs may take so long.
pub fn keep_stop(dir: &Path, grace: Duration) -> io::Result<()> {
    write_durably(&dir.join("stop"), grace.as_millis().to_string().as_bytes())
}

/// Removes what there is of a job that has ended.
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
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
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
    sync_folder_of(path)
}

/// Waits until a path that was made, renamed or removed is so on the disk, too.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
