//! More connections than there is room for, and peers that say nothing: who works goes on, and who is honest gets in.

use std::net::TcpStream;

use maniple_tests::{Program, Scratch};

use crate::cluster::Cluster;

/// More than handshakes may be under way at once.
const CROWD: usize = 80;

fn scratch(function: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("f.py", function);
    scratch.numbers("tasks.jsonl", 0..1_500);
    scratch
}

fn crowd(address: &str) -> Vec<TcpStream> {
    (0..CROWD).map(|_| TcpStream::connect(address).expect("the backlog takes it")).collect()
}

#[test]
fn silent_strangers_do_not_keep_others_out() {
    let scratch = scratch("def f(n):\n    return n\n");
    let cluster = Cluster::start(&scratch, &[1]);
    let _crowd = crowd(&cluster.listen);
    scratch.run("submit --access-file access/client.access f:f --tasks tasks.jsonl").expect_code(0);
    let said = cluster.coordinator.as_ref().expect("it runs").said();
    assert!(said.contains("turned a connection away"), "{said}");
    cluster.stop();
}

#[test]
fn without_descriptors_the_work_goes_on_and_later_others_get_in() {
    let scratch = scratch(
        "import time\ndef f(n):\n    with open('log', 'a') as log: log.write('x\\n')\n    time.sleep(0.003)\n    return n\n",
    );
    let mut cluster = Cluster::start(&scratch, &[]);
    drop(cluster.kill_coordinator());
    let mut shell = std::process::Command::new("sh");
    let maniple = maniple_tests::binary::maniple().display();
    let coordinator =
        format!("{maniple} coordinator --listen {} --access-dir access --log info", cluster.listen);
    shell.args(["-c", &format!("ulimit -n 40; exec {coordinator}")]);
    scratch.prepare(&mut shell);
    let coordinator = Program::start(shell);
    coordinator.wait_for("listening on ");
    cluster.coordinator = Some(coordinator);
    cluster.start_worker(1);
    let submit = "submit --access-file access/client.access f:f --tasks tasks.jsonl --json";
    let client = scratch.start(submit);
    scratch.wait_for_lines("log", 50);
    let held = crowd(&cluster.listen);
    cluster.coordinator.as_ref().expect("it runs").wait_for("failed to accept a connection");
    scratch.wait_for_lines("log", scratch.lines("log").len() + 200);
    drop(held);
    assert_eq!(client.wait().expect_code(0).json()["done"].as_u64(), Some(1_500));
    scratch.run(submit).expect_code(0);
    cluster.stop();
}
