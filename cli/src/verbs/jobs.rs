//! `maniple jobs`: the jobs that a coordinator knows; and how the verbs for such jobs reach it.

use std::{
    fmt::Write,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde_json::json;
use shared::{
    codec::CodecError,
    endpoint::{Connected, Endpoint, EndpointError, hello},
    id::JobId,
    security::{AccessFile, Role},
    wire::{
        self,
        client::{FromClient, Listed, StopCause, ToClient},
    },
};

use crate::{args::jobs::Jobs, fault::Fault, output, progress::clock};

/// Where the last column begins, and what it gets at least.
const BEFORE_WORK: usize = 50;
const LEAST_WORK: usize = 10;

/// Carries out the verb.
pub fn run(args: &Jobs) -> Result<u8, Fault> {
    let endpoint = endpoint(&args.access_file)?;
    let jobs = block_on(ask(endpoint))?;
    let text = match (args.json, jobs.is_empty()) {
        (true, _) => jobs.iter().map(|job| format!("{}\n", object(job))).collect(),
        (false, true) => "no jobs\n".to_owned(),
        (false, false) => table(&jobs, SystemTime::now(), output::width()),
    };
    output::print(&text).map(|()| 0).map_err(Fault::of_output)
}

async fn ask(endpoint: Endpoint) -> Result<Vec<Listed>, Fault> {
    let connected = endpoint.connect(&hello(wire::Role::Client), Duration::from_secs(10)).await;
    let connected = connected.map_err(|error| match error {
        EndpointError::Refused(why) => Fault::refused(why),
        EndpointError::Unreachable(why) => Fault::usage(why),
    })?;
    let answer = async {
        let Connected { mut incoming, mut outgoing, .. } = connected;
        outgoing.feed(&FromClient::List, Bytes::new()).await?;
        outgoing.flush().await?;
        loop {
            let frame = incoming.next().await?.ok_or(CodecError::Truncated)?;
            if let ToClient::Jobs(jobs) = frame.message()? {
                return Ok(jobs);
            }
        }
    };
    answer
        .await
        .map_err(|error: CodecError| Fault::internal(format!("lost the coordinator ({error}); try again")))
}

/// The coordinator of an access file.
pub fn endpoint(access_file: &Path) -> Result<Endpoint, Fault> {
    let access = AccessFile::read(access_file, Role::Client).map_err(Fault::of_access)?;
    Endpoint::network(access).map_err(|error| Fault::refused(error.to_string()))
}

/// Runs this to its end, on an event loop of its own.
pub fn block_on<T>(future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let failed = |error: std::io::Error| Fault::internal(format!("failed to start the event loop: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let ended = runtime.block_on(future);
    runtime.shutdown_background();
    ended
}

/// A job that a coordinator does not know is a mistake of the command line.
pub fn unknown(job: JobId, access_file: &Path) -> Fault {
    let file = access_file.display();
    Fault::usage(format!(
        "the coordinator knows no job {job}; `maniple jobs --access-file {file}` lists those that it knows"
    ))
}

fn table(jobs: &[Listed], now: SystemTime, width: usize) -> String {
    let room = width.saturating_sub(BEFORE_WORK).max(LEAST_WORK);
    let mut out = String::new();
    let mut line = |job: &str, state: &str, age: &str, done: &str, work: &str| {
        let work = output::in_a_line(work);
        let work = console::truncate_str(&work, room, "..");
        writeln!(out, "{job:16}  {state:9}  {age:>8}  {done:>9}  {work}").expect("memory");
    };
    line("JOB", "STATE", "AGE", "DONE", "WORK");
    for job in jobs {
        let age = now.duration_since(UNIX_EPOCH + Duration::from_secs(job.began)).unwrap_or_default();
        let age = clock(Duration::from_secs(age.as_secs()));
        line(&job.job.to_string(), state(job), &age, &share(job), &job.work);
    }
    out
}

/// How much of it has an outcome.
fn share(job: &Listed) -> String {
    let progress = &job.progress;
    let outcomes = progress.skipped + progress.done + progress.failed;
    match progress.tasks {
        0 => "-".to_owned(),
        tasks => format!("{} %", outcomes * 100 / tasks),
    }
}

fn state(job: &Listed) -> &'static str {
    let why = job.stopped.as_ref().map(|stopped| stopped.why);
    match (job.ended, why) {
        (false, _) => "running",
        (true, Some(StopCause::Cancelled)) => "cancelled",
        (true, Some(StopCause::Input | StopCause::Checkpoint | StopCause::Storage | StopCause::Internal)) => {
            "stopped"
        }
        (true, None) if job.progress.failed > 0 => "failures",
        (true, None) => "done",
    }
}

fn object(job: &Listed) -> serde_json::Value {
    let progress = &job.progress;
    json!({
        "job": job.job.to_string(),
        "state": state(job),
        "work": job.work,
        "checkpoint": job.checkpoint.as_ref().map(ToString::to_string),
        "began": job.began,
        "detached": job.detached,
        "client": job.followed,
        "tasks": progress.tasks,
        "done": progress.done,
        "skipped": progress.skipped,
        "failed": progress.failed,
        "durable": progress.durable,
        "message": job.stopped.as_ref().map(|stopped| &stopped.message),
    })
}

#[cfg(test)]
mod tests {
    use shared::wire::client::{Progress, Stopped};

    use super::*;

    fn job(work: &str, tasks: u64, done: u64) -> Listed {
        Listed {
            job: JobId(0x0123_4567_89ab_cdef),
            work: work.to_owned(),
            checkpoint: None,
            began: 1_000_000,
            detached: true,
            followed: false,
            wants_results: false,
            progress: Progress { tasks, done, ..Progress::default() },
            ended: false,
            stopped: None,
        }
    }

    #[test]
    fn the_table_fits_a_narrow_terminal() {
        let ended = Listed { ended: true, ..job("command ./simulate --seed {}", 10, 10) };
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000 + 23 * 3600 + 59);
        let text = table(&[job("function factors:compute", 1_000_000, 450_000), ended], now, 60);
        assert_eq!(
            text,
            "\
JOB               STATE           AGE       DONE  WORK
0123456789abcdef  running    23:00:59       45 %  function..
0123456789abcdef  done       23:00:59      100 %  command ..
"
        );
        assert!(text.lines().all(|line| line.len() <= 60), "{text}");
    }

    #[test]
    fn a_state_says_how_it_ended() {
        let ended = |failed, why: Option<StopCause>| {
            let mut job = Listed { ended: true, ..job("w", 2, 1) };
            job.progress.failed = failed;
            job.stopped = why.map(|why| Stopped { why, message: "m".to_owned() });
            state(&job)
        };
        assert_eq!((ended(0, None), ended(1, None)), ("done", "failures"));
        assert_eq!(ended(0, Some(StopCause::Cancelled)), "cancelled");
        assert_eq!(ended(1, Some(StopCause::Storage)), "stopped");
        assert_eq!((state(&job("w", 0, 0)), share(&job("w", 0, 0)).as_str()), ("running", "-"));
    }
}
