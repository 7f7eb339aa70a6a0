//! Jobs that somebody comes back to: `maniple jobs`, `attach` and `cancel`, and what becomes of a job without a client.

use std::fmt::Write;

use maniple_tests::{Program, Scratch, outcomes};
use nix::sys::signal::Signal;

use crate::cluster::Cluster;

/// The tasks of a job are at work until its file is there; the last of four fails.
const GATED: &str = r#"
import os, time
def f(n, gate):
    open(f"{gate}.{n}", "w").close()
    while n > 1 and not os.path.exists(gate): time.sleep(0.01)
    if n == 4: raise ValueError("four")
    return n
"#;

pub const ACCESS: &str = "--access-file access/client.access";

/// A job of so many tasks that waits for the file of its name; with a checkpoint.
pub fn submit(scratch: &Scratch, name: &str, tasks: u64, options: &str) -> Program {
    scratch.write("f.py", GATED);
    let lines = (1..=tasks).fold(String::new(), |mut lines, n| {
        writeln!(lines, "[{n}, \"{name}\"]").expect("memory");
        lines
    });
    scratch.write(&format!("{name}.jsonl"), lines);
    let checkpoint = format!("--checkpoint {name}.checkpoint --flush 0 --batch-size 1");
    scratch.start(&format!("submit {ACCESS} f:f --tasks {name}.jsonl {checkpoint} {options}"))
}

/// The jobs as `maniple jobs` lists them: (number, state, checkpoint).
fn jobs(scratch: &Scratch) -> Vec<(String, String, String)> {
    let listed = scratch.run(&format!("jobs {ACCESS} --json")).expect_code(0).stdout;
    let objects = listed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    objects.map(|job| (text(&job["job"]), text(&job["state"]), text(&job["checkpoint"]))).collect()
}

/// The job with the checkpoint of this name: (number, state).
pub fn job(scratch: &Scratch, name: &str) -> (String, String) {
    let ending = format!("/{name}.checkpoint");
    let found = jobs(scratch).into_iter().find(|(_, _, checkpoint)| checkpoint.ends_with(&ending));
    let (number, state, _) = found.expect("it is listed");
    (number, state)
}

pub fn coordinator<'a>(cluster: &'a Cluster<'_>) -> &'a Program {
    cluster.coordinator.as_ref().expect("it runs")
}

#[test]
fn a_detached_job_is_come_back_to_left_and_followed_to_its_end() {
    let scratch = Scratch::new();
    let mut cluster = Cluster::start(&scratch, &[4]);
    assert_eq!(scratch.run(&format!("jobs {ACCESS}")).expect_code(0).stdout, "no jobs\n");
    let told = submit(&scratch, "a", 4, "--detach").wait().expect_code(0);
    assert!(told.stderr.contains("`maniple attach` comes back to it"), "{}", told.stderr);
    let (number, state) = job(&scratch, "a");
    assert_eq!(state, "running");

    let attach = format!("attach {ACCESS} {number} --json");
    let first = scratch.start(&attach);
    first.wait_for(&format!("following job {number}: function f:f"));
    first.signal(Signal::SIGINT);
    let first = first.wait().expect_code(130);
    let hint = format!("left job {number}, which goes on; `maniple cancel {ACCESS} {number}` stops it");
    assert!(first.stderr.contains(&hint), "{}", first.stderr);
    assert_eq!(job(&scratch, "a").1, "running");

    let second = scratch.start(&attach);
    second.wait_for("following job");
    cluster.kill_coordinator();
    cluster.start_coordinator();
    coordinator(&cluster).wait_for("another client follows a job");
    scratch.write("a", "");
    let ended = second.wait().expect_code(1);
    assert!(ended.stderr.contains("connected to the coordinator again"), "{}", ended.stderr);
    assert!(ended.stderr.contains("ValueError"), "{}", ended.stderr);
    let summary = ended.json();
    assert_eq!(
        (&summary["tasks"], &summary["failed"], &summary["exit_code"]),
        (&4.into(), &1.into(), &1.into())
    );
    assert_eq!(summary["job"], number.as_str());
    assert!(summary["wall_seconds"].is_null() && summary["checkpoint"].is_string(), "{summary}");

    let late = scratch.run(&attach).expect_code(1).json();
    assert_eq!(late, summary, "what is known of a job that has ended");
    assert_eq!(job(&scratch, "a").1, "failures");
    cluster.stop();
}

