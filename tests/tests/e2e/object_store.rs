//! Checkpoints on an object store, from outside: killed and gone on from, fought over, and every mistake one can make.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
};

use maniple_tests::{
    Ended, Program, Scratch, outcomes,
    outcomes::values_by_number,
    s3::{Server, server},
};
use serde_json::{Value, json};

const TASK: &str = r#"
import os, time
def f(n):
    with open("log", "a") as log: log.write(f"{n}\n")
    until = time.monotonic() + 0.004
    while time.monotonic() < until: pass
    return [n, n * 0.1]
def waits(n):
    with open("log", "a") as log: log.write(f"{n}\n")
    while n < 100 and not os.path.exists("go"): time.sleep(0.01)
    return n
"#;

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("f.py", TASK);
    scratch
}

fn with(server: &Server, mut command: Command) -> Program {
    command.envs(server.environment());
    Program::start(command)
}

/// The bytes of a file, put together after `docs/checkpoint-format.md`; `get` reads an object.
fn put_together(ending: &str, get: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    let manifest: Value = serde_json::from_slice(&get("manifest")).expect("JSON");
    assert_eq!(manifest["format"], 1);
    let segments = manifest["files"][ending]["segments"].as_array().expect("a file").clone();
    let read = |segment: &Value| {
        let bytes = get(&format!("segments/{}", segment[0].as_str().expect("a name")));
        assert_eq!(segment[1].as_u64(), Some(bytes.len() as u64));
        bytes
    };
    segments.iter().flat_map(read).collect()
}

#[track_caller]
fn check(scratch: &Scratch, tasks: u64, bytes: Vec<u8>) {
    let values = values_by_number(&outcomes(&scratch.write("copy", bytes)));
    let expected: BTreeMap<u64, _> = (0..tasks).map(|n| (n, json!([n, n as f64 * 0.1]))).collect();
    assert_eq!(values, expected);
}

/// Kills a job twice, brings it to its end, and looks into the checkpoint.
fn killed_and_gone_on_from(scratch: &Scratch, url: &str, start: impl Fn(&str) -> Program) {
    const TASKS: u64 = 900;
    scratch.numbers("tasks.jsonl", 0..TASKS);
    let args = format!("run -j 2 f:f --tasks tasks.jsonl --checkpoint {url} --json --flush 0.1");
    for kill in 1..=2 {
        let mut run = start(&args);
        scratch.wait_for_lines("log", kill * TASKS as usize / 3);
        run.kill();
        scratch.assert_nothing_left();
    }
    let summary = start(&args).wait().expect_code(0).json();
    assert!(summary["skipped"].as_u64() > Some(0), "something was durable: {summary}");
    assert_eq!(summary["checkpoint"], url);
    let again = start(&args).wait().expect_code(0).json();
    assert_eq!((again["skipped"].as_u64(), again["done"].as_u64()), (Some(TASKS), Some(0)));
    let info = start(&format!("checkpoint info --json {url}")).wait().expect_code(0).json();
    assert_eq!((&info["values"], &info["closed"], &info["file"]), (&json!(TASKS), &json!(true), &json!(url)));
}

#[test]
fn a_killed_run_goes_on_from_s3() {
    let Some(server) = server() else { return };
    let (scratch, bucket) = (scratch(), server.bucket());
    let url = format!("s3://{bucket}/jobs/night.checkpoint");
    killed_and_gone_on_from(&scratch, &url, |args| with(server, scratch.command(args)));
    let get = |name: &str| server.get(&bucket, &format!("jobs/night.checkpoint/{name}"));
    check(&scratch, 900, put_together("", get));
}

#[test]
fn a_killed_run_goes_on_from_a_folder_of_segments() {
    let scratch = scratch();
    let folder = scratch.file("night.checkpoint");
    killed_and_gone_on_from(&scratch, &format!("file://{}", folder.display()), |args| scratch.start(args));
    check(&scratch, 900, put_together("", |name| std::fs::read(folder.join(name)).expect("an object")));
}

