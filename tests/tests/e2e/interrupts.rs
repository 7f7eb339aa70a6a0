//! Ctrl-C once, twice, and the other signals: what is done is kept, what is left is said, nothing stays behind.

use std::{fs::File, io::Write, process::Command, time::Duration};

use maniple_tests::{Program, Scratch, binary, outcomes};
use nix::{pty::openpty, sys::signal::Signal};

use crate::cluster::Cluster;

const SLOW: &str = "import time\ndef f(n):\n    open(f'began{n}', 'w').close()\n    time.sleep(1000 if n == 3 else 0.2)\n    return n\n";

fn started(args: &str) -> (Scratch, Program) {
    let scratch = Scratch::new();
    scratch.write("f.py", SLOW);
    scratch.numbers("tasks.jsonl", 0..1_000);
    let run = scratch.start(&format!("run f:f --tasks tasks.jsonl --checkpoint c.checkpoint {args}"));
    scratch.wait_for_file("began3", &run);
    (scratch, run)
}

#[test]
fn the_first_interrupt_lets_running_tasks_end_within_the_grace() {
    let (scratch, run) = started("-j 2 --grace 1 --json");
    run.signal(Signal::SIGINT);
    let ended = run.wait().expect_code(130);
    let summary = ended.json();
    let kept = outcomes(&scratch.file("c.checkpoint"));
    assert_eq!(summary["done"].as_u64(), Some(kept.len() as u64));
    assert!(kept.len() >= 3 && kept.len() < 20, "{} outcomes", kept.len());
    assert!(ended.stderr.contains("stopping"), "{}", ended.stderr);
    assert!(
        !kept.contains_key(&rmp_serde::to_vec(&(3u64,)).expect("memory")),
        "task 3 was given up, not failed"
    );
    scratch.assert_nothing_left();
}

#[test]
fn the_second_interrupt_stops_at_once() {
    let (scratch, run) = started("-j 2 --grace 1000");
    run.signal(Signal::SIGINT);
    run.wait_for("stopping");
    run.signal(Signal::SIGINT);
    let ended = run.wait().expect_code(130);
    assert!(ended.stderr.contains("c.checkpoint"), "it says how to go on:\n{}", ended.stderr);
    scratch.assert_nothing_left();
}

#[test]
fn sigterm_is_told_by_the_exit_code() {
    let (scratch, run) = started("-j 2 --grace 0");
    run.signal(Signal::SIGTERM);
    run.wait().expect_code(143);
    scratch.assert_nothing_left();
}

#[test]
fn an_interrupt_from_the_terminal_reaches_the_whole_group_and_counts_once() {
    let scratch = Scratch::new();
    scratch.write("f.py", SLOW);
    scratch.numbers("tasks.jsonl", 0..50);
    let mut command =
        scratch.command("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --grace 1000");
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let run = Program::start(command);
    scratch.wait_for_file("began3", &run);
    let group = nix::unistd::Pid::from_raw(run.pid());
    nix::sys::signal::killpg(group, Signal::SIGINT).expect("it lives");
    run.wait_for("stopping");
    let mut run = run;
    assert!(!run.has_ended(), "task 3 is still waited for");
    nix::sys::signal::killpg(group, Signal::SIGINT).expect("it lives");
    run.wait().expect_code(130);
    scratch.assert_nothing_left();
}

/// Ctrl-Z at a terminal, a pause beyond the limit of a task, and `fg` in the shell.
fn is_stopped_and_goes_on(what: &str) {
    const TASKS: usize = 40;
    let scratch = Scratch::new();
    scratch.write(
        "f.py",
        "import time\ndef f(n):\n    with open('log', 'a') as log: log.write(f'{n}\\n')\n    time.sleep(0.3)\n",
    );
    scratch.numbers("tasks.jsonl", 0..TASKS as u64);
    let maniple = binary::maniple().display();
    let terminal = openpty(None, None).expect("a terminal");
    let script = format!(
        "{maniple} run -j 2 --timeout 1 --tasks tasks.jsonl --checkpoint c.checkpoint --quiet {what}
        echo $? > stopped
        until [ -e go ]; do sleep 0.01; done
        fg; echo $? > code"
    );
    let mut shell = Command::new("setsid");
    shell.args(["--ctty", "--wait", "bash", "--norc", "-ic", &script]);
    scratch.prepare(&mut shell);
    shell.stdin(terminal.slave);
    let shell = Program::start(shell);
    scratch.wait_for_lines("log", 6);
    File::from(terminal.master.try_clone().expect("a descriptor")).write_all(b"\x1a").expect("room");
    scratch.wait_for_lines("stopped", 1);
    // The length of the stop: beyond the limit of what was running.
    std::thread::sleep(Duration::from_millis(2_500));
    let begun = scratch.lines("log").len();
    assert!(begun < TASKS / 2, "{begun} tasks were begun by a run that is stopped");
    scratch.write("go", "");
    let said = shell.wait().stderr;
    assert_eq!(
        (scratch.lines("stopped"), scratch.lines("code")),
        (vec!["148".into()], vec!["0".into()]),
        "{said}"
    );
    assert_eq!(
        outcomes(&scratch.file("c.checkpoint")).values().filter(|outcome| outcome.is_ok()).count(),
        TASKS
    );
    assert_eq!(scratch.lines("log").len(), TASKS, "none was begun twice");
}

