//! A command per task.

use maniple_tests::{Program, Scratch, outcomes, outcomes::json};

use crate::cluster::Cluster;

fn seq(count: u32) -> String {
    (1..=count).map(|number| format!("{number}\n")).collect()
}

fn double(scratch: &Scratch, count: u32, more: &[&str]) -> Program {
    scratch.write("seq", seq(count));
    let mut command = scratch.command("run --tasks - -j 2");
    command.args(more).args(["--", "sh", "-c", "echo $(( {} * 2 ))"]);
    command.stdin(std::fs::File::open(scratch.file("seq")).expect("just written"));
    Program::start(command)
}

#[test]
fn two_thousand_commands_give_their_outputs() {
    let scratch = Scratch::new();
    let ended = double(&scratch, 2000, &[]).wait().expect_code(0);
    let mut outputs: Vec<u32> = ended.stdout.lines().map(|line| line.parse().expect("a number")).collect();
    outputs.sort_unstable();
    assert_eq!(outputs, (1..=2000).map(|number| number * 2).collect::<Vec<_>>());
}

#[test]
fn commands_are_kept_and_resumed_like_any_task() {
    let scratch = Scratch::new();
    let more = ["--checkpoint", "c.checkpoint", "--json"];
    let first = double(&scratch, 100, &more).wait().expect_code(0).json();
    let second = double(&scratch, 120, &more).wait().expect_code(0).json();
    assert_eq!(
        (first["done"].as_u64(), second["done"].as_u64(), second["skipped"].as_u64()),
        (Some(100), Some(20), Some(100))
    );
    let outcomes = outcomes(&scratch.file("c.checkpoint"));
    assert_eq!(outcomes.len(), 120);
    for (key, outcome) in outcomes {
        let number: u32 = json(&key).as_str().expect("text").parse().expect("a number");
        let value = json(&outcome.expect("a value"));
        assert_eq!(value["stdout"], format!("{}\n", number * 2));
        assert_eq!(value["stderr"], "");
    }
}

#[test]
fn fields_take_their_places() {
    let scratch = Scratch::new();
    scratch.write("t.csv", "date,code\n20240101,000001\n20240102,600000\n");
    let mut command = scratch.command("run -j 1 --tasks t.csv");
    command.args(["--", "printf", "%s|%s|%s|%s|%s|%s\\n", "{1}", "{code}", "all: {}", "{ text }", "{}"]);
    let ended = Program::start(command).wait().expect_code(0);
    let mut lines: Vec<&str> = ended.stdout.lines().collect();
    lines.sort_unstable();
    let line = |date: &str, code: &str| format!("{date}|{code}|all: {date} {code}|{{ text }}|{date}|{code}");
    assert_eq!(lines, [line("20240101", "000001"), line("20240102", "600000")]);
}

#[test]
fn a_place_that_no_task_fills_is_a_mistake_of_usage() {
    let scratch = Scratch::new();
    scratch.write("t.csv", "date,code\n20240101,000001\n");
    scratch.write("t.txt", "a\n");
    for (tasks, argument, texts) in [
        ("t.csv", "{cod}", ["t.csv", "{cod}", "date, code"]),
        ("t.csv", "{3}", ["t.csv", "{3}", "fields is 2"]),
        ("t.txt", "{2}", ["t.txt", "{2}", "fields is 1"]),
    ] {
        let mut command = scratch.command("run -j 1 --tasks");
        command.args([tasks, "--", "touch", "ran", argument]);
        Program::start(command).wait().expect_code(2).expect_error(&texts);
    }
    assert!(!scratch.file("ran").exists());
}

#[test]
fn a_failing_command_tells_its_story() {
    let scratch = Scratch::new();
    scratch.write("t.txt", "0\n3\nkill\nsleep\n");
    let script = "case $0 in kill) kill -9 $$;; sleep) sleep 100;; *) echo out; echo err >&2; exit $0;; esac";
    let mut command =
        scratch.command("run -j 2 --tasks t.txt --json --timeout 0.5 --checkpoint c.checkpoint");
    command.args(["--", "sh", "-c", script, "{}"]);
    let ended = Program::start(command).wait().expect_code(1);
    let summary = ended.json();
    assert_eq!((summary["done"].as_u64(), summary["failed"].as_u64()), (Some(1), Some(3)));
    let outcomes = outcomes(&scratch.file("c.checkpoint"));
    let failure = |name: &str| {
        let found = outcomes.iter().find(|(key, _)| json(key) == name).expect("the task is there");
        found.1.clone().expect_err("it has failed")
    };
    assert_eq!(failure("3").cause.to_string(), "exit code 3");
    assert_eq!((failure("3").stdout.as_str(), failure("3").stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(
        (failure("kill").cause.to_string().as_str(), failure("kill").attempt.0),
        ("signal 9 (SIGKILL)", 4)
    );
    assert_eq!(failure("sleep").cause.to_string(), "timeout after 0.5 s");
}

#[test]
fn a_program_that_is_not_there_ends_the_job_at_once() {
    let scratch = Scratch::new();
    scratch.write("t.txt", seq(1_000));
    let cluster = Cluster::start(&scratch, &[2, 1]);
    for verb in ["run -j 2", "submit --access-file access/client.access"] {
        let mut command = scratch.command(&format!("{verb} --tasks t.txt --checkpoint c.checkpoint"));
        command.args(["--", "no-such-program", "{}"]);
        Program::start(command).wait().expect_code(2).expect_error(&["no-such-program", "PATH"]);
        assert!(outcomes(&scratch.file("c.checkpoint")).is_empty(), "no task has failed");
    }
    cluster.stop();
}

#[test]
fn a_program_that_a_task_names_fails_that_task_alone() {
    let scratch = Scratch::new();
    scratch.write("t.txt", "no-such-program\ntrue\n");
    let mut command = scratch.command("run -j 1 --tasks t.txt --json");
    command.args(["--", "{}"]);
    let summary = Program::start(command).wait().expect_code(1).json();
    assert_eq!((summary["done"].as_u64(), summary["failed"].as_u64()), (Some(1), Some(1)));
    assert!(summary.to_string().contains("no-such-program"), "{summary}");
}
