//! Ends of jobs: the exact words, the exact object, the exit code.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::json;
use shared::{
    id::{Attempt, JobId},
    outcome::{Cause, Failure},
    wire::client::{FailureGroup, Incidents, Progress, Stopped},
};

use super::*;

fn ended(progress: Progress) -> Ended {
    let summary = Summary {
        job: Some(JobId(0xbeef)),
        progress: Progress { complete: true, ..progress },
        groups: Vec::new(),
        stopped: None,
        incidents: Incidents::default(),
    };
    Ended { summary, wall: Some(Duration::from_millis(2500)), checkpoint: None }
}

fn stopped(why: StopCause, message: &str) -> Option<Stopped> {
    Some(Stopped { why, message: message.to_owned() })
}

fn failure(message: &str, traceback: &str, stderr: &str) -> Failure {
    Failure {
        cause: Cause::NodeLost,
        message: message.to_owned(),
        traceback: traceback.to_owned(),
        stdout: "not shown".to_owned(),
        stderr: stderr.to_owned(),
        host: "east".to_owned(),
        pid: 77,
        attempt: Attempt(1),
    }
}

fn group(reason: &str, count: u64, examples: Vec<(serde_json::Value, Failure)>) -> FailureGroup {
    let encoded = |key| Bytes::from(rmp_serde::to_vec(&key).expect("any key"));
    let examples = examples.into_iter().map(|(key, failure)| (encoded(key), failure)).collect();
    FailureGroup { reason: reason.to_owned(), count, examples }
}

fn with_failures() -> Ended {
    let mut ended = ended(Progress {
        tasks: 10_005,
        done: 9_000,
        skipped: 1_000,
        failed: 5,
        durable: 9_005,
        ..Progress::default()
    });
    let traceback =
        "Traceback (most recent call last):\n  File \"factors.py\", line 3, in f\nValueError: bad\tcode\n";
    let twice = Failure { attempt: Attempt(4), ..failure("", "", "") };
    ended.summary.groups = vec![
        group(
            "ValueError",
            4,
            vec![
                (json!([20240102, "000001"]), failure("bad code", traceback, "x")),
                (json!(2), failure("only\nthis", "", "x")),
            ],
        ),
        group("signal 11 (SIGSEGV)", 1, vec![(json!({"day": 1}), twice)]),
    ];
    ended.summary.incidents = Incidents { retries: 3, workers_lost: 1, late: 2 };
    ended.checkpoint = Some(PathBuf::from("/data/f.checkpoint").into());
    ended
}

#[test]
fn a_job_without_trouble_is_two_lines() {
    let ended = ended(Progress { tasks: 1_000, done: 1_000, ..Progress::default() });
    assert_eq!(human(&ended), "1,000 tasks: 1,000 done\nwall time 2.5 s, 400/s\n");
}

#[test]
fn failures_are_grouped_and_have_a_story() {
    assert_eq!(
        human(&with_failures()),
        "10,005 tasks: 9,000 done, 1,000 skipped (already in the checkpoint), 5 failed\n\
         wall time 2.5 s, 3,602/s\n\
         survived: 3 attempts repeated, 1 worker lost, 2 late outcomes dropped\n\
         failed: 4 x ValueError\n\
         \x20 [20240102,\"000001\"]  (host east, pid 77, 1 attempt)\n\
         \x20     ValueError: bad code\n\
         \x20 2  (host east, pid 77, 1 attempt)\n\
         \x20     this\n\
         \x20 and 2 more\n\
         failed: 1 x signal 11 (SIGSEGV)\n\
         \x20 {\"day\":1}  (host east, pid 77, 4 attempts)\n\
         checkpoint: /data/f.checkpoint (9,005 outcomes of this run)\n\
         to try the failed tasks again, repeat the command\n"
    );
}

