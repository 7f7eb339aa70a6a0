//! What is in the file -> the keys.

use super::Fixture;

fn check(name: &str, content: impl AsRef<[u8]>, expected: &[&str]) {
    check_text(name, content, &[], expected);
}

fn check_text(name: &str, content: impl AsRef<[u8]>, text: &[&str], expected: &[&str]) {
    let shown = String::from_utf8_lossy(content.as_ref()).into_owned();
    let keys = Fixture::new(name, content).keys(text).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    assert_eq!(keys, expected, "{shown:?}");
}

#[test]
fn rows_of_csv() {
    check(
        "t.csv",
        "date,code\n20240102,000001\n20240103,600000\n",
        &[r#"[20240102,"000001"]"#, "[20240103,600000]"],
    );
    check("t.csv", "x,y,z\n0,0.5,-1.25e3\n", &["[0,0.5,-1250.0]"]);
    check("t.csv", "x,y\n,\n\"\",\" a\"\n", &[r#"["",""]"#, r#"[""," a"]"#]);
    check("t.csv", "x,y\nnan,inf\n+5,1_0\n", &[r#"["nan","inf"]"#, r#"["+5","1_0"]"#]);
    check("t.csv", "x\n\"12\"\n12\n", &["[12]", "[12]"]);
    check("t.csv", "x,y\n\"a,\"\"b\"\"\",\"two\nlines\"\n", &[r#"["a,\"b\"","two\nlines"]"#]);
    check("t.csv", "\u{feff}x,y\r\n1,é\r\n\r\n2,b", &[r#"[1,"é"]"#, r#"[2,"b"]"#]);
    check("t.CSV", "x\n1\n", &["[1]"]);
    check("t.csv", "x,y\n", &[]);
    check("t.csv", "x,y", &[]);
    check("t.csv", "x,\n1,2\n", &["[1,2]"]);
}

#[test]
fn a_column_can_be_forced_to_text() {
    let content = "day,code,x\n1,600000,2.50\n2,000001,1e5\n";
    check_text("t.csv", content, &["code", "x"], &[r#"[1,"600000","2.50"]"#, r#"[2,"000001","1e5"]"#]);
}

#[test]
fn lines_of_json() {
    check("t.jsonl", "[123456]\n[1,\"a\",null,true,false]\n", &["[123456]", r#"[1,"a",null,true,false]"#]);
    check("t.jsonl", "5\n\"000001\"\n-1.5\nnull\n", &["5", r#""000001""#, "-1.5", "null"]);
    check("t.ndjson", "{\"b\":1,\"a\":[{},[]]}\n", &[r#"{"b":1,"a":[{},[]]}"#]);
    check("t.jsonl", "\u{feff}[1]\r\n\n  \t\r\n [2] \n[3]", &["[1]", "[2]", "[3]"]);
    check("t.jsonl", "[1, 1.0, 1e2, -0, -0.0]\n", &["[1,1.0,100.0,0,-0.0]"]);
    check("t.jsonl", "\"\\u00e9\\ud83d\\ude00\\n\"\n", &["\"é😀\\n\""]);
    check(
        "t.jsonl",
        "[18446744073709551615,-9223372036854775808]\n",
        &["[18446744073709551615,-9223372036854775808]"],
    );
    check("t.jsonl", "[\"99999999999999999999\", 1e30]\n", &[r#"["99999999999999999999",1e30]"#]);
    check("t.jsonl", "", &[]);
}

#[test]
fn lines_of_text() {
    check("t.txt", "a b\n 007 \r\n\n{\"x\":1}\n5", &["\"a b\"", "\" 007 \"", r#""{\"x\":1}""#, "\"5\""]);
    check("t.txt", "\u{feff}a\n\u{feff}b", &["\"a\"", "\"\u{feff}b\""]);
}

#[test]
fn values_of_messagepack() {
    check("t.msgpack", [0x92, 1, 0xa1, b'x', 0x07, 0xc4, 2, 0, 255], &[r#"[1,"x"]"#, "7", r#"b"\x00\xff""#]);
    check("t.msgpack", [0xca, 0x3f, 0x80, 0, 0, 0xcd, 0, 1], &["1.0", "1"]);
    check("t.msgpack", [], &[]);
}

#[test]
fn equal_tasks_of_different_formats_have_equal_keys() {
    let read = |name: &str, content: &str| {
        let fixture = Fixture::new(name, content);
        let mut reader = fixture.open(&[]).expect("a good file");
        super::chunks(&mut reader).expect("good tasks")
    };
    let numbers = [0i64, 127, 128, 255, 256, 65_536, -1, -32, -33, -129, -40_000, i64::MAX, i64::MIN];
    let list = |start: &str, end: &str| numbers.map(|n| format!("{start}{n},0.1{end}\n")).concat();
    let csv = read("t.csv", &format!("n,x\n{}", list("", "")));
    assert_eq!(csv, read("t.jsonl", &list("[", "]")));
    assert_eq!(csv, read("t.jsonl", &list("\t[  ", "\n]").replace("\n]", " ]")));
}
