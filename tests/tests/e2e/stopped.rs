//! What is stopped, slow or deaf: processes under SIGSTOP, tasks that ignore signals, disks and clocks that misbehave.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write, path::PathBuf, process::Command, thread};

use maniple_tests::{
    Program, Scratch, disk::SmallDisk, outcomes, outcomes::values_by_number, program::PATIENCE, skip, strace,
    wait::until,
};
use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use shared::outcome::Cause;

use crate::cluster::Cluster;

/// Logs each run of a task.
const LOGGED: &str = r#"
import os, time
def f(n):
    fd = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{n}\n".encode())
    os.close(fd)
    time.sleep(0.004)
    return n
"#;
const SUBMIT: &str =
    "submit --access-file access/client.access f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json";

fn scratch(tasks: u64) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("f.py", LOGGED);
    scratch.numbers("tasks.jsonl", 0..tasks);
    scratch
}

fn check(scratch: &Scratch, tasks: u64) {
    let values = values_by_number(&outcomes(&scratch.file("c.checkpoint")));
    assert_eq!(values.len() as u64, tasks);
    assert!(values.iter().all(|(n, value)| value.as_u64() == Some(*n)));
}

/// How often the task was begun that was begun most often.
fn most_begun(scratch: &Scratch) -> usize {
    let mut times = BTreeMap::<String, usize>::new();
    scratch.lines("log").into_iter().for_each(|task| *times.entry(task).or_default() += 1);
    times.into_values().max().unwrap_or(0)
}

#[test]
fn a_stopped_process_is_ended_by_the_limit_of_its_task() {
    let scratch = scratch(20);
    scratch.write(
        "f.py",
        "import os, signal\ndef f(n):\n    if n == 3: os.kill(os.getpid(), signal.SIGSTOP)\n    return n\n",
    );
    scratch
        .run("run -j 1 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --timeout 1 --quiet")
        .expect_code(1);
    let outcomes = outcomes(&scratch.file("c.checkpoint"));
    assert_eq!(outcomes.len(), 20);
    let failures: Vec<_> = outcomes.values().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].cause, Cause::Timeout(1_000));
}

#[test]
fn a_task_that_ignores_every_signal_is_killed_after_the_grace() {
    let scratch = scratch(5);
    scratch.write(
        "f.py",
        "import signal, time\ndef f(n):\n    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n        signal.signal(each, signal.SIG_IGN)\n    open('began', 'w').close()\n    while True: time.sleep(1000)\n",
    );
    let run = scratch.start("run -j 2 f:f --tasks tasks.jsonl --grace 0.2");
    scratch.wait_for_file("began", &run);
    run.signal(Signal::SIGTERM);
    run.wait().expect_code(143);
    scratch.assert_nothing_left();
}

#[test]
fn a_worker_that_was_stopped_beyond_its_lease_doubles_no_outcome() {
    const TASKS: u64 = 1_500;
    let scratch = scratch(TASKS);
    let cluster = Cluster::start_with(&scratch, &[2, 1], "--lease 1");
    let client = scratch.start(SUBMIT);
    scratch.wait_for_lines("log", 200);
    let stopped = &cluster.workers[0];
    let machine: Vec<i32> = [stopped.pid()].into_iter().chain(stopped.descendants(1)).collect();
    let all = |signal| machine.iter().for_each(|pid| kill(Pid::from_raw(*pid), signal).expect("it lives"));
    all(Signal::SIGSTOP);
    cluster.coordinator.as_ref().expect("it runs").wait_for("silent for its whole lease");
    all(Signal::SIGCONT);
    stopped.wait_for_times("connected", 2);
    let summary = client.wait().expect_code(0).json();
    assert_eq!(summary["workers_lost"].as_u64(), Some(1), "{summary}");
    check(&scratch, TASKS);
    assert!(most_begun(&scratch) <= 2, "one stop explains one more run");
    cluster.stop();
}

