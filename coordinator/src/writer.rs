//! The thread that owns one job's files: its tasks in the state directory, its outcomes in the checkpoint.
//!
//! It blocks on the disk so that nobody else has to. Orders are carried out in turn; what was recorded is written and
//! synced together once per flush interval, or earlier when it makes a large frame. The order is always append, sync,
//! then tell. It knows no actor: answers go to a closure.

use std::{
    path::PathBuf,
    sync::{
        Arc, RwLock,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use shared::{
    id::Attempt,
    job::{Existing, JobSpec},
    outcome::Failure,
    shape::ValueShape,
    task_set::TaskSet,
    tasks::TaskList,
    wire::client::{StopCause, Stopped, Summary},
};

use crate::{
    checkpoint::{CheckpointError, CheckpointFile, Recorded, Terms},
    core::ticket::Ticket,
    disk::{self, Disk},
    known::Known,
    shelf::{sync_folder_of, write_durably},
    untaken::Results,
};

/// How often a full disk is tried again.
const FULL_RETRY: Duration = Duration::from_millis(250);
/// How long a full disk is waited for before the job is stopped.
pub const FULL_PATIENCE: Duration = Duration::from_secs(10);

/// What a writer is told to do.
pub enum Order {
    /// More keys, one behind the other.
    Keys(Bytes),
    /// That was all: so many.
    KeysComplete(u64),
    /// All tasks are in the list: find out which of them have an outcome in the checkpoint.
    Scan(Arc<RwLock<TaskList>>),
    /// Another piece of what the checkpoint had already, for a client that wants it.
    Tell,
    /// No more of that.
    Enough,
    /// Outcomes.
    Record(Recording),
    /// The job is to stop; what runs may take so long.
    Stop(Duration),
    /// Bring the checkpoint to an orderly end.
    Close,
    /// The job has ended like this.
    Ended(Box<Summary>),
}

/// Outcomes to be recorded together.
pub struct Recording {
    /// Acknowledged by this.
    pub ticket: Ticket,
    /// How many values.
    pub count: u32,
    /// The keys of the values, one behind the other.
    pub keys: Bytes,
    /// The values, one behind the other.
    pub values: Bytes,
    /// Which of them (counted from 0) an attempt has given that was not the first.
    pub attempts: Vec<(u32, Attempt)>,
    /// Tasks without one.
    pub failures: Vec<(Bytes, Failure)>,
}

/// What a writer answers.
#[derive(Debug)]
pub enum Answer {
    /// The checkpoint is open, and there is nothing in it: work can begin. Values have to look like this.
    Opened(ValueShape),
    /// There is a checkpoint: work can begin after a scan, when all tasks are known.
    NeedsTasks,
    /// A piece of what the checkpoint has already; another one follows when it is asked for.
    Known(Results),
    /// The scan: tasks that have a value already, and what others have to look like.
    Scanned(TaskSet, ValueShape),
    /// All keys are durable.
    Stored,
    /// Something for the user to read.
    Note(String),
    /// What came with this ticket and before is durable.
    Durable(Ticket),
    /// That the job is to stop is durable.
    StopKept,
    /// The checkpoint is closed.
    Closed,
    /// How the job has ended is durable.
    Ended(Box<Summary>),
    /// The job cannot go on. Later orders are ignored but for closing.
    Failed(Stopped),
}

/// One job's files.
pub struct Writer<A> {
    spec: JobSpec,
    dir: Option<PathBuf>,
    answer: A,
    /// Where the checkpoint is, until it is open.
    disk: Option<Box<dyn Disk>>,
    file: Option<CheckpointFile>,
    failed: bool,
    unwritten: Option<Ticket>,
    due: Option<Instant>,
    full_since: Option<Instant>,
    /// What is told of the checkpoint before work begins, and what the scan has found.
    telling: Option<(Known, TaskSet, ValueShape)>,
}

impl<A: FnMut(Answer)> Writer<A> {
    /// A writer for this job. `dir` is the job's place in the state directory.
    pub fn new(spec: JobSpec, dir: Option<PathBuf>, answer: A) -> Writer<A> {
        Writer {
            spec,
            dir,
            answer,
            disk: None,
            file: None,
            failed: false,
            unwritten: None,
            due: None,
            full_since: None,
            telling: None,
        }
    }

    /// Carries out orders until nobody can give any more.
    pub fn run(mut self, orders: &Receiver<Order>) {
        self.begin();
        loop {
            let order = match self.due {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => orders.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match order {
                Ok(order) => self.carry_out(order),
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.file.as_ref().is_some_and(CheckpointFile::is_large) && self.full_since.is_none() {
                self.flush();
            }
        }
        self.flush();
    }

    fn begin(&mut self) {
        if let Some(dir) = &self.dir
            && let Err(error) = keep_spec(dir, &self.spec)
        {
            let message = format!("failed to keep the job in {}: {error}", dir.display());
            return self.fail(StopCause::Storage, message);
        }
        let Some(checkpoint) = &self.spec.checkpoint else {
            return (self.answer)(Answer::Opened(ValueShape::Any));
        };
        let disk = match disk::of(&checkpoint.path) {
            Ok(disk) => disk,
            Err(source) => {
                let path = checkpoint.path.name().to_owned();
                return self.fail_with(&CheckpointError::from_resolve(path, source));
            }
        };
        let found = disk.open(checkpoint.path.name());
        let is_new = !matches!(found, Ok(Some(file)) if file.len().is_ok_and(|len| len > 0));
        self.disk = Some(disk);
        if is_new || checkpoint.existing == Existing::SetAside {
            if let Some(shape) = self.open(Duration::ZERO, &mut |_, _, _| {}) {
                (self.answer)(Answer::Opened(shape));
            }
        } else {
            (self.answer)(Answer::NeedsTasks);
        }
    }

    /// Opens the checkpoint; what values have to look like. A full disk is waited for; there may be several visits then.
    fn open(
        &mut self,
        patience: Duration,
        visit: &mut dyn FnMut(Recorded, &[u8], u32),
    ) -> Option<ValueShape> {
        let Some(checkpoint) = &self.spec.checkpoint else { return Some(ValueShape::Any) };
        let mut disk = self.disk.take()?;
        let (path, terms) = (checkpoint.path.name(), Terms::of(self.spec.work.identity(), checkpoint));
        let mut full_since = None;
        let opened = loop {
            let is_over =
                |since: &Option<Instant>| since.map_or(Duration::ZERO, |at| at.elapsed()) >= patience;
            match CheckpointFile::open_on(disk, path, &terms, visit) {
                Err(error) if error.may_be_retried() && !is_over(&full_since) => {
                    if full_since.is_none() {
                        full_since = Some(Instant::now());
                        (self.answer)(Answer::Note(waiting_for_space(&error)));
                    }
                    std::thread::park_timeout(FULL_RETRY);
                    let Ok(again) = disk::of(&checkpoint.path) else { break Err(error) };
                    disk = again;
                }
                opened => break opened,
            }
        };
        match opened {
            Ok((file, notes)) => {
                let shape = checkpoint.shape.found(file.columns(), file.shape());
                self.file = Some(file);
                notes.into_iter().for_each(|note| (self.answer)(Answer::Note(note)));
                if checkpoint.existing == Existing::SetAside || checkpoint.shape != shape {
                    self.spec.settle(&shape);
                    if let Some(dir) = &self.dir
                        && let Err(error) = keep_spec(dir, &self.spec)
                    {
                        tracing::warn!(%error, "failed to keep the job");
                    }
                }
                Some(shape)
            }
            Err(error) => {
                self.fail_with(&error);
                None
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Keys(keys) => self.keep_keys(&keys),
            Order::KeysComplete(count) => self.keys_complete(count),
            Order::Scan(tasks) => self.scan(&tasks),
            Order::Tell => self.tell(),
            Order::Enough => self.begin_work(),
            Order::Record(recording) => self.record(recording),
            Order::Close => self.close(),
            Order::Stop(grace) => self.keep_stop(grace),
            Order::Ended(summary) => self.keep_end(summary),
        }
    }

    fn keep_keys(&mut self, keys: &[u8]) {
        let Some(dir) = &self.dir else { return };
        let append = || -> std::io::Result<()> {
            use std::io::Write as _;
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(dir.join("tasks"))?;
            file.write_all(keys)
        };
        if let Err(error) = append() {
            let message = format!("failed to keep the tasks in {}: {error}", dir.display());
            self.fail(StopCause::Storage, message);
        }
    }

    fn keys_complete(&mut self, count: u64) {
        if let Some(dir) = &self.dir {
            let seal = || -> std::io::Result<()> {
                let file = std::fs::OpenOptions::new().append(true).create(true).open(dir.join("tasks"))?;
                file.sync_all()?;
                write_durably(&dir.join("complete"), count.to_string().as_bytes())
            };
            if let Err(error) = seal() {
                let message = format!("failed to keep the tasks in {}: {error}", dir.display());
                return self.fail(StopCause::Storage, message);
            }
        }
        (self.answer)(Answer::Stored);
    }

    fn record(&mut self, recording: Recording) {
        if self.failed {
            return;
        }
        let Some(file) = &mut self.file else { return (self.answer)(Answer::Durable(recording.ticket)) };
        let push = |file: &mut CheckpointFile| {
            if recording.count > 0 {
                file.push_values(&recording.keys, &recording.values, recording.count, &recording.attempts)?;
            }
            recording.failures.iter().try_for_each(|(key, failure)| file.push_failure(key, failure))
        };
        if let Err(error) = push(file) {
            let message =
                format!("a worker reported values that cannot be kept: {error}; is it of another version?");
            return self.fail(StopCause::Internal, message);
        }
        self.unwritten = Some(recording.ticket);
        let flush = self.spec.checkpoint.as_ref().map_or(Duration::ZERO, |checkpoint| checkpoint.flush);
        self.due.get_or_insert_with(|| Instant::now() + flush);
    }

    fn flush(&mut self) {
        self.make_durable(CheckpointFile::flush);
    }

    /// Writes and syncs what has gathered, then tells.
    fn make_durable(&mut self, write: fn(&mut CheckpointFile) -> Result<(), CheckpointError>) {
        self.due = None;
        let (Some(ticket), Some(file)) = (self.unwritten, &mut self.file) else { return };
        match write(file) {
            Ok(()) => {
                self.unwritten = None;
                if self.full_since.take().is_some() {
                    (self.answer)(Answer::Note("there is space again for the checkpoint; going on".into()));
                }
                (self.answer)(Answer::Durable(ticket));
            }
            Err(error) if error.may_be_retried() => self.wait_for_space(&error),
            Err(error) => self.fail_with(&error),
        }
    }

    fn wait_for_space(&mut self, error: &CheckpointError) {
        let now = Instant::now();
        match self.full_since {
            None => {
                (self.answer)(Answer::Note(waiting_for_space(error)));
                self.full_since = Some(now);
            }
            Some(since) if now - since >= FULL_PATIENCE => return self.fail_with(error),
            Some(_) => {}
        }
        self.due = Some(now + FULL_RETRY);
    }

    fn close(&mut self) {
        while self.unwritten.is_some() && !self.failed {
            // A journal would only be made to be removed at once.
            self.make_durable(CheckpointFile::fold);
            if let Some(due) = self.due {
                std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
        }
        if let Some(file) = self.file.take()
            && !self.failed
            && let Err(error) = file.close()
        {
            self.fail_with(&error);
        }
        (self.answer)(Answer::Closed);
    }

    fn fail_with(&mut self, error: &CheckpointError) {
        self.fail(error.stop_cause(), error.to_string());
    }

    fn fail(&mut self, why: StopCause, message: String) {
        self.failed = true;
        self.unwritten = None;
        self.due = None;
        (self.answer)(Answer::Failed(Stopped { why, message }));
    }
}

fn waiting_for_space(error: &CheckpointError) -> String {
    format!("{error}; waiting up to {} s for space", FULL_PATIENCE.as_secs())
}

fn keep_spec(dir: &std::path::Path, spec: &JobSpec) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let bytes = rmp_serde::to_vec_named(spec).map_err(std::io::Error::other)?;
    write_durably(&dir.join("spec"), &bytes)?;
    sync_folder_of(dir)
}

mod ending;
mod telling;
#[cfg(test)]
mod tests;