#[test]
fn a_run_that_was_stopped_at_the_terminal_goes_on_in_the_foreground() {
    is_stopped_and_goes_on("f:f");
}

#[test]
fn commands_that_end_while_their_run_is_stopped_have_not_taken_too_long() {
    is_stopped_and_goes_on("-- sh -c 'echo $0 >> log; sleep 0.3' {}");
}

#[test]
fn a_quit_stops_at_once_and_keeps_what_is_done() {
    let scratch = Scratch::new();
    scratch.write("f.py", SLOW);
    scratch.numbers("tasks.jsonl", 0..50);
    let mut command =
        scratch.command("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --grace 1000 --json");
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let run = Program::start(command);
    scratch.wait_for_file("began3", &run);
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(run.pid()), Signal::SIGQUIT).expect("it lives");
    let summary = run.wait().expect_code(131).json();
    assert_eq!(summary["done"].as_u64(), Some(outcomes(&scratch.file("c.checkpoint")).len() as u64));
    scratch.assert_nothing_left();
}

#[test]
fn a_quit_ends_each_part_of_a_cluster() {
    let scratch = Scratch::new();
    scratch.write("f.py", SLOW);
    scratch.numbers("tasks.jsonl", 0..50);
    let mut cluster = Cluster::start(&scratch, &[2, 2]);
    let client =
        scratch.start("submit --access-file access/client.access f:f --tasks tasks.jsonl --grace 1000");
    scratch.wait_for_file("began3", &client);
    let worker = cluster.workers.pop().expect("there are two");
    let coordinator = cluster.coordinator.take().expect("it runs");
    for part in [client, worker, coordinator] {
        part.signal(Signal::SIGQUIT);
        part.wait().expect_code(131);
    }
    cluster.stop();
}

#[test]
fn a_closed_standard_output_is_no_error() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return n\n");
    scratch.numbers("tasks.jsonl", 0..20_000);
    let mut shell = std::process::Command::new("sh");
    let run = format!(
        "{} run -j 2 f:f --tasks tasks.jsonl | head -n 2",
        maniple_tests::binary::maniple().display()
    );
    shell.args(["-c", &run]);
    scratch.prepare(&mut shell);
    let ended = Program::start(shell).wait().expect_code(0);
    assert_eq!(ended.stdout.lines().count(), 2);
    assert!(!ended.stderr.contains("panic"), "{}", ended.stderr);
}

#[test]
fn a_closed_standard_output_does_not_hide_what_failed() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    assert n\n    return n\n");
    let maniple = maniple_tests::binary::maniple().display();
    for (tasks, more, code) in
        [(0..9, "", "1"), (0..9, "--json", "1"), (1..9, "", "0"), (1..9, "--json", "0")]
    {
        scratch.numbers("tasks.jsonl", tasks);
        let run = format!("{maniple} run -j 1 --batch-size 1 f:f --tasks tasks.jsonl {more}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{{ {run}; echo $? > code; }} | head -n 0")]);
        scratch.prepare(&mut shell);
        Program::start(shell).wait();
        assert_eq!(scratch.lines("code"), [code], "{run}");
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return n\n");
    scratch.numbers("tasks.jsonl", 0..5);
    for more in ["", "--json"] {
        let mut shell = std::process::Command::new("sh");
        let binary = maniple_tests::binary::maniple().display();
        shell.args(["-c", &format!("{binary} run -j 1 f:f --tasks tasks.jsonl {more} > /dev/full")]);
        scratch.prepare(&mut shell);
        Program::start(shell).wait().expect_code(4).expect_error(&["standard output", "No space left"]);
    }
}