#[test]
fn an_interrupted_job_says_how_to_go_on() {
    let mut ended =
        ended(Progress { tasks: 1_000, done: 399, failed: 1, durable: 400, ..Progress::default() });
    ended.wall = Some(Duration::from_secs(3_725));
    ended.summary.stopped = stopped(StopCause::Cancelled, "Ctrl-C");
    let start = "1,000 tasks: 399 done, 1 failed, 600 left\nwall time 3725.0 s (1:02:05), 6.4/min\ninterrupted: Ctrl-C\n";
    let without = "nothing was kept: with --checkpoint FILE it could go on from here\n";
    assert_eq!(human(&ended), format!("{start}{without}"));
    ended.checkpoint = Some(PathBuf::from("c").into());
    let with = "checkpoint: c (400 outcomes of this run)\n\
                to compute the 600 tasks left and try the failed task again, repeat the command\n";
    assert_eq!(human(&ended), format!("{start}{with}"));
    ended.summary.progress = Progress { tasks: 2, done: 1, durable: 1, ..Progress::default() };
    assert!(human(&ended).ends_with("to compute the 1 task left, repeat the command\n"));
}

#[test]
fn many_groups_and_wild_texts_are_bounded() {
    let mut ended = ended(Progress { tasks: 100, failed: 100, ..Progress::default() });
    let wild = format!("\u{1b}[2J{}", "x".repeat(1000));
    ended.summary.groups =
        (0..20).map(|_| group(&wild, 5, vec![(json!(wild), failure(&wild, "", ""))])).collect();
    let text = human(&ended);
    assert!(
        text.contains("failed: 60 for other reasons\n") && text.matches("and 4 more").count() == 8,
        "{text}"
    );
    assert!(text.lines().all(|line| line.len() < 200) && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn programs_get_one_object() {
    let mut ended = with_failures();
    let text = machine(&ended, exit_code(&ended.summary));
    assert_eq!(text.matches('\n').count(), 1);
    let object: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let traceback = ended.summary.groups[0].examples[0].1.traceback.clone();
    let story = |key: serde_json::Value, attempts: u16, message: &str, traceback: &str, stderr: &str| {
        json!({"key": key, "host": "east", "pid": 77, "attempts": attempts, "message": message,
               "traceback": traceback, "stderr": stderr})
    };
    assert_eq!(
        object,
        json!({
            "job": "000000000000beef", "tasks": 10_005, "done": 9_000, "skipped": 1_000, "failed": 5, "left": 0,
            "durable": 9_005, "wall_seconds": 2.5, "tasks_per_second": 3602.0, "retries": 3, "workers_lost": 1,
            "checkpoint": "/data/f.checkpoint", "exit_code": 1, "stopped": null,
            "failures": [
                {"reason": "ValueError", "count": 4, "examples": [
                    story(json!([20240102, "000001"]), 1, "bad code", &traceback, "x"),
                    story(json!(2), 1, "only\nthis", "", "x"),
                ]},
                {"reason": "signal 11 (SIGSEGV)", "count": 1, "examples": [story(json!({"day": 1}), 4, "", "", "")]},
            ],
        })
    );
    ended.summary.stopped = stopped(StopCause::Storage, "disk full");
    ended.summary.job = None;
    let object: serde_json::Value = serde_json::from_str(&machine(&ended, 4)).expect("JSON");
    assert_eq!(object["stopped"], json!({"why": "storage", "message": "disk full"}));
    assert_eq!((&object["job"], &object["exit_code"]), (&json!(null), &json!(4)));
}

#[test]
fn exit_codes_tell_the_truth() {
    let all = Progress { tasks: 3, done: 1, skipped: 2, ..Progress::default() };
    let some = Progress { failed: 1, done: 0, ..all };
    let cut = Progress { done: 0, ..all };
    for (progress, why, code) in [
        (all, None, 0),
        (Progress::default(), None, 0),
        (some, None, 1),
        (cut, None, 70),
        (all, Some(StopCause::Cancelled), 130),
        (cut, Some(StopCause::Cancelled), 130),
        (some, Some(StopCause::Input), 2),
        (some, Some(StopCause::Checkpoint), 3),
        (some, Some(StopCause::Storage), 4),
        (some, Some(StopCause::Internal), 70),
    ] {
        let mut ended = ended(progress);
        ended.summary.stopped = why.and_then(|why| stopped(why, ""));
        assert_eq!(exit_code(&ended.summary), code, "{progress:?} {why:?}");
        let told = human(&ended).contains("internal error") || ended.error().is_some();
        assert_eq!(told, ![0, 1, 130].contains(&code), "what should not have happened is said: {why:?}");
    }
}
