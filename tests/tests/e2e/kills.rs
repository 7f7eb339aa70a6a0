//! `kill -9` of every process there is: nothing that is durable is lost, nothing that a worker finished runs again.

use std::collections::{BTreeMap, BTreeSet};

use maniple_tests::{Program, Scratch, outcomes, outcomes::values_by_number, program::engine};
use nix::{sys::signal::Signal, unistd::Pid};

use crate::cluster::Cluster;

/// Logs the begin and the end of each run of a task, with one write each.
const LOGGED: &str = r#"
import os, time
def note(what, n):
    fd = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{what} {n}\n".encode())
    os.close(fd)
def f(n):
    note("begin", n)
    until = time.monotonic() + 0.004
    while time.monotonic() < until: pass
    note("end", n)
    return [n, n * 0.1]
"#;

fn check(scratch: &Scratch, tasks: u64) {
    let values = values_by_number(&outcomes(&scratch.file("c.checkpoint")));
    let expected: BTreeMap<u64, _> =
        (0..tasks).map(|n| (n, serde_json::json!([n, n as f64 * 0.1]))).collect();
    assert_eq!(values, expected);
}

/// How often each task was begun after it had ended.
fn run_again(scratch: &Scratch) -> Vec<u64> {
    let mut ended = BTreeSet::new();
    let mut again = Vec::new();
    for line in scratch.lines("log") {
        let (what, number) = line.split_once(' ').expect("two words");
        let number: u64 = number.parse().expect("a number");
        match what {
            "end" => drop(ended.insert(number)),
            _ if ended.contains(&number) => again.push(number),
            _ => {}
        }
    }
    again
}

#[test]
fn twenty_kills_of_the_coordinator_cost_no_finished_task() {
    const TASKS: u64 = 3_000;
    let scratch = Scratch::new();
    scratch.write("f.py", LOGGED);
    scratch.numbers("tasks.jsonl", 0..TASKS);
    let mut cluster = Cluster::start(&scratch, &[1, 1]);
    let client = scratch.start(
        "submit --access-file access/client.access f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json",
    );
    for kill in 1..=20 {
        scratch.wait_for_lines("log", kill * (TASKS as usize * 2) / 24);
        cluster.kill_coordinator();
        cluster.start_coordinator();
    }
    let client = client.wait().expect_code(0);
    assert_eq!(client.json()["tasks"].as_u64(), Some(TASKS));
    assert!(
        client.stderr.contains("lost the coordinator") && !client.stderr.contains("http"),
        "{}",
        client.stderr
    );
    cluster.stop();
    check(&scratch, TASKS);
    assert_eq!(run_again(&scratch), Vec::<u64>::new(), "tasks that had ended were begun again");
}

#[test]
fn a_killed_run_goes_on_from_its_checkpoint() {
    const TASKS: u64 = 1_200;
    let scratch = Scratch::new();
    scratch.write("f.py", LOGGED);
    scratch.numbers("tasks.jsonl", 0..TASKS);
    let args = "run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json --flush 0.2";
    let mut skipped = 0;
    for kill in 1..=5 {
        let mut run = scratch.start(args);
        scratch.wait_for_lines("log", kill * TASKS as usize / 4);
        run.kill();
        scratch.assert_nothing_left();
    }
    let summary = scratch.run(args).expect_code(0).json();
    skipped += summary["skipped"].as_u64().expect("a count");
    assert!(skipped > 0, "something was durable");
    check(&scratch, TASKS);
    // 0.2 s of two processes with tasks of 4 ms, and what had not been reported, for each kill.
    let again = run_again(&scratch).len();
    assert!(again <= 5 * 2 * (200 / 4 + 60), "{again} tasks ran again");
}

#[test]
fn the_death_of_a_worker_is_survived_by_the_other() {
    const TASKS: u64 = 800;
    let scratch = Scratch::new();
    scratch.write("f.py", LOGGED);
    scratch.numbers("tasks.jsonl", 0..TASKS);
    let mut cluster = Cluster::start(&scratch, &[1, 1]);
    let client = scratch.start(
        "submit --access-file access/client.access f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json",
    );
    scratch.wait_for_lines("log", 200);
    cluster.workers.remove(0).kill();
    cluster.coordinator.as_ref().expect("it runs").wait_for("lost the connection to a worker");
    client.wait().expect_code(0);
    check(&scratch, TASKS);
    cluster.stop();
}

/// The engine of `maniple run`, and the processes of its pool: all are children of the keeper.
pub fn family(run: &Program) -> (i32, Vec<i32>) {
    let children = run.descendants(1);
    let engine = engine(run.pid()).expect("an engine");
    (engine, children.into_iter().filter(|pid| *pid != engine).collect())
}

/// `kill -9` of keeper and engine in one moment.
pub fn kill_both(run: &Program) {
    let both = [run.pid(), family(run).0].map(Pid::from_raw);
    // Stopped first, so that neither can act on the other's end.
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        both.iter().for_each(|pid| nix::sys::signal::kill(*pid, signal).expect("it lives"));
    }
}

#[test]
fn killed_pool_processes_cost_nothing_but_their_task() {
    const TASKS: u64 = 1_000;
    let scratch = Scratch::new();
    scratch.write("f.py", LOGGED);
    scratch.numbers("tasks.jsonl", 0..TASKS);
    let run = scratch.start("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json");
    for kill in 1..=10 {
        scratch.wait_for_lines("log", kill * 150);
        if let Some(process) = family(&run).1.first() {
            let _ = nix::sys::signal::kill(Pid::from_raw(*process), Signal::SIGKILL);
        }
    }
    let summary = run.wait().expect_code(0).json();
    assert_eq!(summary["done"].as_u64(), Some(TASKS));
    check(&scratch, TASKS);
}

#[test]
fn a_killed_engine_takes_everything_with_it_and_says_so() {
    let scratch = Scratch::new();
    scratch.write("f.py", LOGGED);
    scratch.numbers("tasks.jsonl", 0..100_000);
    let run = scratch.start("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint");
    scratch.wait_for_lines("log", 100);
    let engine = family(&run).0;
    nix::sys::signal::kill(Pid::from_raw(engine), Signal::SIGKILL).expect("it lives");
    let ended = run.wait().expect_code(70);
    assert!(ended.stderr.contains("SIGKILL"), "{}", ended.stderr);
    scratch.assert_nothing_left();
}

#[test]
fn a_killed_keeper_takes_everything_with_it() {
    let scratch = Scratch::new();
    scratch.write("f.py", LOGGED);
    scratch.numbers("tasks.jsonl", 0..100_000);
    let run = scratch.start("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint");
    scratch.wait_for_lines("log", 100);
    run.signal(Signal::SIGKILL);
    run.wait();
    scratch.assert_nothing_left();
}

#[test]
fn a_keeper_and_an_engine_that_die_in_one_moment_leave_nothing() {
    let scratch = Scratch::new();
    scratch.write("f.py", LOGGED);
    scratch.numbers("tasks.jsonl", 0..100_000);
    let run = scratch.start("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint");
    scratch.wait_for_lines("log", 100);
    kill_both(&run);
    run.wait();
    scratch.assert_nothing_left();
}
