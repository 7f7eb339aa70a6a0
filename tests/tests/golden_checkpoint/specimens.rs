//! The golden files of format 1.1: every row, type and layout, and a journal in each of its states.

use shared::{
    checkpoint::{
        CommonShape, Compress, FileHeader, JournalOf, Options, Place, Totals, encode_close, encode_failures,
        encode_index, encode_values, index, story,
    },
    id::Attempt,
    outcome::{Cause, Failure},
};

const AT: u64 = 1_767_225_600_000;
const MAIN: [u8; 16] = *b"\x01\x23\x45\x67\x89\xab\xcd\xefGOLDEN!!";
const JOURNAL: [u8; 16] = *b"\xfe\xdc\xba\x98\x76\x54\x32\x10JOURNAL!";

/// A file, and its journal if it has one.
pub struct Specimen {
    pub name: &'static str,
    pub main: Vec<u8>,
    pub journal: Option<Vec<u8>>,
    pub compressed: bool,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// Grows a file.
#[derive(Clone)]
struct File {
    bytes: Vec<u8>,
    tag: u32,
    totals: Totals,
    options: Options,
    listed: Vec<u8>,
    shape: CommonShape,
}

impl File {
    fn new(id: [u8; 16], journal: Option<JournalOf>, columns: &[&str]) -> File {
        let header = FileHeader {
            identity: "function factors:alpha".into(),
            created: AT,
            software: "maniple 0.1.0".into(),
            id,
            columns: columns.iter().map(|&name| name.into()).collect(),
            key_columns: vec!["date".into(), "code".into()],
            journal,
        };
        File {
            bytes: header.encode(),
            tag: header.tag(),
            totals: Totals::default(),
            options: Options { plain: journal.is_some(), ..Options::default() },
            listed: Vec::new(),
            shape: CommonShape::default(),
        }
    }

    /// The journal of a file as it is now.
    fn journal(&self) -> File {
        File::new(JOURNAL, Some(JournalOf { of: MAIN, end: self.bytes.len() as u64 }), &[])
    }

    fn compressed(mut self) -> File {
        self.options.compress = Compress::Zstd;
        self
    }

    /// The next frame folds the journal.
    fn folding(mut self) -> File {
        self.options.folds = Some(JOURNAL);
        self
    }

    fn place(&mut self) -> Place {
        let sequence = self.totals.frames;
        self.totals.frames += 1;
        Place { tag: self.tag, sequence, durable: self.bytes.len() as u64, at: AT + 1000 * sequence }
    }

    /// Rows given by the hexadecimal digits of key and value.
    fn values<K: AsRef<str>, V: AsRef<str>>(self, rows: &[(K, V)]) -> File {
        self.attempts(rows, &[])
    }

    fn attempts<K: AsRef<str>, V: AsRef<str>>(
        mut self,
        rows: &[(K, V)],
        attempts: &[(u32, Attempt)],
    ) -> File {
        let keys: Vec<u8> = rows.iter().flat_map(|(key, _)| unhex(key.as_ref())).collect();
        let values: Vec<u8> = rows.iter().flat_map(|(_, value)| unhex(value.as_ref())).collect();
        let (place, start) = (self.place(), self.bytes.len());
        let (count, options) = (rows.len() as u32, self.options);
        self.shape.add(encode_values(place, &keys, &values, count, attempts, options, &mut self.bytes));
        index::list(start as u64, &self.bytes[start..], &mut self.listed);
        self.totals.values += rows.len() as u64;
        self
    }

    fn failures(mut self, rows: &[(&str, Cause)]) -> File {
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
        let (place, start) = (self.place(), self.bytes.len());
        encode_failures(place, &keys, &stories, rows.len() as u32, self.options, &mut self.bytes);
        index::list(start as u64, &self.bytes[start..], &mut self.listed);
        self.totals.failures += rows.len() as u64;
        self
    }

    /// An index and a close frame.
    fn closed(mut self, previous: Option<u64>) -> File {
        let (place, index) = (self.place(), self.bytes.len() as u64);
        encode_index(place, previous, &std::mem::take(&mut self.listed), &mut self.bytes);
        let totals = Totals { failed: Some(self.totals.failures), ..self.totals };
        let place = self.place();
        encode_close(place, totals, self.shape.shape(), Some(index), &mut self.bytes);
        self
    }

    fn flip(mut self, at: usize) -> File {
        self.bytes[at] ^= 1;
        self
    }

    fn cut(mut self, len: usize) -> File {
        self.bytes.truncate(len);
        self
    }

    fn alone(self, name: &'static str) -> Specimen {
        let compressed = self.options.compress == Compress::Zstd;
        Specimen { name, main: self.bytes, journal: None, compressed }
    }

    fn with(&self, journal: File, name: &'static str) -> Specimen {
        Specimen { journal: Some(journal.bytes), ..self.clone().alone(name) }
    }
}

/// `[2024.., "000001" or "000002"]`, another one for each number up to 83.
fn key(number: usize) -> String {
    format!("92ce01348d{:02x}a63030303030{:02x}", 0xc6 + number / 2, 0x31 + number % 2)
}

/// The four rows of a frame; each number has other keys.
fn four(frame: usize, value: impl Fn(usize) -> String) -> Vec<(String, String)> {
    (0..4).map(|row| (key(frame * 4 + row), value(row))).collect()
}

/// NaN with a payload, -0.0, infinity, 0.1.
fn float(row: usize) -> &'static str {
    ["cb7ff8000000000001", "cb8000000000000000", "cb7ff0000000000000", "cb3fb999999999999a"][row]
}

