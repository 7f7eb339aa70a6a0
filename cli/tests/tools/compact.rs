//! Compact: what it keeps, and that it can be killed at any moment.

use std::{fs, path::Path};

use serde_json::Value;

use crate::made::{FORMS, Form, Made, command, expect, names, tool};

fn info(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&expect(0, folder, &format!("info --json {name}"))).expect("JSON")
}

#[test]
fn every_layout_is_compacted_to_the_same_outcomes() {
    for form in FORMS {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let mut made = Made::at(&at.join("a"), form).failures(0..2, "first").failures(90..93, "first");
        for start in (0..80).step_by(8) {
            made = made.values(start..start + 8);
        }
        made.failures(91..92, "last").killed_with(80..85);
        expect(0, at, "repair a before");
        let told = expect(0, at, "compact a");
        assert!(told.contains("values 85, frames 14 -> ") && told.contains("failures 6 -> 3"), "{told}");
        expect(0, at, "diff a before");
        expect(0, at, "verify a");
        assert_eq!(names(at), ["a", "before"]);
        let (new, old) = (info(at, "a"), info(at, "before"));
        for name in ["work", "created_ms", "columns", "failed", "values", "width"] {
            assert_eq!(new[name], old[name], "{form:?} {name}");
        }
        assert_eq!(new["frames"], 3, "one of values, one of failures, the index");
        assert!(expect(0, at, "failures a").contains("last"));
        expect(0, at, "compact --drop-failures --compress zstd a");
        assert_eq!((info(at, "a")["failed"].clone(), info(at, "a")["values"].clone()), (0.into(), 85.into()));
        assert_eq!(expect(1, at, "diff a before").lines().next(), Some("same: 85"));
    }
}

#[test]
fn its_mode_and_its_link_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    Made::at(&at.join("a"), Form::Floats).values(0..20).closed();
    fs::set_permissions(at.join("a"), fs::Permissions::from_mode(0o640)).expect("allowed");
    symlink("a", at.join("link")).expect("allowed");
    expect(0, at, "compact link");
    assert!(fs::symlink_metadata(at.join("link")).expect("there").is_symlink());
    assert_eq!(fs::metadata(at.join("a")).expect("there").permissions().mode() & 0o777, 0o640);
    assert_eq!(names(at), ["a", "link"]);
}

#[test]
fn one_that_is_in_use_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Made::at(&folder.path().join("a"), Form::Floats).values(0..20);
    let before = fs::read(folder.path().join("a")).expect("there");
    let (code, _, error) = tool(folder.path(), "compact a");
    assert!(code == 3 && error.contains("a is in use by host"), "{code} {error}");
    assert_eq!(fs::read(folder.path().join("a")).expect("there"), before);
    drop(made);
}

/// Kills it when the new file has come so far, for ever further: the name always leads to all values.
#[test]
fn killed_at_any_moment_it_leaves_the_old_file_or_the_new_one() {
    const ROWS: u64 = 60_000;
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let mut made = Made::at(&at.join("source"), Form::Floats);
    for start in (0..ROWS).step_by(3_000) {
        made = made.values(start..start + 3_000);
    }
    made.killed_with(ROWS..ROWS + 10);
    let (mut killed, mut ended) = (0, 0);
    let size = fs::metadata(at.join("source")).expect("there").len();
    for moment in 0..16 {
        fs::copy(at.join("source"), at.join("a")).expect("room");
        fs::copy(at.join("source.wal"), at.join("a.wal")).expect("room");
        let mut child =
            command(at, "compact a").stdout(std::process::Stdio::null()).spawn().expect("it starts");
        let is_there = || match moment {
            0 => true,
            1 => at.join("a.lock").exists(),
            2 => !at.join("a.wal").exists(),
            3 => at.join("a.compact.new.lock").exists(),
            _ => fs::metadata(at.join("a.compact.new"))
                .is_ok_and(|found| found.len() >= size * (moment - 4) / 12),
        };
        while !is_there() && child.try_wait().expect("mine").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("mine");
        match child.wait().expect("mine").success() {
            true => ended += 1,
            false => killed += 1,
        }
        assert_eq!(expect(0, at, "diff source a"), "same: 60,010\n", "moment {moment}");
        assert!(expect(0, at, "verify a").starts_with("a: whole: values 60,010"));
    }
    assert!(killed >= 8, "killed {killed}, ended {ended}");
    expect(0, at, "compact a");
    assert_eq!(names(at), ["a", "source", "source.wal"]);
}
