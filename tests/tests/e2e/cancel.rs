//! A job that is to end, or has just ended, as its coordinator is killed; and what `maniple cancel` says if it is left.

use std::{fs, path::PathBuf, sync::mpsc};

use maniple_tests::{Program, Scratch, outcomes, program::PATIENCE, wait::until};
use nix::sys::{signal::Signal, stat::Mode};

use crate::{
    attach::{ACCESS, coordinator, job, submit},
    cluster::Cluster,
};

/// A job whose second task of many is at work, until there is a file of its name; its number.
fn begin(scratch: &Scratch, cluster: &Cluster<'_>, name: &str) -> String {
    submit(scratch, name, 40, "--detach").wait().expect_code(0);
    scratch.wait_for_file(&format!("{name}.2"), coordinator(cluster));
    job(scratch, name).0
}

/// Cancels it, and leaves as soon as it is said that this is done.
fn cancel_and_leave(scratch: &Scratch, number: &str, grace: &str) {
    let cancel = scratch.start(&format!("cancel {ACCESS} {number} --grace {grace}"));
    cancel.wait_for(&format!("job {number} is being stopped"));
    cancel.signal(Signal::SIGINT);
    let told = cancel.wait().expect_code(130);
    assert!(told.stderr.contains("it ends without this command"), "{}", told.stderr);
}

/// Follows the job to its end; how many of its tasks have a value.
fn values_of_cancelled(scratch: &Scratch, name: &str) -> usize {
    scratch.run(&format!("attach {ACCESS} {}", job(scratch, name).0)).expect_code(130);
    assert_eq!(job(scratch, name).1, "cancelled");
    scratch.run(&format!("checkpoint verify {name}.checkpoint")).expect_code(0);
    outcomes(&scratch.file(&format!("{name}.checkpoint"))).values().filter(|one| one.is_ok()).count()
}

#[test]
fn reproduces_a_cancellation_that_the_next_coordinator_did_not_know() {
    let scratch = Scratch::new();
    let mut cluster = Cluster::start(&scratch, &[1]);
    let number = begin(&scratch, &cluster, "a");
    cancel_and_leave(&scratch, &number, "1000");
    cluster.kill_coordinator();
    cluster.start_coordinator();
    scratch.write("a", "");
    let values = values_of_cancelled(&scratch, "a");
    assert!((2..=4).contains(&values), "what was running, and what its worker had beside: {values}");
    cluster.stop();
}

#[test]
fn reproduces_tasks_that_ran_on_after_the_grace_of_a_client_that_had_left() {
    let scratch = Scratch::new();
    let mut cluster = Cluster::start(&scratch, &[1]);
    let number = begin(&scratch, &cluster, "a");
    cancel_and_leave(&scratch, &number, "0.5");
    assert_eq!(values_of_cancelled(&scratch, "a"), 1);
    // The same with another coordinator at the end of the grace.
    let number = begin(&scratch, &cluster, "b");
    cancel_and_leave(&scratch, &number, "0.5");
    cluster.kill_coordinator();
    cluster.start_coordinator();
    assert_eq!(values_of_cancelled(&scratch, "b"), 1);
    cluster.stop();
}

/// A file of a job in the state directory that nobody can write before it is read; hears when somebody wants to.
fn blocked(scratch: &Scratch, number: &str, name: &str) -> (PathBuf, mpsc::Receiver<fs::File>) {
    let path = scratch.file(&format!("access/state/jobs/{number}/{name}"));
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a new file");
    let (found, writer) = mpsc::channel();
    let fifo = path.clone();
    std::thread::spawn(move || found.send(fs::File::open(fifo).expect("somebody writes")));
    (path, writer)
}

#[test]
fn who_leaves_a_cancellation_that_was_not_taken_is_told() {
    let scratch = Scratch::new();
    let mut cluster = Cluster::start(&scratch, &[1]);
    let number = begin(&scratch, &cluster, "a");
    let cancel = format!("cancel {ACCESS} {number}");
    coordinator(&cluster).signal(Signal::SIGSTOP);
    let unheard = scratch.start(&cancel);
    until(PATIENCE, || catches(&unheard, Signal::SIGINT), || unheard.said());
    unheard.signal(Signal::SIGINT);
    let told = unheard.wait().expect_code(130);
    let expected = format!("job {number} was not cancelled: the coordinator was not reached");
    assert!(told.stderr.contains(&expected), "{}", told.stderr);
    coordinator(&cluster).signal(Signal::SIGCONT);
    assert_eq!(job(&scratch, "a").1, "running");

    let (_, writer) = blocked(&scratch, &number, "stop.new");
    let asked = scratch.start(&cancel);
    let writer = writer.recv_timeout(PATIENCE).expect("it is written down");
    asked.signal(Signal::SIGINT);
    let told = asked.wait().expect_code(130);
    assert!(told.stderr.contains(&format!("job {number} may go on: ")), "{}", told.stderr);
    cluster.kill_coordinator();
    drop(writer);
    cluster.start_coordinator();
    scratch.write("a", "");
    scratch.run(&format!("attach {ACCESS} {number}")).expect_code(1);
    cluster.stop();
}

/// Whether a program has a handler of its own for a signal.
fn catches(program: &Program, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid())).expect("it runs");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).expect("a mask");
    u64::from_str_radix(caught, 16).expect("a number") >> (signal as u64 - 1) & 1 == 1
}

#[test]
fn reproduces_an_end_that_a_client_had_heard_of_before_it_was_durable() {
    let scratch = Scratch::new();
    let mut cluster = Cluster::start(&scratch, &[1]);
    let client = submit(&scratch, "a", 2, "--json");
    scratch.wait_for_file("a.2", &client);
    let number = job(&scratch, "a").0;
    let (fifo, writer) = blocked(&scratch, &number, "summary.new");
    scratch.write("a", "");
    let writer = writer.recv_timeout(PATIENCE).expect("it is written down");
    cluster.kill_coordinator();
    drop(writer);
    fs::remove_file(fifo).expect("it is still there");
    cluster.start_coordinator();
    let told = client.wait().expect_code(0);
    assert!(told.stderr.contains("connected to the coordinator again"), "{}", told.stderr);
    assert_eq!(job(&scratch, "a").1, "done");
    cluster.stop();
}
