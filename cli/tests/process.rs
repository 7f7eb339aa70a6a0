//! The binary as its caller sees it: exit codes and streams. What needs a job is tested elsewhere.

use std::process::{Command, Output, Stdio};

fn maniple(args: &[&str], adapt: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maniple"));
    command
        .args(args)
        .env_remove("MANIPLE_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    adapt(&mut command);
    command.spawn().expect("the binary starts").wait_with_output().expect("it ends")
}

fn closed() -> Stdio {
    let (_, to) = std::io::pipe().expect("a pipe");
    Stdio::from(to)
}

#[test]
fn an_answer_goes_to_standard_output() {
    for args in [&["--version"][..], &["--help"], &["run", "--help"]] {
        let output = maniple(args, |_| ());
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{args:?}");
        assert!(output.stdout.ends_with(b"\n") && !output.stdout.ends_with(b"\n\n"), "{args:?}");
    }
}

#[test]
fn a_mistake_is_one_line_and_exit_code_2() {
    for args in [
        &["run"][..],
        &["run", "f.py:g", "--tasks", "t"],
        &["rum"],
        &["--log", "a=b=c", "checkpoint", "info", "x"],
    ] {
        let output = maniple(args, |_| ());
        let told = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{args:?}");
        assert!(told.starts_with("maniple: error: ") && told.matches('\n').count() == 1, "{args:?}: {told}");
    }
}

#[test]
fn a_mistaken_environment_is_named() {
    let output = maniple(&["checkpoint", "info", "x"], |command| {
        command.env("MANIPLE_LOG", "a=b=c");
    });
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.starts_with(b"maniple: error: MANIPLE_LOG \"a=b=c\": "));
}

#[test]
fn a_word_that_is_no_level_is_not_taken_for_a_filter() {
    for filter in ["bogus", "info,worker"] {
        let output = maniple(&["--log", filter, "checkpoint", "info", "x"], |_| ());
        let told = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(told.starts_with("maniple: error: --log ") && told.contains("worker=debug"), "{told}");
        assert_eq!(output.status.code(), Some(2));
    }
    for filter in ["INFO", "off", "warn,worker=debug"] {
        let output = maniple(&["--log", filter, "checkpoint", "info", "x"], |_| ());
        assert_eq!(output.stderr, b"maniple: error: x: no such file\n");
    }
}

#[test]
fn a_closed_stream_is_no_error() {
    let output = maniple(&["run", "--help"], |command| {
        command.stdout(closed());
    });
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    let output = maniple(&["rum"], |command| {
        command.stderr(closed());
    });
    assert_eq!(output.status.code(), Some(2), "nobody listens, but the exit code is true");
}
