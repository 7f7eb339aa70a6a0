//! What is wrong -> the one line that says so.

use super::{super::TaskSource, Fixture, chunks, open};

fn check(name: &str, content: impl AsRef<[u8]>, expected: &str) {
    assert_eq!(Fixture::new(name, content).error(&[]), expected);
}

#[test]
fn a_malformed_line_of_json_is_named() {
    let lines = "[1, 2]\n".repeat(16);
    check(
        "tasks.jsonl",
        format!("{lines}[1, 222 3]\n"),
        "tasks.jsonl, line 17: expected ',' or ']' at column 9",
    );
    check("t.jsonl", "\n\n[1, 2\n", "t.jsonl, line 3: the line ends within a list");
    check("t.jsonl", "[1] [2]\n", "t.jsonl, line 1: trailing characters at column 5");
    check("t.jsonl", "\r\n{\"é\": x}", "t.jsonl, line 2: expected value at column 7");
    check(
        "t.jsonl",
        "{\"a\":1,\"b\":{\"a\":2},\"a\":3}",
        "t.jsonl, line 1: field \"a\" is given twice at column 25",
    );
    check("t.jsonl", b"[1]\n[\"\xff\"]\n", "t.jsonl, line 2: invalid unicode code point at column 3");
    check("t.jsonl", "[1e999]", "t.jsonl, line 1: number out of range at column 6");
    check(
        "t.jsonl",
        "[\"\\\"-0 99999999999999999999\", 18446744073709551616]",
        "t.jsonl, line 1: 18446744073709551616 at column 31 does not fit in 64 bits; make it a string",
    );
    check(
        "t.jsonl",
        "[0, -9223372036854775809]",
        "t.jsonl, line 1: -9223372036854775809 at column 5 does not fit in 64 bits; make it a string",
    );
    let hint = "(JSON has no NaN and no Infinity; a .msgpack file has)";
    check("t.jsonl", "[NaN]", &format!("t.jsonl, line 1: expected value at column 2 {hint}"));
    check("t.jsonl", "-Infinity", &format!("t.jsonl, line 1: invalid number at column 2 {hint}"));
    check("t.jsonl", "[".repeat(200), "t.jsonl, line 1: recursion limit exceeded at column 128");
    check("t.jsonl", "factors", "t.jsonl, line 1: expected value at column 3");
}

#[test]
fn fields_named_twice_are_found_among_many() {
    let fields: Vec<String> = (0..40).map(|n| format!("\"f{n}\":{n}")).collect();
    let line = format!("{{{},\"f7\":0}}", fields.join(","));
    let error = Fixture::new("t.jsonl", line).error(&[]);
    assert!(error.contains("field \"f7\" is given twice"), "{error}");
}

#[test]
fn a_malformed_row_is_named() {
    check("t.csv", "a,b\n1,2\n1\n", "t.csv, line 3: 1 field, but the header names 2");
    check("t.csv", "a,b\r\n1,2\r\n\r\n1,2,3\r\n", "t.csv, line 4: 3 fields, but the header names 2");
    check("t.csv", "a,b\n\"x\ny\",2\n1,2,3", "t.csv, line 4: 3 fields, but the header names 2");
    check("t.csv", "a,b\n1,2\n\"x\ny\",2,3\n", "t.csv, line 3: 3 fields, but the header names 2");
    check("t.csv", b"a,b\n1,2\n3,ab\xff\n", "t.csv, line 3: column \"b\": not valid UTF-8 at column 3");
    check("t.csv", "", "t.csv, line 1: expected a header that names the columns, but the file is empty");
    check(
        "t.csv",
        "1,007\n2,3\n",
        "t.csv, line 1: expected a header that names the columns, but all fields are numbers",
    );
    check("t.csv", "a,b,a\n", "t.csv, line 1: two columns are named \"a\"");
    let open_quote = "a quoted field starts here or below and never ends";
    check("t.csv", "a,b\n1,2\n3,\"x\n4,5\n6,7\n", &format!("t.csv, line 3: {open_quote}"));
    check("t.csv", "a\n\"x", &format!("t.csv, line 2: {open_quote}"));
    check("t.csv", "a,\"b", &format!("t.csv, line 1: {open_quote}"));
    let error = Fixture::new("t.csv", "a,b\n").error(&["c"]);
    assert_eq!(error, "t.csv, line 1: no column \"c\" for --text; there are: a, b");
    assert_eq!(Fixture::new("t.jsonl", "").error(&["c"]), "t.jsonl has no columns: --text is for .csv files");
}

#[test]
fn a_malformed_text_or_value_is_named() {
    check("t.txt", b"a\nb\xc3\n", "t.txt, line 2: not valid UTF-8 at column 2");
    check("t.msgpack", [1, 0x92, 1], "t.msgpack, key 2 (byte 1): malformed or cut MessagePack");
    check("t.msgpack", [0x91, 1, 0xc1, 1], "t.msgpack, key 2 (byte 2): malformed or cut MessagePack");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    check(
        "tasks.json",
        "[]",
        "tasks.json: a task file's name has to end in .csv, .jsonl, .ndjson, .msgpack or .txt (or be - for standard input)",
    );
    check(
        "tasks",
        "[]",
        "tasks: a task file's name has to end in .csv, .jsonl, .ndjson, .msgpack or .txt (or be - for standard input)",
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let told = |name: &str| {
        let file = folder.path().join(name);
        let error =
            open(&TaskSource { file: &file, for_command: false, text: &[] }).expect_err("no such file");
        error.to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(told("missing.csv"), "cannot open missing.csv: No such file or directory (os error 2)");
    std::fs::create_dir(folder.path().join("folder.jsonl")).expect("a folder");
    assert_eq!(told("folder.jsonl"), "cannot open folder.jsonl: it is a directory");
}

#[test]
fn what_is_longer_than_the_limit_is_refused_wherever_a_block_ends() {
    let line = |length: usize| [&b"1\n"[..], &vec![b'5'; length], b"\n2\n"].concat();
    check("t.txt", line((32 << 20) + 1), "t.txt, line 2: longer than 32 MiB");
    check("t.txt", line(34 << 20), "t.txt, line 2: longer than 32 MiB");
    check("t.csv", [b"n\n", &line(34 << 20)[..]].concat(), "t.csv, line 3: longer than 32 MiB");
    check("t.jsonl", vec![b' '; 80 << 20], "t.jsonl, line 1: longer than 32 MiB");
    let fixture = Fixture::new("t.txt", line((32 << 20) - 5));
    assert_eq!(chunks(&mut fixture.open(&[]).expect("a good file")).expect("good tasks").len(), 2);
}

#[test]
fn a_key_may_be_too_long_although_its_line_is_not() {
    let floats = ["0.5"; 4 << 20].join(",");
    check("t.jsonl", format!("[{floats}]\n"), "t.jsonl, line 1: as a key longer than 32 MiB");
}
