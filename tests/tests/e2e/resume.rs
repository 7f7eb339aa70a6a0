//! The same checkpoint, another list: what is missing is computed, what was asked for is counted, nothing else is lost.

use std::collections::{BTreeMap, BTreeSet};

use maniple_tests::{
    Ended, Program, Scratch, outcomes, outcomes::values_by_number, program::PATIENCE, wait::until,
};
use serde_json::{Value, json};

const CHECKPOINT: &str = "c.checkpoint";
/// Tasks from here on wait for a file that nobody makes before the run is killed.
const HELD: u64 = 100;

/// Notes its number when it begins, in `ran`.
const FUNCTION: &str = r#"
import os, time
def f(n):
    fd = os.open("ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{n}\n".encode())
    os.close(fd)
    while n >= 100 and not os.path.exists("go"): time.sleep(0.005)
    return [n, n * 0.1, "x" * (n % 3)]
"#;
/// The same as a command.
const COMMAND: &str =
    "echo $1 >> ran; while [ $1 -ge 100 ] && ! [ -e go ]; do sleep 0.005; done; printf %s. $(($1 * 3))";

/// What is run.
#[derive(Clone, Copy)]
enum Work {
    Function,
    Command,
}

/// One checkpoint and what it should hold.
struct Job {
    scratch: Scratch,
    work: Work,
    known: BTreeSet<u64>,
}

impl Job {
    fn new(work: Work) -> Job {
        let scratch = Scratch::new();
        scratch.write("f.py", FUNCTION);
        Job { scratch, work, known: BTreeSet::new() }
    }

    fn start(&self, list: &[u64]) -> Program {
        self.scratch.write("tasks.jsonl", list.iter().map(|n| format!("[{n}]\n")).collect::<String>());
        // Batches of five: what is done is reported soon, whatever the other tasks wait for.
        let options = "run -j 2 --tasks tasks.jsonl --batch-size 5 --flush 0 --json --checkpoint";
        let mut command = self.scratch.command(&format!("{options} {CHECKPOINT}"));
        match self.work {
            Work::Function => command.arg("f:f"),
            Work::Command => command.args(["--", "sh", "-c", COMMAND, "sh", "{}"]),
        };
        Program::start(command)
    }

    fn value(&self, n: u64) -> Value {
        match self.work {
            Work::Function => json!([n, n as f64 * 0.1, "x".repeat(n as usize % 3)]),
            Work::Command => json!(format!("{}.", n * 3)),
        }
    }

    /// What the checkpoint has, by number. Fails if a task is in it twice, or if anything in it is damaged.
    fn held(&self) -> BTreeMap<u64, Value> {
        let mut held = values_by_number(&outcomes(&self.scratch.file(CHECKPOINT)));
        if let Work::Command = self.work {
            held.values_mut().for_each(|value| *value = value["stdout"].take());
        }
        held
    }

    /// Runs a list to its end, and fails unless exactly its missing tasks ran, once each.
    #[track_caller]
    fn computes_what_is_missing(&mut self, name: &str, list: &[u64]) {
        let before = self.scratch.lines("ran").len();
        let ended = self.start(list).wait().expect_code(0);
        let asked: BTreeSet<u64> = list.iter().copied().collect();
        let missing: Vec<u64> = asked.difference(&self.known).copied().collect();
        let mut ran: Vec<u64> =
            self.scratch.lines("ran")[before..].iter().map(|line| line.parse().expect("a number")).collect();
        ran.sort_unstable();
        assert_eq!(ran, missing, "{name}: what ran");
        let (all, new) = (asked.len() as u64, missing.len() as u64);
        let expected = [all, new, all - new, 0, 0, new];
        let counts = ["tasks", "done", "skipped", "failed", "left", "durable"];
        assert_eq!(told(&ended, &counts), expected, "{name}: {counts:?}");
        self.known.extend(asked);
        self.assert_everything_is_there(name);
    }

    #[track_caller]
    fn assert_everything_is_there(&self, name: &str) {
        let expected: BTreeMap<u64, Value> = self.known.iter().map(|&n| (n, self.value(n))).collect();
        assert_eq!(self.held(), expected, "{name}: what the checkpoint holds");
        self.scratch.run(&format!("checkpoint verify {CHECKPOINT}")).expect_code(0);
    }
}

fn told(ended: &Ended, names: &[&str]) -> Vec<u64> {
    let summary = ended.json();
    names.iter().map(|name| summary[name].as_u64().expect("a count")).collect()
}