#[test]
fn a_job_that_nobody_knows_is_one_line() {
    let scratch = Scratch::new();
    let cluster = Cluster::start(&scratch, &[]);
    for verb in ["attach", "cancel"] {
        let ended = scratch.run(&format!("{verb} {ACCESS} 0123456789abcdef")).expect_code(2);
        ended.expect_error(&["knows no job 0123456789abcdef", &format!("`maniple jobs {ACCESS}`")]);
    }
    cluster.stop();
}

#[test]
fn a_job_ends_with_its_client_after_the_grace_unless_another_follows_it() {
    let scratch = Scratch::new();
    let cluster = Cluster::start_with(&scratch, &[4], "--client-grace 0.3");
    let mut followed = submit(&scratch, "followed", 2, "");
    scratch.wait_for_file("followed.2", &followed);
    let mut left = submit(&scratch, "left", 2, "");
    scratch.wait_for_file("left.2", &left);
    let attach = scratch.start(&format!("attach {ACCESS} {} --json", job(&scratch, "followed").0));
    attach.wait_for("following job");
    // The other's grace begins later, and is over.
    followed.kill();
    left.kill();
    let stopped = "its client has not come back";
    let (left, kept) = (job(&scratch, "left").0, job(&scratch, "followed").0);
    assert!(coordinator(&cluster).wait_for(stopped).contains(&left));
    coordinator(&cluster).wait_for("a job has ended");
    assert_eq!(job(&scratch, "left"), (left, "cancelled".to_owned()));
    scratch.run("checkpoint verify left.checkpoint").expect_code(0);
    let values = outcomes(&scratch.file("left.checkpoint")).values().filter(|one| one.is_ok()).count();
    assert_eq!(values, 1, "what was done is kept");

    assert_eq!(job(&scratch, "followed").1, "running");
    attach.signal(Signal::SIGTERM);
    let attach = attach.wait().expect_code(143);
    assert!(attach.stderr.contains("goes on as long as its own client is there"), "{}", attach.stderr);
    assert!(coordinator(&cluster).wait_for_times(stopped, 2).contains(&kept), "nobody follows it any more");
    coordinator(&cluster).wait_for_times("a job has ended", 2);
    cluster.stop();
}

#[test]
fn a_job_is_cancelled_by_its_number() {
    let scratch = Scratch::new();
    let cluster = Cluster::start(&scratch, &[2]);
    let client = submit(&scratch, "a", 2, "");
    scratch.wait_for_file("a.2", &client);
    let (number, _) = job(&scratch, "a");
    let cancel = format!("cancel {ACCESS} {number} --grace 0.1");
    let told = scratch.run(&cancel).expect_code(0);
    let expected = format!("job {number} is stopped: 1 of 2 tasks have a value");
    assert!(told.stderr.contains(&expected), "{}", told.stderr);
    client.wait().expect_code(130);
    assert_eq!(job(&scratch, "a").1, "cancelled");
    let late = scratch.run(&cancel).expect_code(0);
    assert!(late.stderr.contains("had ended before"), "{}", late.stderr);
    scratch.run(&format!("attach {ACCESS} {number} --quiet --json")).expect_code(130);
    cluster.stop();
}

#[test]
fn a_coordinator_with_a_job_at_work_ends_in_order() {
    let scratch = Scratch::new();
    let mut cluster = Cluster::start(&scratch, &[1]);
    submit(&scratch, "a", 2, "--detach").wait().expect_code(0);
    scratch.wait_for_file("a.1", coordinator(&cluster));
    let ended = cluster.coordinator.take().expect("it runs");
    ended.signal(Signal::SIGTERM);
    let ended = ended.wait().expect_code(143);
    assert!(!ended.stderr.contains("did not stop in order"), "{}", ended.stderr);
    cluster.stop();
}
