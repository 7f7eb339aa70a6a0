//! Files of format 1 that every later version must read the same, and Python too (`python/tests/test_checkpoint.py`).
//!
//! Each `NAME.checkpoint` has a `NAME.json` beside it that says what is in it, keys and values as the hexadecimal
//! digits of their MessagePack. To add one: put it into [`specimens`] and run this file with `-- --ignored`;
//! what is there already is never written again.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use shared::{
    checkpoint::{
        Depth, Failures, FileHeader, Place, Rows, Totals, encode_close, encode_failures, encode_values,
        inspect, pad8, story,
    },
    id::Attempt,
    msgpack,
    outcome::{Cause, Failure},
};

const AT: u64 = 1_767_225_600_000;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/checkpoint/v1")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// What `maniple` reads of a file, in the form of its description.
fn describe(bytes: &[u8]) -> Value {
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    let found = inspect(bytes, Depth::All, &mut |visit| {
        if let Some(read) = Rows::read(bytes, &visit.frame, visit.head).expect("sound") {
            let values = msgpack::values(&read.values).map(|value| value.expect("whole"));
            for (key, value) in msgpack::values(&read.keys).zip(values) {
                rows.push(json!([hex(key.expect("whole")), hex(value)]));
            }
        }
        if let Some(read) = Failures::read(bytes, &visit.frame, visit.head).expect("sound") {
            for (key, story) in msgpack::values(&read.keys).zip(&read.stories) {
                failures.push(json!([
                    hex(key.expect("whole")),
                    story.cause.to_string(),
                    story.message,
                    story.attempt
                ]));
            }
        }
    })
    .expect("memory");
    let header = found.header.as_ref().expect("a header");
    json!({
        "identity": header.identity,
        "created": header.created,
        "columns": header.columns,
        "closed": found.closed,
        "damaged": !found.damages.is_empty(),
        "unfinished_bytes": found.tail().map_or(0, |tail| tail.end - tail.start),
        "values": rows,
        "failures": failures,
    })
}

/// Grows a file.
struct Specimen {
    bytes: Vec<u8>,
    tag: u32,
    totals: Totals,
}

impl Specimen {
    fn new(identity: &str, columns: &[&str]) -> Specimen {
        let header = FileHeader {
            identity: identity.into(),
            created: AT,
            software: "maniple 0.1.0".into(),
            id: *b"\x01\x23\x45\x67\x89\xab\xcd\xefGOLDEN!!",
            columns: columns.iter().map(|&name| name.into()).collect(),
        };
        Specimen { bytes: header.encode(), tag: header.tag(), totals: Totals::default() }
    }

    fn place(&mut self) -> Place {
        let sequence = self.totals.frames;
        self.totals.frames += 1;
        Place { tag: self.tag, sequence, durable: self.bytes.len() as u64, at: AT + 1000 * sequence }
    }

    /// Rows given by the hexadecimal digits of key and value.
    fn values(mut self, rows: &[(&str, &str)], attempts: &[(u32, Attempt)]) -> Specimen {
        let keys: Vec<u8> = rows.iter().flat_map(|(key, _)| unhex(key)).collect();
        let values: Vec<u8> = rows.iter().flat_map(|(_, value)| unhex(value)).collect();
        self.totals.values += rows.len() as u64;
        let place = self.place();
        encode_values(place, &keys, &values, rows.len() as u32, attempts, &mut self.bytes);
        self
    }

    fn failures(mut self, rows: &[(&str, Cause)]) -> Specimen {
        let (mut keys, mut stories) = (Vec::new(), Vec::new());
        for (key, cause) in rows {
            keys.extend(unhex(key));
            let failure = Failure {
                cause: cause.clone(),
                message: "what is known ☂".into(),
                traceback: "Traceback (most recent call last):\n".into(),
                stdout: String::new(),
                stderr: "last line\n".into(),
                host: "node1".into(),
                pid: 4321,
                attempt: Attempt(2),
            };
            story::encode(&failure, &mut stories);
        }
        self.totals.failures += rows.len() as u64;
        let place = self.place();
        encode_failures(place, &keys, &stories, rows.len() as u32, &mut self.bytes);
        self
    }