/// The numbers below `count` in another order.
fn shuffled(count: u64) -> Vec<u64> {
    let mut order: Vec<u64> = (0..count).collect();
    // As random as it needs to be, and the same each time.
    order.sort_by_key(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    order
}

/// Another list each time, all against what the ones before have left.
fn every_list(work: Work) {
    let mut job = Job::new(work);
    let repeated: Vec<u64> = (30..60).chain((40..75).rev()).chain([70, 70, 70, 3, 3]).collect();
    let lists: [(&str, Vec<u64>); 9] = [
        ("the first", (0..40).collect()),
        ("the same", (0..40).collect()),
        ("a longer one", (0..50).collect()),
        ("a shorter one", (7..19).collect()),
        ("a shuffled one", shuffled(50)),
        ("a shuffled and longer one", shuffled(60)),
        ("one that repeats tasks, known and new", repeated),
        ("one of others only", (80..90).rev().collect()),
        ("all of them", shuffled(95)),
    ];
    for (name, list) in lists {
        job.computes_what_is_missing(name, &list);
    }
    assert_eq!(job.scratch.lines("ran").len(), 95, "each task ran once");
}

#[test]
fn any_list_of_calls_computes_exactly_what_is_missing() {
    every_list(Work::Function);
}

#[test]
fn any_list_of_commands_computes_exactly_what_is_missing() {
    every_list(Work::Command);
}

/// Kills a run in the midst of its tasks, and goes on with these lists in turn.
fn killed_run(work: Work) {
    let mut job = Job::new(work);
    let first: Vec<u64> = (0..HELD + 50).collect();
    let mut run = job.start(&first);
    job.scratch.wait_for_lines("ran", 1);
    // Those before the ones that wait, but for what is in the same batch as one that waits.
    let enough = HELD as usize - 10;
    let soon = || format!("the checkpoint does not come to hold {enough} values:\n{}", run.said());
    until(PATIENCE, || job.held().len() >= enough, soon);
    run.kill();
    job.scratch.assert_nothing_left();
    job.known = job.held().into_keys().collect();
    assert!(job.known.iter().all(|&n| n < HELD), "{:?}", job.known);
    job.assert_everything_is_there("after the kill");
    job.scratch.write("go", "");
    // Leaves some of the first list out, has some twice, and goes beyond it.
    let list: Vec<u64> = shuffled(HELD + 80).into_iter().filter(|n| n % 10 != 4).collect();
    let list = [&list[..], &list[20..60], &first[3..4]].concat();
    job.computes_what_is_missing("a shuffled one after a kill", &list);
    job.computes_what_is_missing("the first again", &first);
}

#[test]
fn a_killed_run_of_calls_goes_on_with_a_shuffled_list() {
    killed_run(Work::Function);
}

#[test]
fn a_killed_run_of_commands_goes_on_with_a_shuffled_list() {
    killed_run(Work::Command);
}

#[test]
fn a_list_answers_for_its_own_tasks_alone() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    assert n % 10 != 3, 'a three'\n    return n\n");
    let run = |first: u64, end: u64| {
        scratch.numbers("tasks.jsonl", first..end);
        scratch.run(&format!("run -j 1 f:f --tasks tasks.jsonl --json --checkpoint {CHECKPOINT}"))
    };
    let counts = ["tasks", "done", "skipped", "failed"];
    assert_eq!(told(&run(0, 20).expect_code(1), &counts), [20, 18, 0, 2]);
    // The failures that are not asked for are neither told nor tried again, nor forgotten.
    assert_eq!(told(&run(4, 13).expect_code(0), &counts), [9, 0, 9, 0]);
    assert_eq!(told(&run(4, 25).expect_code(1), &counts), [21, 4, 15, 2]);
    let failures = scratch.run(&format!("checkpoint failures {CHECKPOINT} --json")).expect_code(0).stdout;
    let failed: BTreeSet<u64> = failures
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["key"][0].as_u64().expect("a number"))
        .collect();
    assert_eq!(failed, BTreeSet::from([3, 13, 23]));
}

#[test]
fn a_repeated_task_is_one_result() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return n * 2\n");
    let ended = scratch.run_with_input("run -j 2 f:f --tasks -", "[1]\n[2]\n[1]\n1\n[2]\n").expect_code(0);
    let mut lines: Vec<&str> = ended.stdout.lines().collect();
    lines.sort_unstable();
    // `1` and `[1]` call the function alike and are two keys.
    assert_eq!(lines, ["[1,2]", "[[1],2]", "[[2],4]"]);
    assert!(ended.stderr.contains("3 tasks: 3 done"), "{}", ended.stderr);
}
