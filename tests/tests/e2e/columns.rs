//! A checkpoint is one table: its columns have names, its rows one shape, and a key is the same key in any task file.

use std::collections::BTreeMap;

use maniple_tests::{Scratch, outcomes, outcomes::values_by_number, program::PATIENCE, wait};
use serde_json::json;
use shared::checkpoint::FileHeader;

use crate::cluster::Cluster;

fn header(scratch: &Scratch, name: &str) -> FileHeader {
    let bytes = std::fs::read(scratch.file(name)).expect("a checkpoint");
    FileHeader::decode(&bytes).expect("a sound header").0
}

#[test]
fn rows_of_another_width_fail_and_the_old_ones_stay() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return [float(n), 0.5, 0.25]\n");
    scratch.numbers("tasks.jsonl", 0..5);
    let args = "run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint";
    scratch.run(args).expect_code(0);
    let old = outcomes(&scratch.file("c.checkpoint"));
    scratch.write(
        "f.py",
        "def f(n):\n    return {5: [n, 0.5], 6: [n, 2, 3], 7: {'n': n}, 8: None}.get(n, [float(n), 0.5, 0.25])\n",
    );
    scratch.numbers("tasks.jsonl", 0..10);
    let again = scratch.run(args).expect_code(1);
    for reason in ["2 values", "a value of type dict", "None"] {
        let message = format!("returned {reason}, but the rows of this checkpoint have 3 each; --any-shape");
        assert!(again.stderr.contains(&message), "{message}: {}", again.stderr);
    }
    let new = outcomes(&scratch.file("c.checkpoint"));
    assert!(old.iter().all(|(key, value)| new.get(key) == Some(value)), "old rows are untouched");
    assert_eq!(values_by_number(&new).into_keys().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 6, 9]);
    let summary = scratch.run(&format!("{args} --any-shape --json")).expect_code(0).json();
    assert_eq!((summary["done"].as_u64(), summary["skipped"].as_u64()), (Some(3), Some(7)));
    assert_eq!(values_by_number(&outcomes(&scratch.file("c.checkpoint")))[&7], json!({"n": 7}));
}

#[test]
fn rows_of_other_names_fail_and_say_which() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return {'open': n, 'close': 0.5}\n");
    scratch.numbers("tasks.jsonl", 0..3);
    let args = "run -j 1 f:f --tasks tasks.jsonl --checkpoint c.checkpoint";
    scratch.run(args).expect_code(0);
    scratch.write("f.py", "def f(n):\n    return {'close': 0.5, 'open' if n == 3 else 'vwap': n}\n");
    scratch.numbers("tasks.jsonl", 0..5);
    let message =
        "returned no `open` and an unknown `vwap`, but the rows of this checkpoint have 2 (open, close)";
    let again = scratch.run(args).expect_code(1);
    assert!(again.stderr.contains(message), "{}", again.stderr);
    let values = values_by_number(&outcomes(&scratch.file("c.checkpoint")));
    assert_eq!(values.len(), 4);
    assert_eq!(values[&3].to_string(), r#"{"close":0.5,"open":3}"#);
}

#[test]
fn named_columns_are_in_the_header_and_bind_the_first_run_too() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n, code):\n    return [[n, 1.5], {'close': n, 'open': 1}, [n]][n]\n");
    scratch.write("tasks.csv", "n,code\n0,000001\n1,000002\n2,x\n");
    let args = "run -j 1 f:f --tasks tasks.csv --checkpoint c.checkpoint";
    let first = scratch.run(&format!("{args} --columns open,close --compress zstd")).expect_code(1);
    let message = "returned 1 value, but the rows of this checkpoint have 2 (open, close)\n";
    assert!(first.stderr.contains(message), "{}", first.stderr);
    let header = header(&scratch, "c.checkpoint");
    assert_eq!(
        (header.columns, header.key_columns),
        (vec!["open".into(), "close".into()], vec!["n".into(), "code".into()])
    );
    assert_eq!(outcomes(&scratch.file("c.checkpoint")).values().filter(|outcome| outcome.is_ok()).count(), 2);
    let waived = scratch.run(&format!("{args} --any-shape")).expect_code(1);
    assert!(
        waived.stderr.contains(message),
        "--any-shape is for shapes that nobody named: {}",
        waived.stderr
    );
    for (columns, texts) in [
        ("open,close,vwap", &["has no `vwap`"][..]),
        ("open,vwap", &["has no `vwap`", "has `close`, which --columns does not name"]),
        ("close,open", &["in another order: open,close"]),
    ] {
        let other = scratch.run(&format!("{args} --columns {columns}"));
        other.expect_code(2).expect_error(texts);
    }
    scratch.run("run -j 1 f:f --tasks tasks.csv --checkpoint plain.checkpoint").expect_code(0);
    scratch
        .run("run -j 1 f:f --tasks tasks.csv --checkpoint plain.checkpoint --columns open,close")
        .expect_code(2)
        .expect_error(&["plain.checkpoint", "has no columns", "--fresh"]);
}

