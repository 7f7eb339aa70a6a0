//! A panic in each actor: the job ends with every value right, and the log says what died, why, what was restarted.

use maniple_tests::{Program, Scratch, outcomes, outcomes::values_by_number};

use crate::cluster::Cluster;

const TASKS: u64 = 2_000;

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("f.py", "import time\ndef f(n):\n    time.sleep(0.0005)\n    return n * 3\n");
    scratch.numbers("tasks.jsonl", 0..TASKS);
    scratch
}

fn check(scratch: &Scratch) {
    let values = values_by_number(&outcomes(&scratch.file("c.checkpoint")));
    assert_eq!(values.len() as u64, TASKS);
    assert!(values.iter().all(|(n, value)| value.as_u64() == Some(n * 3)));
}

fn run_with_panic(actor: &str, pass: u32) {
    let scratch = scratch();
    let mut command = scratch
        .command("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json --flush 0.1 --log info");
    command.env("MANIPLE_INJECT", format!("panic:{actor}@{pass}"));
    let ended = Program::start(command).wait().expect_code(0);
    assert_eq!(ended.json()["tasks"].as_u64(), Some(TASKS), "{}", ended.stderr);
    check(&scratch);
    let said = |text: &str| ended.stderr.to_lowercase().contains(text);
    assert!(said(&format!("injected at {actor}")), "why it died is in the log:\n{}", ended.stderr);
    assert!(said("a child ended"), "what died is in the log:\n{}", ended.stderr);
}

#[test]
fn a_panicking_coordinator_is_restarted() {
    run_with_panic("coordinator", 12);
}

#[test]
fn a_panicking_checkpointer_is_restarted() {
    run_with_panic("checkpointer", 6);
}

#[test]
fn a_panicking_session_is_replaced() {
    run_with_panic("session", 9);
}

#[test]
fn a_panicking_listener_is_restarted() {
    run_with_panic("listener", 1);
}

#[test]
fn a_panicking_link_is_restarted() {
    run_with_panic("link", 5);
}

#[test]
fn a_panicking_pool_is_restarted() {
    run_with_panic("pool", 4);
}

#[test]
fn a_panicking_process_actor_is_replaced() {
    run_with_panic("process", 5);
}

#[test]
fn a_panicking_monitor_is_restarted() {
    run_with_panic("monitor", 1);
}

#[test]
fn a_panicking_node_ends_its_process_with_70_and_the_job_goes_on_elsewhere() {
    let scratch = scratch();
    let mut cluster = Cluster::start(&scratch, &[1]);
    let mut command = scratch.command("worker --access-file access/worker.access -j 1 --log info");
    command.env("MANIPLE_INJECT", "panic:node@20");
    let doomed = Program::start(command);
    let client = scratch.start(
        "submit --access-file access/client.access f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json",
    );
    let ended = doomed.wait().expect_code(70);
    assert!(ended.stderr.contains("injected at node"), "{}", ended.stderr);
    client.wait().expect_code(0);
    check(&scratch);
    cluster.workers.retain_mut(|worker| !worker.has_ended());
    cluster.stop();
}

#[test]
fn a_release_holds_no_faults_to_inject() {
    let release = maniple_tests::binary::root().join("target/release/maniple");
    let Ok(bytes) = std::fs::read(&release) else {
        return maniple_tests::skip::not_checked(
            "no faults in the release",
            "target/release/maniple is not built",
        );
    };
    if !cfg!(debug_assertions) {
        return maniple_tests::skip::not_checked(
            "no faults in the release",
            "the tests themselves run as a release",
        );
    }
    let needle = b"MANIPLE_INJECT";
    assert!(
        !bytes.windows(needle.len()).any(|window| window == needle),
        "{} knows MANIPLE_INJECT",
        release.display()
    );
}
