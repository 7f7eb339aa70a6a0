//! Functions over tasks: values bit for bit, the same on one machine, a cluster, and a plain loop.

use std::{collections::BTreeMap, path::Path, process::Command};

use maniple_tests::{Program, Scratch, binary, outcomes, outcomes::values_by_number};

use crate::cluster::Cluster;

/// Computes the factors of all tasks in a plain loop and writes key and value as MessagePack, one behind the other.
const SERIAL: &str = r#"
import csv, struct, sys
import alphas
def pack(value):
    if isinstance(value, float): return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str): data = value.encode(); return bytes([0xa0 | len(data)]) + data
    return bytes([0x90 | len(value)]) + b"".join(map(pack, value))
with open(sys.argv[1], newline="") as tasks, open(sys.argv[2], "wb") as out:
    for row in csv.DictReader(tasks):
        key = [row["date"], row["code"]]
        out.write(pack(key) + pack(alphas.factors(*key)))
"#;

/// The factor example and one task for each of its rows.
pub fn factors(scratch: &Scratch) -> usize {
    let example = binary::root().join("examples/factors");
    for name in ["alphas.py", "sp500_daily_sample.csv"] {
        std::fs::copy(example.join(name), scratch.file(name)).expect("the example is there");
    }
    let sample = std::fs::read_to_string(scratch.file("sp500_daily_sample.csv")).expect("text");
    let rows: Vec<String> = sample
        .lines()
        .skip(1)
        .map(|line| format!("{},{}\n", &line[..10], line.rsplit(',').next().expect("a name")))
        .collect();
    scratch.write("tasks.csv", format!("date,code\n{}", rows.concat()));
    rows.len()
}

fn serial(scratch: &Scratch) -> outcomes::Outcomes {
    let mut command = Command::new(binary::python());
    command.args(["-c", SERIAL, "tasks.csv", "serial.bin"]);
    scratch.prepare(&mut command);
    Program::start(command).wait().expect_code(0);
    let bytes = std::fs::read(scratch.file("serial.bin")).expect("written");
    let items: Vec<&[u8]> = shared::msgpack::values(&bytes).map(|item| item.expect("well formed")).collect();
    items.chunks(2).map(|pair| (pair[0].to_vec(), Ok(pair[1].to_vec()))).collect()
}

#[test]
fn factors_are_the_same_bits_on_one_machine_on_a_cluster_and_in_a_plain_loop() {
    let scratch = Scratch::new();
    let tasks = factors(&scratch);
    scratch
        .run("run -j 2 alphas:factors --tasks tasks.csv --checkpoint one.checkpoint --quiet")
        .expect_code(0);
    let cluster = Cluster::start(&scratch, &[1, 1]);
    scratch
        .run("submit --access-file access/client.access alphas:factors --tasks tasks.csv --checkpoint two.checkpoint")
        .expect_code(0);
    cluster.stop();
    let expected = serial(&scratch);
    assert_eq!(expected.len(), tasks);
    assert_eq!(outcomes(&scratch.file("one.checkpoint")), expected);
    assert_eq!(outcomes(&scratch.file("two.checkpoint")), expected);
}

#[test]
fn a_fresh_start_keeps_the_old_file() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return n\n");
    scratch.numbers("tasks.jsonl", 0..5);
    let run = |more: &str| {
        let args = format!("run -j 1 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json {more}");
        scratch.run(&args).expect_code(0).json()["done"].as_u64()
    };
    assert_eq!((run(""), run("--fresh")), (Some(5), Some(5)));
    let names = std::fs::read_dir(scratch.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name());
    let old: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".old")).collect();
    assert_eq!(old.len(), 1, "{old:?}");
    assert_eq!(outcomes(&scratch.file(old[0].to_str().expect("text"))).len(), 5);
}

#[test]
fn failed_tasks_are_tried_again_by_the_next_run() {
    let scratch = Scratch::new();
    scratch.write(
        "f.py",
        "import os\ndef f(n):\n    assert n != 3 or os.path.exists('mended'), 'not yet'\n    return n\n",
    );
    scratch.numbers("tasks.jsonl", 0..6);
    let args = "run -j 1 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json";
    let first = scratch.run(args).expect_code(1).json();
    assert_eq!((first["done"].as_u64(), first["failed"].as_u64()), (Some(5), Some(1)));
    assert_eq!(first["failures"][0]["reason"], "AssertionError");
    scratch.write("mended", "");
    let second = scratch.run(args).expect_code(0).json();
    assert_eq!((second["done"].as_u64(), second["skipped"].as_u64()), (Some(1), Some(5)));
    assert_eq!(values_by_number(&outcomes(&scratch.file("c.checkpoint"))).len(), 6);
}

#[test]
fn processes_are_replaced_after_so_many_tasks() {
    let scratch = Scratch::new();
    scratch.write("f.py", "import os\ndef f(n):\n    return [n, os.getpid()]\n");
    scratch.numbers("tasks.jsonl", 0..20);
    let args = "run -j 2 f:f --tasks tasks.jsonl --tasks-per-process 3 --retries 0";
    let ended = scratch.run(args).expect_code(0);
    let mut calls = BTreeMap::<&str, usize>::new();
    for line in ended.stdout.lines() {
        let (_, pid) = line.rsplit_once(',').expect("a key and a list of two");
        *calls.entry(pid).or_default() += 1;
    }
    assert_eq!(calls.values().sum::<usize>(), 20);
    assert!(calls.values().all(|calls| *calls <= 3), "{calls:?}");
}

#[test]
fn results_without_a_checkpoint_go_to_standard_output() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return {'n': n}\n");
    scratch.numbers("tasks.jsonl", 0..3);
    let ended = scratch.run("run -j 2 f:f --tasks tasks.jsonl").expect_code(0);
    let mut lines: Vec<&str> = ended.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [r#"[[0],{"n":0}]"#, r#"[[1],{"n":1}]"#, r#"[[2],{"n":2}]"#]);
}

#[test]
fn many_trivial_tasks_all_come_through() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return float(n)\n");
    scratch.numbers("tasks.jsonl", 0..200_000);
    let summary = scratch
        .run("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json")
        .expect_code(0)
        .json();
    assert_eq!((summary["done"].as_u64(), summary["durable"].as_u64()), (Some(200_000), Some(200_000)));
    let values = values_by_number(&outcomes(&scratch.file("c.checkpoint")));
    assert_eq!(values.len(), 200_000);
    assert!(values.iter().all(|(n, value)| value.as_f64() == Some(*n as f64)));
    assert!(Path::new(&scratch.file("c.checkpoint")).exists());
}