#[test]
fn clients_tell_of_a_stopped_coordinator_wait_for_it_and_heed_ctrl_c_meanwhile() {
    let scratch = scratch(1);
    let gate = "    while n == 0 and not os.path.exists('go'): time.sleep(0.01)\n";
    scratch.write("f.py", LOGGED.replace("    time.sleep(0.004)\n", gate));
    let cluster = Cluster::start_with(&scratch, &[2], "--lease 1");
    let patient = scratch.start(SUBMIT);
    let endless = scratch.file("endless.jsonl");
    mkfifo(&endless, Mode::S_IRWXU).expect("a pipe");
    let hurried = scratch.start("submit --access-file access/client.access f:f --tasks endless.jsonl");
    let mut tasks = OpenOptions::new().write(true).open(&endless).expect("it is read");
    writeln!(tasks, "[1000]").expect("it is read");
    scratch.wait_for_lines("log", 2);
    let coordinator = cluster.coordinator.as_ref().expect("it runs");
    coordinator.signal(Signal::SIGSTOP);
    // More than a connection holds that nobody reads: the client must not wait for it to be read.
    let more = thread::spawn(move || while tasks.write_all(&b"[2000]\n".repeat(10_000)).is_ok() {});
    hurried.wait_for("silent for 1 s");
    patient.wait_for("silent for 1 s");
    hurried.signal(Signal::SIGINT);
    hurried.wait().expect_code(130);
    more.join().expect("its reader has gone");
    coordinator.signal(Signal::SIGCONT);
    scratch.write("go", "");
    patient.wait().expect_code(0);
    check(&scratch, 1);
    cluster.stop();
}

#[test]
fn a_stopped_coordinator_gives_no_worker_up_for_its_own_pause() {
    const TASKS: u64 = 1_500;
    let scratch = scratch(TASKS);
    let cluster = Cluster::start_with(&scratch, &[1, 1], "--lease 1");
    let client = scratch.start(SUBMIT);
    scratch.wait_for_lines("log", 200);
    let coordinator = cluster.coordinator.as_ref().expect("it runs");
    coordinator.signal(Signal::SIGSTOP);
    // Longer than a lease: the workers have noticed.
    cluster.workers.iter().for_each(|worker| drop(worker.wait_for("lost the coordinator")));
    coordinator.signal(Signal::SIGCONT);
    let summary = client.wait().expect_code(0).json();
    assert_eq!(summary["workers_lost"].as_u64(), Some(0), "{}", coordinator.said());
    assert!(!coordinator.said().contains("silent for its whole lease"), "{}", coordinator.said());
    check(&scratch, TASKS);
    assert_eq!(most_begun(&scratch), 1);
    cluster.stop();
}

#[test]
fn a_disk_that_takes_longer_than_a_lease_to_sync_costs_no_worker() {
    if let Some(why) = strace::missing() {
        return skip::not_checked("a slow disk", why);
    }
    let scratch = scratch(60);
    let cluster = Cluster::start_with(&scratch, &[1], "--lease 1");
    let coordinator = cluster.coordinator.as_ref().expect("it runs");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-o",
        ".strace",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:delay_exit=1600ms",
    ]);
    command.args(["-p", &coordinator.pid().to_string()]);
    scratch.prepare(&mut command);
    let slow = Program::start(command);
    slow.wait_for("attached");
    scratch.run(&format!("{SUBMIT} --flush 0.1")).expect_code(0);
    let trace = std::fs::read_to_string(scratch.file(".strace")).expect("strace has written it");
    assert!(trace.contains("(DELAYED)"), "a sync was slow: {trace}");
    slow.signal(Signal::SIGINT);
    slow.wait();
    let said = coordinator.said();
    assert!(!said.contains("lost the connection") && !said.contains("silent"), "{said}");
    check(&scratch, 60);
    cluster.stop();
}

#[test]
fn clocks_that_are_years_apart_are_no_matter() {
    if !Command::new("faketime").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skip::not_checked("wrong clocks", "faketime is not installed (Debian package faketime)");
    }
    let scratch = scratch(300);
    // Without a pause: those of Python fail under faketime.
    scratch.write("f.py", LOGGED.replace("time.sleep(0.004)", "time.monotonic()"));
    let cluster = Cluster::start(&scratch, &[]);
    let at = |date: &str, args: &str| {
        let maniple = scratch.command(args);
        let mut command = Command::new("faketime");
        command.arg(date).arg(maniple.get_program()).args(maniple.get_args());
        scratch.prepare(&mut command);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("MANIPLE_LOG", "info");
        Program::start(command)
    };
    let worker = at("2001-01-01 00:00:00", "worker --access-file access/worker.access -j 1");
    worker.wait_for("connected");
    at("2039-01-01 00:00:00", &format!("{SUBMIT} --timeout 30")).wait().expect_code(0);
    check(&scratch, 300);
    assert_eq!(most_begun(&scratch), 1);
    // faketime is the worker's parent, and ends as it does.
    let keeper = Pid::from_raw(worker.descendants(1)[0]);
    kill(keeper, Signal::SIGTERM).expect("it lives");
    worker.wait().expect_code(143);
    cluster.stop();
}

