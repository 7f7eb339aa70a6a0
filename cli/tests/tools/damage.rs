//! What verify and repair make of whole and of damaged checkpoints.

use serde_json::{Value, json};

use crate::made::{FORMS, Form, Made, expect, names, tool};

#[test]
fn whole_checkpoints_of_every_layout_are_verified_and_copied() {
    for form in FORMS {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let made = Made::at(&at.join("a"), form).values(0..40).failures(40..42, "no").values(42..80);
        made.killed_with(80..90);
        let told = expect(0, at, "verify a");
        assert!(told.starts_with("a: whole: values 88, failures 2"), "{form:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        expect(0, at, "repair a b");
        expect(0, at, "diff a b");
        expect(0, at, "verify b");
        assert_eq!(names(at), ["a", "a.wal", "b"]);
        assert!(tool(at, "repair a b").2.contains("b: exists already"));
    }
}

#[test]
fn damaged_values_are_named_and_left_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let made = Made::at(&at.join("a"), Form::Floats).values(0..20);
    let start = std::fs::metadata(at.join("a")).expect("there").len() as usize;
    made.values(20..32).values(32..50).closed();
    let mut bytes = std::fs::read(at.join("a")).expect("there");
    let head_len = u32::from_le_bytes(bytes[start + 4..start + 8].try_into().expect("four")) as usize;
    let body_len = u64::from_le_bytes(bytes[start + 8..start + 16].try_into().expect("eight")) as usize;
    let end = start + 40 + head_len.next_multiple_of(8) + body_len;
    bytes[end - 3] ^= 1;
    std::fs::write(at.join("a"), &bytes).expect("room");

    let told = expect(3, at, "verify a");
    assert!(told.starts_with("a: damaged: values 38"), "{told}");
    let place = format!("bytes {}..{end}: outcomes of 12 tasks\n    [20240002,\"000000\"]\n", end - 96);
    assert!(told.contains(&place) && told.contains("and 2 more"), "{told}");
    let told: Value = serde_json::from_str(&expect(3, at, "verify --json a")).expect("JSON");
    assert_eq!(told["damages"][0]["keys"].as_array().map(Vec::len), Some(12), "{told}");
    assert_eq!(told["damages"][0]["bytes"], json!([end - 96, end]));

    let told = expect(3, at, "repair a b");
    assert!(told.contains("b: values 38, failures 0\nleft behind:") && told.contains(&place), "{told}");
    expect(0, at, "verify b");
    let told: Value = serde_json::from_str(&expect(0, at, "info --json b")).expect("JSON");
    assert_eq!((&told["values"], &told["columns"]), (&json!(38), &json!(["a", "b", "c"])));
    assert_eq!(std::fs::read(at.join("a")).expect("there"), bytes);
    let (code, _, error) = tool(at, "compact a");
    assert!(code == 3 && error.contains("a is damaged (bytes"), "{code} {error}");
    assert_eq!(
        (std::fs::read(at.join("a")).expect("there"), names(at)),
        (bytes, vec!["a".into(), "b".into()])
    );
}

#[test]
fn damaged_keys_are_counted_and_frames_behind_a_hole_come_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let made = Made::at(&at.join("a"), Form::Mixed).values(0..20);
    let start = std::fs::metadata(at.join("a")).expect("there").len() as usize;
    made.values(20..40).values(40..45).closed();
    let mut bytes = std::fs::read(at.join("a")).expect("there");
    let head_len = u32::from_le_bytes(bytes[start + 4..start + 8].try_into().expect("four")) as usize;
    bytes[start + 40 + head_len.next_multiple_of(8)] ^= 1;
    std::fs::write(at.join("a"), &bytes).expect("room");
    assert!(expect(3, at, "verify a").contains("the keys of 20 tasks"));
    bytes[start] ^= 1;
    std::fs::write(at.join("a"), &bytes).expect("room");
    assert!(expect(3, at, "verify a").contains("1 frames cannot be read"));
    assert!(expect(3, at, "repair a b").contains("b: values 25,"));
}

#[test]
fn a_damaged_header_costs_the_name_of_the_work_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    Made::at(&at.join("a"), Form::Named).values(0..20).values(20..30).killed_with(30..35);
    let mut bytes = std::fs::read(at.join("a")).expect("there");
    bytes[40] ^= 1;
    std::fs::write(at.join("a"), &bytes).expect("room");
    assert!(expect(3, at, "verify a").contains("damaged header"));
    assert!(expect(3, at, "repair a b").contains("b: values 35,"));
    assert!(expect(0, at, "info b").contains("unknown: the header was damaged"));
    std::fs::write(at.join("text"), "date,code\n").expect("room");
    assert!(tool(at, "repair text c").2.contains("text: not a checkpoint"));
}

#[test]
fn a_journal_with_a_damaged_header_comes_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    Made::at(&at.join("a"), Form::Floats).values(0..20).killed_with(20..35);
    let mut bytes = std::fs::read(at.join("a.wal")).expect("there");
    bytes[40] ^= 1;
    std::fs::write(at.join("a.wal"), &bytes).expect("room");
    assert!(expect(3, at, "verify a").contains("the journal: damaged header"));
    assert!(expect(3, at, "repair a b").contains("b: values 35,"));
}

#[test]
fn two_values_of_a_task_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    Made::at(&at.join("a"), Form::Floats).values(0..20).values(18..30).closed();
    let told = expect(3, at, "verify a");
    assert!(told.contains("more than one value: 2\n    [20240001,\"000008\"]\n"), "{told}");
    assert!(expect(3, at, "repair a b").contains("b: values 30,"));
    expect(0, at, "verify b");
}

#[test]
fn a_write_that_was_interrupted_is_no_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    drop(Made::at(&at.join("a"), Form::Floats).values(0..20).values(20..40));
    let bytes = std::fs::read(at.join("a")).expect("there");
    std::fs::write(at.join("a"), &bytes[..bytes.len() - 9]).expect("room");
    let told = expect(0, at, "verify a");
    assert!(told.contains("a: whole: values 20,") && told.contains("not counted"), "{told}");
    assert!(expect(0, at, "repair a b").contains("b: values 20,"));
}
