//! The end of a job for programs: one JSON object with stable names (`docs/cli.md` lists them).
//!
//! Names are only ever added. What does not apply is `null`, never missing.

use serde::Serialize;
use shared::wire::client::StopCause;

use super::Ended;
use crate::keys;

#[derive(Serialize)]
struct Object<'a> {
    job: Option<String>,
    tasks: u64,
    done: u64,
    skipped: u64,
    failed: u64,
    left: u64,
    durable: u64,
    wall_seconds: Option<f64>,
    tasks_per_second: Option<f64>,
    retries: u64,
    workers_lost: u64,
    checkpoint: Option<String>,
    exit_code: u8,
    stopped: Option<Stopped<'a>>,
    failures: Vec<Group<'a>>,
}

#[derive(Serialize)]
struct Stopped<'a> {
    why: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct Group<'a> {
    reason: &'a str,
    count: u64,
    examples: Vec<Example<'a>>,
}

#[derive(Serialize)]
struct Example<'a> {
    key: serde_json::Value,
    host: &'a str,
    pid: u32,
    attempts: u16,
    message: &'a str,
    traceback: &'a str,
    stderr: &'a str,
}

/// The summary as one line of JSON, ended. `code` is the process's exit code.
pub fn machine(ended: &Ended, code: u8) -> String {
    let summary = &ended.summary;
    let progress = &summary.progress;
    let groups = summary.groups.iter().map(|group| Group {
        reason: &group.reason,
        count: group.count,
        examples: group
            .examples
            .iter()
            .map(|(key, failure)| Example {
                key: keys::json(key),
                host: &failure.host,
                pid: failure.pid,
                attempts: failure.attempt.0,
                message: &failure.message,
                traceback: &failure.traceback,
                stderr: &failure.stderr,
            })
            .collect(),
    });
    let object = Object {
        job: summary.job.map(|job| job.to_string()),
        tasks: progress.tasks,
        done: progress.done,
        skipped: progress.skipped,
        failed: progress.failed,
        left: ended.left(),
        durable: progress.durable,
        wall_seconds: ended.wall.map(|wall| wall.as_secs_f64()),
        tasks_per_second: ended.tasks_per_second(),
        retries: summary.incidents.retries,
        workers_lost: summary.incidents.workers_lost,
        checkpoint: ended.checkpoint.as_ref().map(ToString::to_string),
        exit_code: code,
        stopped: summary.stopped.as_ref().map(|it| Stopped { why: word(it.why), message: &it.message }),
        failures: groups.collect(),
    };
    serde_json::to_string(&object).expect("texts, numbers and lists are JSON") + "\n"
}

fn word(why: StopCause) -> &'static str {
    match why {
        StopCause::Cancelled => "cancelled",
        StopCause::Input => "input",
        StopCause::Checkpoint => "checkpoint",
        StopCause::Storage => "storage",
        StopCause::Internal => "internal",
    }
}