#[test]
fn a_restart_does_not_judge_later_values_by_earlier_ones() {
    let scratch = Scratch::new();
    let program = "
import os, time
def f(n):
    while n > 4 and not os.path.exists('go'): time.sleep(0.01)
    time.sleep(0.15)
    return [n] * (1 + n // 5)
";
    scratch.write("f.py", program);
    scratch.numbers("tasks.jsonl", 0..10);
    let mut cluster = Cluster::start(&scratch, &[1]);
    let client = scratch.start(
        "submit --access-file access/client.access f:f --tasks tasks.jsonl --checkpoint c.checkpoint --flush 0 --json",
    );
    let kept = || {
        let path = scratch.file("c.checkpoint");
        path.exists() && outcomes(&path).len() == 5
    };
    wait::until(PATIENCE, kept, || format!("the first values are kept: {}", client.said()));
    cluster.kill_coordinator();
    cluster.workers.pop().expect("it runs").kill();
    scratch.write("go", "");
    cluster.start_coordinator();
    cluster.start_worker(1);
    let summary = client.wait().expect_code(0).json();
    assert_eq!((summary["tasks"].as_u64(), summary["failed"].as_u64()), (Some(10), Some(0)));
    cluster.stop();
}

#[test]
fn a_key_is_the_same_in_any_task_file() {
    let scratch = Scratch::new();
    scratch.write(
        "f.py",
        "def f(*args, **fields):\n    open('log', 'a').write('called\\n')\n    return repr((args, fields))\n",
    );
    let lines = [
        "1",
        "\"1\"",
        "1.0",
        "true",
        "\"000001\"",
        "-20240102",
        "[20240102, \"é\"]",
        "{\"code\": \"x\", \"date\": 1}",
        "null",
        "[null]",
        "9223372036854775808",
    ];
    scratch.write("tasks.jsonl", lines.join("\n") + "\n");
    let run = |tasks: &str| {
        let args = format!("run -j 1 f:f --tasks {tasks} --checkpoint c.checkpoint --json");
        let summary = scratch.run(&args).expect_code(0).json();
        (summary["done"].as_u64().expect("a number"), summary["skipped"].as_u64().expect("a number"))
    };
    assert_eq!(run("tasks.jsonl"), (11, 0));
    // The same keys as Python's msgpack writes them, in another order, and some that only look the same.
    let mut keys: Vec<Vec<u8>> = lines
        .iter()
        .rev()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|value| rmp_serde::to_vec(&value).expect("memory"))
        .collect();
    let tuple = [
        &[0xc7, 3, 1, 0x92, 1, 2][..],
        &[0xc4, 1, b'1'],
        &[0x91, 1],
        &[0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0],
        &[0xcb, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    keys.extend(tuple.map(<[u8]>::to_vec));
    scratch.write("tasks.msgpack", keys.concat());
    assert_eq!(run("tasks.msgpack"), (5, 11));
    assert_eq!((run("tasks.msgpack"), run("tasks.jsonl")), ((0, 16), (0, 11)));
    assert_eq!(scratch.lines("log").len(), 16, "each key was called once");
    let values: BTreeMap<Vec<u8>, String> = outcomes(&scratch.file("c.checkpoint"))
        .into_iter()
        .map(|(key, value)| (key, rmp_serde::from_slice(&value.expect("a value")).expect("a text")))
        .collect();
    for (key, called) in [
        (&[1][..], "((1,), {})"),
        (&[0xa1, b'1'], "(('1',), {})"),
        (&[0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], "((1.0,), {})"),
        (&[0xc3], "((True,), {})"),
        (&[0xc7, 3, 1, 0x92, 1, 2], "(((1, 2),), {})"),
        (&[0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0], "((-0.0,), {})"),
    ] {
        assert_eq!(values[key], called);
    }
}