/// Where Debian puts the library that fakes clocks.
fn faketime_library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    let paths = folders.filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")));
    paths.into_iter().find(|path| path.exists())
}

#[test]
fn clocks_that_jump_while_a_job_runs_are_no_matter() {
    const TASKS: u64 = 1_500;
    let Some(library) = faketime_library() else {
        return skip::not_checked("clocks that jump", "faketime is not installed (Debian package faketime)");
    };
    let scratch = scratch(TASKS);
    // Without a pause: those of Python fail under faketime.
    let spin = "until = time.monotonic() + 0.004\n    while time.monotonic() < until: pass";
    let function = LOGGED.replace("time.sleep(0.004)", spin).replace("{n}\\n", "{time.time():.0f} {n}\\n");
    scratch.write("f.py", function);
    let set = |clock: &str| {
        scratch.write("clock.new", clock);
        std::fs::rename(scratch.file("clock.new"), scratch.file("clock")).expect("ours");
    };
    let start = |args: &str| {
        let mut command = scratch.command(args);
        command.env("LD_PRELOAD", &library).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.env("FAKETIME_TIMESTAMP_FILE", scratch.file("clock")).env("FAKETIME_NO_CACHE", "1");
        Program::start(command)
    };
    set("+0d");
    let coordinator = start("coordinator --listen 127.0.0.1:0 --access-dir access --lease 2 --log info");
    coordinator.wait_for("listening on ");
    let worker = start("worker --access-file access/worker.access -j 1");
    let client = start(&format!("{SUBMIT} --timeout 30 --flush 0.1"));
    for (jump, clock) in ["+1d", "-20y", "+13y", "-3h", "-55y"].into_iter().enumerate() {
        scratch.wait_for_lines("log", 200 * (jump + 1));
        set(clock);
    }
    let summary = client.wait().expect_code(0).json();
    assert_eq!(
        (summary["workers_lost"].as_u64(), summary["retries"].as_u64()),
        (Some(0), Some(0)),
        "{summary}"
    );
    assert!(summary["wall_seconds"].as_f64().is_some_and(|took| took > 1.0 && took < 120.0), "{summary}");
    let said = coordinator.said();
    assert!(!said.contains("lost the connection") && !said.contains("silent"), "{said}");
    check(&scratch, TASKS);
    let times: Vec<i64> = scratch
        .lines("log")
        .iter()
        .map(|line| line.split(' ').next().expect("a time").parse().expect("a number"))
        .collect();
    let jumps = times.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) > 3_600).count();
    assert_eq!((times.len() as u64, jumps), (TASKS, 5), "each was begun once, and saw its clock");
    for program in [worker, coordinator] {
        program.signal(Signal::SIGTERM);
        program.wait().expect_code(143);
    }
}

#[test]
fn reproduces_a_coordinator_that_gave_its_jobs_up_when_it_was_started_on_a_full_disk() {
    const TASKS: u64 = 800;
    let scratch = scratch(TASKS);
    let Some(disk) = SmallDisk::mount(&scratch.file("disk")) else {
        return skip::not_checked("a restart on a full disk", "mounting a tmpfs needs root");
    };
    let mut cluster = Cluster::start(&scratch, &[1]);
    let checkpoint = scratch.file("disk/c.checkpoint");
    let client = scratch.start(&SUBMIT.replace("c.checkpoint", "disk/c.checkpoint --flush 0.05"));
    until(PATIENCE, || checkpoint.exists() && outcomes(&checkpoint).len() > 50, || "nothing is kept".into());
    cluster.kill_coordinator();
    disk.fill();
    cluster.start_coordinator();
    cluster.coordinator.as_ref().expect("it runs").wait_for("for space");
    disk.free();
    client.wait().expect_code(0);
    assert_eq!(outcomes(&checkpoint).len() as u64, TASKS);
    cluster.stop();
}