/// -2^63, 2^63 - 1, -33, 200.
fn int(row: usize) -> &'static str {
    ["d38000000000000000", "cf7fffffffffffffff", "d0df", "ccc8"][row]
}

/// "é", "b", "é", "b".
fn text(row: usize) -> &'static str {
    ["a2c3a9", "a162"][row % 2]
}

/// nil, a boolean, a float32, an integer beyond int64.
fn other(row: usize) -> &'static str {
    ["c0", "c3", "ca3f800000", "cfffffffffffffffff"][row]
}

/// An array of two numbers, extension 4.
fn array(dtype: &str, row: usize) -> String {
    format!("c7190493a3{dtype}9102c410{:016x}{}", 0x0807_0605_0403_0201_u64 << row, "00000000000045c0")
}

const F8: &str = "3c6638";
const I8: &str = "3c6938";

/// A series of two numbers labelled `open` and `close`, extension 5.
fn series(name: &str, dtype: &str, row: usize) -> String {
    let data = format!("93{name}92a46f70656ea5636c6f7365{}", array(dtype, row));
    format!("c7{:02x}05{data}", data.len() / 2)
}

/// Frames of every row and type.
fn every_row(mut file: File) -> File {
    let scalars: [fn(usize) -> &'static str; 4] = [float, int, text, other];
    for (frame, scalar) in scalars.into_iter().enumerate() {
        file = file.values(&four(frame, |row| scalar(row).to_owned()));
    }
    let items = |row| [float(row), int(row), text(row), other(row)].concat();
    let named = |row| format!("84a166{}a169{}a174{}a16d{}", float(row), int(row), text(row), other(row));
    let tuple = |row| format!("c7{:02x}0194{}", 1 + items(row).len() / 2, items(row));
    file.attempts(&four(4, |row| format!("94{}", items(row))), &[(1, Attempt(2)), (3, Attempt(700))])
        .values(&four(5, tuple))
        .values(&four(6, named))
        .values(&four(7, |row| format!("92{}{}", float(row), float(3 - row))))
        .values(&four(8, |row| array(F8, row)))
        .values(&four(9, |row| array(I8, row)))
        .values(&four(10, |row| series(text(row), F8, row)))
        .values(&four(11, |row| series(other(row), I8, row)))
        // keys of other kinds
        .values(&[(float(0), "01"), (float(1), "02")])
        .values(&[(int(0), "a161"), (int(1), "a161")])
        .values(&[("82a161cb3ff0000000000000a162c3", "01"), ("82a161cb4000000000000000a162c2", "02")])
        .values(&[("c7030192ff05", "01"), ("c7030192fe05", "02")])
        // rows that stay as they are: other widths, a longer integer, an array that is written long
        .values(&[("9101", "9101"), ("920102", "920102")])
        .values(&[("a178", "cc01"), ("a179", "02")])
        .values(&[("dc000101", "dc000101"), ("dc000102", "dc000102")])
        .values(&[("a17a", "c403000102")])
        .failures(&[
            ("92ce01348df0a6303030303031", Cause::Exception("builtins.ValueError".into())),
            ("92ce01348df0a6303030303032", Cause::ExitCode { code: 7, died: true }),
            ("92ce01348df1a6303030303031", Cause::Signal(11)),
            ("92ce01348df1a6303030303032", Cause::OutOfMemory(1 << 30, 1 << 31)),
        ])
}

/// All of them.
pub fn all() -> Vec<Specimen> {
    let numbers = |row| format!("92{}{}", float(row), float(3 - row));
    let first = File::new(MAIN, None, &["open", "close"]).values(&four(0, numbers));
    let rows = || File::new(MAIN, None, &[]);
    let dict = |row| format!("82a16f{}a163{}", float(row), int(row));
    let journal = || {
        first
            .journal()
            .values(&[(key(4), numbers(0))])
            .failures(&[("a166", Cause::Timeout(2500))])
            .values(&[(key(5), numbers(1)), (key(6), numbers(2))])
    };
    let folding =
        || first.clone().values(&[(key(4), numbers(0)), (key(5), numbers(1)), (key(6), numbers(2))]);
    let folded = folding().folding().failures(&[("a166", Cause::Timeout(2500))]);
    let len = first.bytes.len();
    // Gone on with after it was closed: two indices, the second of which leads to the first.
    let twice = first.clone().closed(None).values(&[(key(4), numbers(0))]).closed(Some(len as u64));
    vec![
        every_row(rows()).closed(None).alone("rows"),
        every_row(rows().compressed()).closed(None).alone("rows-zstd"),
        rows().values(&four(0, dict)).values(&[("a16b", dict(1))]).closed(None).alone("shape"),
        twice.alone("closed-twice"),
        every_row(rows()).flip(len + 8).alone("damaged"),
        first.with(journal(), "journal"),
        first.with(journal().cut(journal().bytes.len() - 5), "journal-torn"),
        first.with(journal().flip(journal().bytes.len() / 2), "journal-damaged"),
        folding().with(journal(), "journal-unfinished-fold"),
        folded.clone().cut(folded.bytes.len() - 5).with(journal(), "journal-torn-fold"),
        folded.with(journal(), "journal-folded"),
        first.clone().cut(len - 8).with(journal(), "journal-main-too-short"),
        first.with(journal().flip(30), "journal-unreadable"),
        first.with(File::new(JOURNAL, Some(JournalOf { of: JOURNAL, end: 64 }), &[]), "journal-foreign"),
    ]
}
