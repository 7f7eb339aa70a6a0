//! Files of format 1 that every later version must read the same, and Python too (`python/tests/test_checkpoint.py`).
//!
//! Each `NAME.checkpoint`, with its journal `NAME.checkpoint.wal` if it has one, has a `NAME.json` beside it that says
//! what is in it, keys and values as the hexadecimal digits of their MessagePack. To add one: put it into
//! [`specimens::all`] and run this file with `-- --ignored`; what is there already is never written again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use shared::{
    checkpoint::{Compress, Depth, Failures, FileHeader, Head, Journal, Kind, Layout, Pair, Rows},
    msgpack,
};

use self::specimens::Specimen;

mod specimens;

/// The folder of the files of a minor version.
fn folder(version: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/checkpoint").join(version)
}

fn wal(path: &Path) -> PathBuf {
    path.with_extension("checkpoint.wal")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `maniple` reads of a file and its journal, in the form of its description.
fn describe(main: &[u8], journal: Option<&[u8]>) -> Value {
    let (mut rows, mut failures, mut frames, mut shape) = (Vec::new(), Vec::new(), Vec::new(), Value::Null);
    let pair = Pair { main, journal };
    let found = pair
        .inspect(Depth::All, &mut |_, source, visit| {
            frames.push(frame(visit.head));
            if let Kind::Close(close) = &visit.head.kind
                && let Some(found) = &close.shape
            {
                shape = json!({"row": found.row.word(), "width": found.width, "names": found.names});
            }
            if let Some(read) = Rows::read(source, &visit.frame, visit.head).expect("sound") {
                let values = msgpack::values(&read.values).map(|value| value.expect("whole"));
                for (key, value) in msgpack::values(&read.keys).zip(values) {
                    rows.push(json!([hex(key.expect("whole")), hex(value)]));
                }
            }
            if let Some(read) = Failures::read(source, &visit.frame, visit.head).expect("sound") {
                for (key, story) in msgpack::values(&read.keys).zip(&read.stories) {
                    let key = hex(key.expect("whole"));
                    failures.push(json!([key, story.cause.to_string(), story.message, story.attempt]));
                }
            }
        })
        .expect("memory");
    let FileHeader { identity, created, columns, key_columns, .. } =
        found.main.header.as_ref().expect("a header");
    let tail = |tail: Option<std::ops::Range<u64>>| tail.map_or(0, |tail| tail.end - tail.start);
    let state = found.journal.as_ref().map(|journal| match journal {
        Journal::Counts(_) => "counts",
        Journal::Folded => "folded",
        Journal::MainTooShort { .. } => "main too short",
        Journal::Foreign(_) => "foreign",
        Journal::Unreadable(_) => "unreadable",
    });
    let counted = found.journal.as_ref().and_then(Journal::counted);
    json!({
        "identity": identity,
        "created": created,
        "columns": columns,
        "key_columns": key_columns,
        "closed": found.main.closed,
        "damaged": found.is_corrupt(),
        "unfinished_bytes": tail(found.main.tail()),
        "journal": state,
        "journal_unfinished_bytes": tail(counted.and_then(|journal| journal.tail())),
        "shape": shape,
        "frames": frames,
        "values": rows,
        "failures": failures,
    })
}

/// A frame's kind and layouts: `values list:if dict:tm+zstd`.
fn frame(head: &Head) -> String {
    let kind = match head.kind {
        Kind::Values { .. } => "values",
        Kind::Failures { .. } => "failures",
        Kind::Index { .. } => "index",
        Kind::Close(_) => "close",
        Kind::Optional => "optional",
    };
    let layout = |layout: &Layout| {
        let columns = layout.schema.as_ref().map(|schema| {
            let types: String = schema.types.iter().map(|kind| kind.letter()).collect();
            format!("{}:{types}", schema.row.word())
        });
        let packed = if layout.compress == Compress::Zstd { "+zstd" } else { "" };
        format!(" {}{packed}", columns.as_deref().unwrap_or("msgpack"))
    };
    let layouts = head.layouts().map(|(keys, outcomes)| layout(keys) + &layout(outcomes));
    kind.to_owned() + &layouts.unwrap_or_default()
}

/// The descriptions in a folder, by the file that each is of.
fn golden(version: &str) -> Vec<(PathBuf, Value)> {
    let mut found: Vec<_> = fs::read_dir(folder(version))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "checkpoint"))
        .map(|path| {
            let text = fs::read_to_string(path.with_extension("json")).expect("a description");
            (path, serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

#[test]
#[ignore = "makes the files; to be run when a specimen was added"]
fn make() {
    for Specimen { name, main, journal, .. } in specimens::all() {
        let path = folder("v1.1").join(name).with_extension("checkpoint");
        fs::create_dir_all(folder("v1.1")).expect("a folder");
        if path.exists() {
            continue;
        }
        let text = serde_json::to_string_pretty(&describe(&main, journal.as_deref())).expect("text") + "\n";
        fs::write(path.with_extension("json"), text).expect("written");
        if let Some(journal) = journal {
            fs::write(wal(&path), journal).expect("written");
        }
        fs::write(path, main).expect("written");
    }
}

#[test]
fn golden_files_are_read_as_ever() {
    for (version, count) in [("v1", 5), ("v1.1", specimens::all().len())] {
        let golden = golden(version);
        assert_eq!(golden.len(), count, "{version}");
        for (path, expected) in golden {
            let main = fs::read(&path).expect("a file");
            let found = describe(&main, fs::read(wal(&path)).ok().as_deref());
            // A version describes what it knew.
            for (field, expected) in expected.as_object().expect("a map") {
                assert_eq!(&found[field], expected, "{} of {}", field, path.display());
            }
        }
    }
}

#[test]
fn the_same_bytes_are_still_written() {
    for Specimen { name, main, journal, compressed } in specimens::all() {
        let path = folder("v1.1").join(name).with_extension("checkpoint");
        // What a compressor makes of the same bytes is its own affair.
        if compressed {
            continue;
        }
        let same = fs::read(&path).expect(name) == main && fs::read(wal(&path)).ok() == journal;
        assert!(same, "{name}: other bytes need another folder of golden files, and a version rule");
    }
}