    fn close(mut self) -> Vec<u8> {
        let totals = self.totals;
        let place = self.place();
        encode_close(place, totals, &mut self.bytes);
        self.bytes
    }
}

fn specimens() -> Vec<(&'static str, Vec<u8>)> {
    let numbers = || {
        Specimen::new("function factors:alpha", &["open", "close"])
            // [date, code] -> [float, float]: 1.0, NaN with a payload, -0.0, inf
            .values(
                &[
                    ("92ce01348dc6a6303030303031", "92cb3ff0000000000000cb7ff8000000000001"),
                    ("92ce01348dc6a6303030303032", "92cb8000000000000000cb7ff0000000000000"),
                ],
                &[(1, Attempt(3))],
            )
            // an integer column beside a float one; int64 extremes
            .values(
                &[
                    ("01", "92d38000000000000000cb0000000000000001"),
                    ("02", "92cf7fffffffffffffffcbfff0000000000000"),
                    ("03", "92e0cb3fb999999999999a"),
                ],
                &[],
            )
            // bare numbers
            .values(&[("04", "cb4000000000000000")], &[])
            .values(&[("a135", "cd0100"), ("c0", "ff")], &[])
    };
    let mixed = Specimen::new("command sh -c true", &[])
        // nil, text, list of different widths, uint64 beyond int64, float32, bytes, ext, map
        .values(
            &[
                ("91a161", "c0"),
                ("91a162", "a5c3a9746521"),
                ("91a163", "9101"),
                ("91a164", "cfffffffffffffffff"),
                ("91a165", "ca3f800000"),
                ("91a166", "c403000102"),
                ("91a167", "c70301aabbcc"),
                ("91a168", "81a178c3"),
            ],
            &[],
        )
        .failures(&[
            ("91a178", Cause::Exception("builtins.ValueError".into())),
            ("91a179", Cause::ExitCode { code: 7, died: true }),
            ("91a17a", Cause::Signal(11)),
            ("91a17b", Cause::Timeout(2500)),
            ("91a17c", Cause::OutOfMemory(1 << 30, 1 << 31)),
            ("91a17d", Cause::NodeLost),
        ]);
    let mut torn = numbers().bytes;
    torn.truncate(torn.len() - 5);
    let mut damaged = numbers().close();
    let header = Specimen::new("function factors:alpha", &["open", "close"]).bytes.len();
    // The first frame's marker.
    damaged[pad8(header as u64) as usize] ^= 1;
    vec![
        ("empty", Specimen::new("function a:b", &[]).bytes),
        ("numbers", numbers().close()),
        ("mixed", mixed.close()),
        ("torn", torn),
        ("damaged", damaged),
    ]
}

#[test]
#[ignore = "makes the files; to be run when a specimen was added"]
fn make() {
    fs::create_dir_all(folder()).expect("a folder");
    for (name, bytes) in specimens() {
        let path = folder().join(name).with_extension("checkpoint");
        if path.exists() {
            continue;
        }
        let text = serde_json::to_string_pretty(&describe(&bytes)).expect("text") + "\n";
        fs::write(path.with_extension("json"), text).expect("written");
        fs::write(path, bytes).expect("written");
    }
}

#[test]
fn golden_files_are_read_as_ever() {
    for (name, _) in specimens() {
        let path = folder().join(name).with_extension("checkpoint");
        let bytes = fs::read(&path).expect(name);
        let text = fs::read_to_string(path.with_extension("json")).expect(name);
        let expected: Value = serde_json::from_str(&text).expect(name);
        assert_eq!(describe(&bytes), expected, "{name}");
    }
}

#[test]
fn the_same_bytes_are_still_written() {
    for (name, bytes) in specimens() {
        let golden = fs::read(folder().join(name).with_extension("checkpoint")).expect(name);
        assert!(
            golden == bytes,
            "{name}: other bytes need another folder of golden files, and a version rule"
        );
    }
}
