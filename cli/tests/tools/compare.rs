//! Merge, diff, failures and info.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::made::{Form, Made, command, expect, tool};

#[test]
fn failures_are_those_without_a_value_and_the_last_of_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let made = Made::at(&at.join("a"), Form::Floats).failures(0..3, "first").failures(0..2, "last\nmore");
    made.values(1..2).closed();
    let table = expect(0, at, "failures a");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("KEY") && lines[0].ends_with("MESSAGE"), "{table}");
    let row =
        |code, message| format!("[20240000,\"00000{code}\"]  builtins.ValueError  3      h1    {message}");
    assert_eq!(lines[1..], [row(2, "first"), row(0, "last")]);
    let lines = expect(0, at, "failures --json a");
    let first: Value = serde_json::from_str(lines.lines().nth(1).expect("two")).expect("JSON");
    assert_eq!(first["key"], json!([20_240_000, "000000"]));
    assert_eq!((&first["message"], &first["type"]), (&json!("last\nmore"), &json!("builtins.ValueError")));
    Made::at(&at.join("b"), Form::Floats).values(0..1).closed();
    assert_eq!(expect(0, at, "failures b"), "b: no failed tasks\n");
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    Made::at(&folder.path().join("a"), Form::Floats).failures(0..2000, "no").closed();
    let mut child =
        command(folder.path(), "failures --json a").stdout(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_merge_takes_the_first_value_or_the_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let a = Made::at(&at.join("a"), Form::Floats).failures(25..27, "no").values(0..20);
    a.closed();
    Made::at(&at.join("b"), Form::Floats).failures(0..1, "no").values(15..26).closed();
    Made::at(&at.join("c"), Form::Floats).salted(9).values(24..30).killed_with(30..33);
    assert!(
        expect(0, at, "merge a b ab")
            .contains("ab: values 26, failed 1; values that another one has already 5")
    );
    let (code, out, note) = tool(at, "merge a b c abc");
    assert_eq!(code, 1, "{note}");
    assert!(out.contains("abc: values 33, failed 0; values that another one has already 7"), "{out}");
    assert!(note.contains("warning: 2 tasks have different values; the first file's"), "{note}");
    assert!(note.contains("[20240002,\"000004\"]"), "{note}");
    expect(0, at, "merge --prefer last a b c last");
    expect(0, at, "verify last");
    let told = expect(1, at, "diff abc last");
    assert!(told.starts_with("same: 31\ndifferent values: 2\n"), "{told}");
}

#[test]
fn what_does_not_fit_is_not_merged() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    Made::at(&at.join("a"), Form::Packed).values(0..20).closed();
    Made::at(&at.join("b"), Form::Named).values(0..20).closed();
    let (code, _, error) = tool(at, "merge a b c");
    assert!(code == 2 && error.contains("differ in shape, list of 3 and dict of 2"), "{error}");
    assert!(!at.join("c").exists());
    let (code, _, error) = tool(at, "merge a nosuch c");
    assert!(code == 2 && error.contains("nosuch: no such file"), "{error}");
    assert_eq!(tool(at, "merge a c").0, 2);
}

#[test]
fn a_difference_is_told_by_its_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    Made::at(&at.join("a"), Form::Floats).failures(30..33, "no").values(0..20).closed();
    Made::at(&at.join("b"), Form::Floats)
        .failures(32..33, "other")
        .failures(0..1, "no")
        .values(1..31)
        .closed();
    let told: Value = serde_json::from_str(&expect(1, at, "diff --json a b")).expect("JSON");
    let counts = ["only_in_a", "only_in_b", "different", "failed_in_a", "failed_in_b"]
        .map(|name| told[name]["count"].clone());
    assert_eq!(counts, [json!(1), json!(10), json!(0), json!(1), json!(1)]);
    assert_eq!(told["same"], json!(20));
    assert_eq!(told["failed_in_a"]["first"], json!([[20_240_003, "000000"]]));
    assert!(expect(1, at, "diff a b").contains("failed in a, not in b: 1\n"));
    assert_eq!(expect(0, at, "diff a a"), "same: 23\n");
}

#[test]
fn info_tells_columns_and_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    Made::at(&at.join("a"), Form::Floats).failures(0..4, "no").values(0..3).killed_with(3..9);
    let told = expect(0, at, "info a");
    let has = |name: &str, rest: &str| {
        let line = told.lines().find(|line| line.trim_start().starts_with(name)).expect("the line is there");
        assert!(line.contains(rest), "{told}");
    };
    has("values", "9");
    has("columns", "3 (a,b,c)");
    has("failed", "0");
    has("size", "of a journal with 6 rows");
    has("state", "whole, not closed");
    Made::at(&at.join("b"), Form::Named).values(0..3).closed();
    assert!(expect(0, at, "info b").contains("2 (alpha,beta)"));
    Made::at(&at.join("c"), Form::Packed).values(0..3).closed();
    assert!(expect(0, at, "info c").contains("3 without names"));
}