#[test]
fn a_second_writer_is_refused_and_one_that_was_taken_over_is_stopped() {
    let Some(server) = server() else { return };
    let (scratch, bucket) = (scratch(), server.bucket());
    scratch.numbers("first.jsonl", 0..2);
    scratch.numbers("second.jsonl", 100..103);
    let run = |tasks: &str| {
        let args = format!("run -j 2 f:waits --tasks {tasks}.jsonl --checkpoint s3://{bucket}/c --flush 0");
        with(server, scratch.command(&args))
    };
    let first = run("first");
    scratch.wait_for_lines("log", 2);
    run("second").wait().expect_code(3).expect_error(&["s3://", "in use by host ", "pid ", "since 2"]);

    server.remove(&bucket, "c/lock");
    run("second").wait().expect_code(0);
    scratch.write("go", "");
    first.wait().expect_code(4).expect_error(&["another writer has taken it over (host ", "pid "]);
    let bytes = put_together("", |name| server.get(&bucket, &format!("c/{name}")));
    let values = values_by_number(&outcomes(&scratch.write("copy", bytes)));
    assert_eq!(values.into_keys().collect::<Vec<_>>(), [100, 101, 102], "nothing of the first came through");
    run("first").wait().expect_code(0);
}

#[test]
fn a_fresh_start_keeps_the_old_checkpoint_under_a_url_of_its_own() {
    let Some(server) = server() else { return };
    let (scratch, bucket) = (scratch(), server.bucket());
    scratch.numbers("tasks.jsonl", 0..3);
    let run = |more: &str| -> Ended {
        let args = format!("run -j 1 f:f --tasks tasks.jsonl --checkpoint s3://{bucket}/c {more}");
        with(server, scratch.command(&args)).wait().expect_code(0)
    };
    run("");
    let said = run("--fresh").stderr;
    let aside = said.split_whitespace().find(|word| word.ends_with(".old")).expect("it is named");
    for url in [aside, &format!("s3://{bucket}/c")] {
        let info = with(server, scratch.command(&format!("checkpoint info --json {url}"))).wait();
        assert_eq!(info.expect_code(0).json()["values"], 3, "{url}");
    }
}

/// Answers each request with 403.
fn denying() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let serve = move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let _request = stream.read(&mut [0; 4096]).expect("a request");
        let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close", body.len());
        write!(stream, "{head}\r\n\r\n{body}").expect("it reads");
    };
    (port, std::thread::spawn(serve))
}

#[test]
fn a_store_that_cannot_be_used_is_one_clear_line() {
    let Some(server) = server() else { return };
    let scratch = scratch();
    scratch.numbers("tasks.jsonl", 0..3);
    let (port, denied) = denying();
    let nobody = "http://127.0.0.1:1".to_owned();
    let there = server.url();
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 5] = [
        ("no-such-bucket", &[], &["no bucket `no-such-bucket`", "create it"]),
        ("b", &[("AWS_ENDPOINT_URL", &nobody)], &["cannot be reached", "AWS_ENDPOINT_URL"]),
        ("b", &[("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}"))], &["access denied", "`b`"]),
        ("b", &[("AWS_ENDPOINT_URL", &there), ("AWS_ALLOW_HTTP", "false")], &["AWS_ALLOW_HTTP"]),
        (
            "b",
            &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_METADATA_ENDPOINT", &nobody)],
            &["no credentials", "AWS_ACCESS_KEY_ID"],
        ),
    ];
    for (bucket, environment, texts) in cases {
        let url = format!("s3://{bucket}/c");
        let mut command =
            scratch.command(&format!("run -j 1 f:f --tasks tasks.jsonl --checkpoint {url} --quiet"));
        command.envs(server.environment());
        for (name, value) in environment {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        let ended = Program::start(command).wait().expect_code(4);
        ended.expect_error(&[&[url.as_str()], texts].concat());
    }
    denied.join().expect("it was asked");
    assert_eq!(scratch.lines("log").len(), 0, "no task was begun");
}

#[test]
fn urls_that_lead_nowhere_are_usage_errors() {
    let scratch = scratch();
    scratch.numbers("tasks.jsonl", 0..3);
    for (url, text) in [
        ("s3://bucket", "no checkpoint in the bucket"),
        ("gs://bucket/c", "s3://BUCKET/NAME"),
        ("file://c", "begins with /"),
        ("file:///no/such/folder", "no such folder"),
    ] {
        let run = format!("run f:f --tasks tasks.jsonl --checkpoint {url}");
        scratch.run(&run).expect_code(2).expect_error(&[text]);
        scratch.run(&format!("checkpoint info {url}")).expect_code(2).expect_error(&[url]);
    }
    if let Some(server) = server() {
        let url = format!("s3://{}/c", server.bucket());
        let info = with(server, scratch.command(&format!("checkpoint info {url}")));
        info.wait().expect_code(2).expect_error(&[&url, "no such file"]);
    }
}
