//! From options to a running client: what `run` and `submit` have in common.

use std::time::{Duration, Instant};

use shared::{
    endpoint::Endpoint,
    id::JobId,
    job::{JobSpec, Work},
    location::Location,
    tasks::TaskList,
    wire::client::StopCause,
};
use tokio::sync::mpsc;
use worker::core::command::Template;

use crate::{
    args::Job,
    client::{Client, End, Tasks},
    fault::Fault,
    output,
    show::{Results, Show},
    stop::Stop,
    summary,
    tasks::{self, TaskReader, TaskSource},
};

/// Chunks of tasks that are read ahead.
const READ_AHEAD: usize = 4;

/// A job whose task file is open and whose options are checked.
pub struct Prepared {
    spec: JobSpec,
    reader: TaskReader,
    results: Results,
    quiet: bool,
    json: bool,
    grace: Duration,
    checkpoint: Option<Location>,
}

/// Opens what can be opened before anything is started, so that a mistake costs nothing.
pub fn prepare(job: &Job, detached: bool) -> Result<Prepared, Fault> {
    let cwd =
        std::env::current_dir().map_err(|error| Fault::usage(format!("no working directory: {error}")))?;
    let source = TaskSource { file: &job.tasks, for_command: job.is_command(), text: &job.text };
    let reader = tasks::open(&source).map_err(|error| Fault::usage(error.to_string()))?;
    let cwd_text = cwd.to_str().ok_or_else(|| Fault::usage(format!("{}: not UTF-8", cwd.display())))?;
    let work = job.work(reader.fields(), cwd_text);
    if let (Work::Command(command), Some(width)) = (&work, reader.width()) {
        let misfit = |error| Fault::usage(format!("{}: {error}", job.tasks.display()));
        Template::check(command, width).map_err(misfit)?;
    }
    let results = match (&job.checkpoint, job.json || detached, job.is_command()) {
        (Some(_), ..) | (_, true, _) => Results::Kept,
        (None, false, true) => Results::Outputs,
        (None, false, false) => Results::Lines(Box::new(TaskList::new())),
    };
    let id = JobId(getrandom::u64().map_err(|error| Fault::internal(error.to_string()))?);
    let spec = JobSpec {
        limits: job.limits(),
        checkpoint: job
            .checkpoint_spec(reader.fields(), &cwd)
            .map_err(|error| Fault::usage(error.to_string()))?,
        batch_size: job.batch_size,
        wants_results: !matches!(results, Results::Kept),
        detached,
        ..JobSpec::new(id, work)
    };
    let checkpoint = spec.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone());
    Ok(Prepared { spec, reader, results, quiet: job.quiet, json: job.json, grace: job.grace, checkpoint })
}

impl Prepared {
    /// How long running tasks may take after an interrupt.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// Follows the job to its end and tells the user; returns the exit code.
    pub async fn follow(self, endpoint: Endpoint, signals: mpsc::Receiver<i32>) -> Result<u8, Fault> {
        let Prepared { spec, reader, results, quiet, json, grace, checkpoint } = self;
        let started = Instant::now();
        let job = spec.id;
        let tasks = read_ahead(reader)?;
        let client = Client::new(endpoint, spec, tasks, signals, grace, Show::new(quiet, results));
        let (end, stop) = client.run().await?;
        let summary = match end {
            End::Detached => {
                output::say(&format!(
                    "maniple: job {job} is with the coordinator and goes on without this client; \
                     `maniple attach` comes back to it"
                ));
                return Ok(0);
            }
            End::Summary(summary) => *summary,
        };
        let cancelled = summary.stopped.as_ref().is_some_and(|stopped| stopped.why == StopCause::Cancelled);
        let code = match &stop {
            Some(Stop::Fault(fault)) => fault.code,
            Some(Stop::Signal(number, _)) if cancelled => 128 + *number as u8,
            // Whoever read the results had enough of them; that does not hide what has failed.
            Some(Stop::Unread) if cancelled => u8::from(summary.progress.failed > 0),
            Some(Stop::Signal(..) | Stop::Unread) | None => summary::exit_code(&summary),
        };
        let fault = match stop {
            Some(Stop::Fault(fault)) => Some(fault),
            Some(Stop::Signal(..) | Stop::Unread) | None => None,
        };
        let ended = summary::Ended { summary, wall: Some(started.elapsed()), checkpoint };
        tell(&ended, code, fault, quiet, json)
    }
}

/// Tells how a job has ended; `fault` is what its client found wrong.
pub fn tell(
    ended: &summary::Ended,
    code: u8,
    fault: Option<Fault>,
    quiet: bool,
    json: bool,
) -> Result<u8, Fault> {
    if json {
        output::print(&summary::machine(ended, code)).map_err(Fault::of_output)?;
    }
    let mistake = fault.or_else(|| ended.error().map(|message| Fault { code, message }));
    let progress = &ended.summary.progress;
    let nothing_done = progress.done + progress.failed + progress.skipped == 0;
    let told_otherwise = (mistake.is_some() && nothing_done) || (json && quiet);
    if (!quiet || code != 0) && !told_otherwise {
        output::say(summary::human(ended).trim_end());
    }
    mistake.map_or(Ok(code), Err)
}

/// Reads the task file on a thread of its own.
fn read_ahead(mut reader: TaskReader) -> Result<Tasks, Fault> {
    let (sender, tasks) = mpsc::channel(READ_AHEAD);
    let read = move || {
        loop {
            let next = reader.next_chunk();
            let (message, last) = match next {
                Ok(Some(chunk)) => (Ok(chunk), false),
                Ok(None) => break,
                Err(error) => (Err(Fault::usage(error.to_string())), true),
            };
            if sender.blocking_send(message).is_err() || last {
                return;
            }
        }
        for note in reader.take_notes() {
            output::say(&format!("maniple: {note}"));
        }
    };
    let failed = |error| Fault::internal(format!("failed to start a thread: {error}"));
    std::thread::Builder::new().name("tasks".into()).spawn(read).map_err(failed)?;
    Ok(tasks)
}
