//! Results without a checkpoint, whose way to their client is interrupted: each is printed once, and none is lost unless
//! the client is away for too long.

use maniple_tests::{Ended, Program, Scratch, chaos::relay::Relay};
use nix::sys::signal::Signal;

use crate::cluster::Cluster;

/// The first of the tasks end at once, the others once there is a file `go`, and say so.
const GATED: &str = r#"
import os, time
def f(n):
    if n < 5: return n
    while not os.path.exists("go"): time.sleep(0.01)
    with open("log", "a") as log: log.write(f"{n}\n")
    return n
def large(n):
    return f(n) if n < 5 else f(n) and "x" * (8 << 20)
"#;
const FIRST: usize = 5;
const OTHERS: usize = 12;

/// A cluster of one process with a client behind a relay, to which the first results have come.
fn begun<'a>(scratch: &'a Scratch, options: &'static str, function: &str) -> (Cluster<'a>, Relay, Program) {
    scratch.write("f.py", GATED);
    scratch.numbers("tasks.jsonl", 0..(FIRST + OTHERS) as u64);
    let cluster = Cluster::start_with(scratch, &[1], options);
    let relay = Relay::new(cluster.listen.clone());
    relay.access(scratch, "client", "client.access");
    let submit =
        format!("submit --access-file client.access f:{function} --tasks tasks.jsonl --batch-size 1");
    let client = scratch.start(&submit);
    client.wait_for_results(FIRST);
    (cluster, relay, client)
}

/// Has the other tasks done while the client hears nothing, and the connection lost with what they have given.
fn lose(scratch: &Scratch, relay: &Relay, tasks: usize) {
    relay.mute([false, true]);
    scratch.write("go", "");
    scratch.wait_for_lines("log", tasks);
    relay.cut();
    relay.mute([false, false]);
}

/// The tasks whose results were printed.
fn printed(ended: &Ended) -> Vec<usize> {
    let task = |line: &str| line.strip_prefix("[[")?.split(']').next()?.parse().ok();
    let mut tasks: Vec<_> = ended.stdout.lines().map(|line| task(line).expect("a result")).collect();
    tasks.sort_unstable();
    tasks
}

#[track_caller]
fn expect_all(client: Program) {
    let ended = client.wait().expect_code(0);
    assert_eq!(printed(&ended), (0..FIRST + OTHERS).collect::<Vec<_>>(), "{}", ended.stderr);
}

#[test]
fn reproduces_results_that_were_lost_as_a_killed_coordinator_had_others_before_its_client() {
    let scratch = Scratch::new();
    let (mut cluster, _relay, client) = begun(&scratch, "", "f");
    client.signal(Signal::SIGSTOP);
    drop(cluster.kill_coordinator());
    cluster.start_coordinator();
    scratch.write("go", "");
    scratch.wait_for_lines("log", OTHERS);
    client.signal(Signal::SIGCONT);
    expect_all(client);
    cluster.stop();
}

#[test]
fn reproduces_results_that_were_lost_with_a_connection() {
    let scratch = Scratch::new();
    let (cluster, relay, client) = begun(&scratch, "", "f");
    lose(&scratch, &relay, OTHERS);
    expect_all(client);
    cluster.coordinator.as_ref().expect("it runs").wait_for("a job has ended");
    cluster.stop();
}

/// 64 MiB are on their way, so that the job waits for its client, which comes back by another connection.
#[test]
fn reproduces_a_job_that_stood_still_as_it_had_waited_for_a_client_that_came_back() {
    let scratch = Scratch::new();
    let (cluster, relay, client) = begun(&scratch, "", "large");
    lose(&scratch, &relay, 8);
    expect_all(client);
    cluster.stop();
}

#[test]
fn a_client_that_was_away_for_too_long_says_that_results_are_missing() {
    let scratch = Scratch::new();
    let (cluster, relay, client) = begun(&scratch, "--client-grace 0.3", "f");
    client.signal(Signal::SIGSTOP);
    lose(&scratch, &relay, OTHERS);
    let coordinator = cluster.coordinator.as_ref().expect("it runs");
    coordinator.wait_for("its client has not come back");
    coordinator.wait_for("a job has ended");
    client.signal(Signal::SIGCONT);
    let ended = client.wait().expect_code(4).expect_error(&["results are missing", "--client-grace"]);
    assert_eq!(printed(&ended)[..FIRST], (0..FIRST).collect::<Vec<_>>());
    cluster.stop();
}
