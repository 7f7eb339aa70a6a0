//! What outlives keeper and engine when both are killed in one moment, and `maniple cleanup`, which finds and ends it.

use std::{collections::BTreeSet, fs};

use maniple_tests::{Program, Scratch, program::PATIENCE, wait::until};
use nix::{sys::signal::Signal, unistd::Pid};

use crate::kills::{family, kill_both};

/// A task that leaves a daemon behind, twice forked and in a session of its own; that starts another one with an empty
/// environment. Both say who they are when SIGTERM does to them what it shall. Then the task waits to be let go.
const DAEMON: &str = r#"
import os, signal, time
def note(file, text):
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{text}\n".encode())
    os.close(fd)
def f(name, term):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if term == "ignored":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if os.fork() == 0:
                note(name, os.getpid())
                os.execve("/bin/sleep", ["sleep", "1000"], {})
            note(name, os.getpid())
            while True: time.sleep(1000)
        os._exit(0)
    while not os.path.exists("go"): time.sleep(0.01)
    return name
"#;

/// A run whose only task has left daemons behind, and their pids.
fn start(scratch: &Scratch, name: &str, term: &str) -> (Program, BTreeSet<i32>) {
    scratch.write("f.py", DAEMON);
    let tasks = format!("{name}.jsonl");
    scratch.write(&tasks, format!("[\"{name}\", \"{term}\"]\n"));
    let run = scratch.start(&format!("run -j 1 f:f --tasks {tasks} --json"));
    scratch.wait_for_lines(name, 2);
    let pids = scratch.lines(name).iter().map(|pid| pid.parse().expect("a pid")).collect();
    (run, pids)
}

/// The job that a process was started for, by its environment.
fn job_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let job = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"MANIPLE_JOB="));
    job.map(|job| String::from_utf8_lossy(job).into_owned())
}

/// What a list in JSON holds, by pid.
fn listed(text: &str) -> Vec<(i32, serde_json::Value)> {
    let objects = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    objects.map(|object| (object["pid"].as_i64().expect("a pid") as i32, object)).collect()
}

fn pids(text: &str) -> BTreeSet<i32> {
    listed(text).into_iter().map(|(pid, _)| pid).collect()
}

fn lives(pid: i32) -> bool {
    worker_state(pid).is_some_and(|state| state != 'Z')
}

fn worker_state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Kills keeper and engine of a run and waits until of its own children none is there; returns its job.
fn abandon(run: Program, daemons: &BTreeSet<i32>) -> String {
    let job = daemons.iter().find_map(|pid| job_of(*pid)).expect("a daemon with a mark");
    let children = family(&run).1;
    kill_both(&run);
    run.wait();
    let gone = || !children.iter().any(|pid| lives(*pid) && !daemons.contains(pid));
    until(PATIENCE, gone, || "a child outlives its keeper".to_owned());
    job
}

#[test]
fn daemons_of_a_run_that_was_killed_as_a_whole_are_listed_and_ended() {
    let scratch = Scratch::new();
    let (beside, daemons_beside) = start(&scratch, "beside", "taken");
    let (run, daemons) = start(&scratch, "killed", "taken");
    let (keeper, engine) = (run.pid(), family(&run).0);
    let job = abandon(run, &daemons);

    let list = scratch.run(&format!("cleanup --json --job {job}")).expect_code(1);
    assert_eq!(pids(&list.stdout), daemons);
    for (pid, told) in listed(&list.stdout) {
        let is_marked = job_of(pid).is_some();
        let why = told["why"].as_str().expect("a reason");
        assert_eq!(
            is_marked,
            why == format!("its keeper {keeper} and its engine {engine} are gone"),
            "{why}"
        );
        assert_eq!(!is_marked, why.ends_with(", which is left over, has started it"), "{why}");
        assert!(told["memory"].as_u64() > Some(0) && told["job"] == job.as_str(), "{told}");
        assert_eq!(told["command"].as_str().map(|command| command.contains("sleep 1000")), Some(!is_marked));
    }
    let table = scratch.run(&format!("cleanup --job {job}")).expect_code(1);
    assert!(table.stdout.contains("2 processes left over"), "{}", table.stdout);
    assert!(table.stderr.contains("`maniple cleanup --clean` ends them"), "{}", table.stderr);
    assert!(daemons.iter().all(|pid| lives(*pid)), "a list ends nobody");

    let all = scratch.run("cleanup --json");
    let owned: BTreeSet<i32> = family(&beside).1.into_iter().chain(daemons_beside.iter().copied()).collect();
    assert!(owned.is_disjoint(&pids(&all.stdout)), "what a living run owns: {}", all.stdout);

    let ended = scratch.run(&format!("cleanup --clean --job {job}")).expect_code(0);
    assert!(ended.stderr.contains("ended 2 processes"), "{}", ended.stderr);
    assert!(!daemons.iter().any(|pid| lives(*pid)), "both are gone");
    let none = scratch.run(&format!("cleanup --clean --job {job}")).expect_code(0);
    assert_eq!(none.stdout, "nothing is left over\n");
    assert!(owned.iter().all(|pid| lives(*pid)), "the other run was not touched");
    scratch.write("go", "");
    assert_eq!(beside.wait().expect_code(0).json()["done"], 1);
}

#[test]
fn daemons_that_ignore_sigterm_or_are_stopped_are_killed_after_the_grace() {
    let scratch = Scratch::new();
    let (run, daemons) = start(&scratch, "killed", "ignored");
    let job = abandon(run, &daemons);
    let stopped = *daemons.iter().next().expect("two");
    nix::sys::signal::kill(Pid::from_raw(stopped), Signal::SIGSTOP).expect("it lives");
    let ended = scratch.run(&format!("cleanup --clean --grace 0.2 --json --job {job}")).expect_code(0);
    assert_eq!(pids(&ended.stdout), daemons);
    assert!(listed(&ended.stdout).iter().all(|(_, told)| told["ended"] == true), "{}", ended.stdout);
    assert!(!daemons.iter().any(|pid| lives(*pid)), "both are gone");
    scratch.run(&format!("cleanup --json --job {job}")).expect_code(0);
}

#[test]
fn daemons_go_with_a_keeper_that_was_killed_alone() {
    let scratch = Scratch::new();
    let (run, daemons) = start(&scratch, "killed", "ignored");
    run.signal(Signal::SIGKILL);
    run.wait();
    let gone = || !daemons.iter().any(|pid| lives(*pid));
    until(PATIENCE, gone, || {
        "a daemon outlives its keeper, although the engine did not die with it".to_owned()
    });
}
