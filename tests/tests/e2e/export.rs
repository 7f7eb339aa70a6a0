//! A checkpoint as a table of other programs: the same values, or a reason why there is no table.

use std::process::Command;

use maniple_tests::{Scratch, binary, program::PATIENCE, skip::not_checked, wait::until};

const FUNCTION: &str = r#"
import math
def f(date, code):
    if code == "000003":
        raise ValueError("no")
    n = int(code)
    return [n * 0.5, math.nan if n % 2 else 1.25, n, None if n % 3 else 'a,"b"', n % 2 == 0]
"#;
const TASKS: &str =
    "date,code\n20240102,000001\n20240102,000002\n20240102,000003\n20240102,000006\n20240103,000001\n";

const READERS: &str = r#"
import sys
try:
    import duckdb, pandas, polars, pyarrow.ipc, pyarrow.parquet
except ImportError as error:
    sys.exit(f"missing {error.name}")
columns = ["date", "code", "c0", "c1", "c2", "c3", "c4"]
rows = [
    (20240102, "000001", 0.5, "nan", 1, None, False),
    (20240102, "000002", 1.0, 1.25, 2, None, True),
    (20240102, "000006", 3.0, 1.25, 6, 'a,"b"', True),
    (20240103, "000001", 0.5, "nan", 1, None, False),
]
def plain(rows):
    return [tuple("nan" if isinstance(item, float) and item != item else item for item in row) for row in rows]
frame = polars.read_parquet("out.parquet")
assert frame.columns == columns and plain(frame.rows()) == rows, frame
found = duckdb.sql("select * from 'out.parquet'")
assert found.columns == columns and plain(found.fetchall()) == rows, found
frame = pandas.read_parquet("out.parquet", dtype_backend="pyarrow")
assert list(frame.columns) == columns, frame
assert plain(zip(*pyarrow.parquet.read_table("out.parquet").to_pydict().values())) == rows
assert polars.read_ipc("out.arrow").equals(polars.read_parquet("out.parquet"), null_equal=True)
with open("stream", "rb") as stream:
    assert plain(zip(*pyarrow.ipc.open_stream(stream).read_all().to_pydict().values())) == rows
texts = {"code": str}
frame = pandas.read_csv("out.csv", dtype=texts)
assert list(frame["code"]) == [row[1] for row in rows] and list(frame["c0"]) == [row[2] for row in rows], frame
"#;

#[test]
fn other_programs_read_the_same_values() {
    let scratch = Scratch::new();
    scratch.write("m.py", FUNCTION);
    scratch.write("tasks.csv", TASKS);
    scratch.run("run -j 1 m:f --tasks tasks.csv --text code --checkpoint c --quiet").expect_code(1);
    for format in ["parquet", "arrow", "csv"] {
        let ended =
            scratch.run(&format!("checkpoint export --format {format} c out.{format}")).expect_code(0);
        let told = format!("out.{format}: rows 4, columns 7; failed tasks, which have no value: 1");
        assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    }
    let stream = scratch.command("checkpoint export --format arrow c -").output().expect("it starts");
    scratch.write("stream", stream.stdout);
    assert_eq!(
        std::fs::read_to_string(scratch.file("out.csv")).expect("it was written"),
        "date,code,c0,c1,c2,c3,c4\r\n20240102,000001,0.5,nan,1,,false\r\n20240102,000002,1.0,1.25,2,,true\r\n\
         20240102,000006,3.0,1.25,6,\"a,\"\"b\"\"\",true\r\n20240103,000001,0.5,nan,1,,false\r\n"
    );
    read_by_others(&scratch, READERS, "exports in pandas, polars, DuckDB");
}

/// Values that are easily bent on the way: what a NaN carries, the sign of zero, integers that no float holds, codes.
const EDGES: &str = r#"
import struct
def f(date, code):
    n = int(code)
    (payload,) = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000000 + 77))
    floats = [payload, -0.0, 5e-324, float("-inf"), 0.1 + 0.2]
    integers = [2**53 + 1, None, -(2**63), 2**63 - 1, 0]
    texts = ["", "000001", None, "nan", "\u80a1\U0001f4c8"]
    flags = [True, None, False, True, None]
    return [floats[n], None if n == 2 else floats[n], 2**53 + 1 + n, integers[n], texts[n], flags[n]]
"#;
const EDGES_READERS: &str = r#"
import math, struct, sys
try:
    import duckdb, pandas, polars, pyarrow
except ImportError as error:
    sys.exit(f"missing {error.name}")
from m import f
names = ["date", "code", "c0", "c1", "c2", "c3", "c4", "c5"]
rows = [[20240102, f"{n:06}", *f(20240102, f"{n:06}")] for n in range(5)]
def exact(items):
    """Types and bits: neither the sign of a zero nor what a NaN carries is passed over."""
    return [(type(item), struct.pack("<d", item) if isinstance(item, float) else item) for item in items]
def check(reader, columns, among=names):
    for name, column in zip(among, columns, strict=True):
        expected = [row[names.index(name)] for row in rows]
        assert exact(column) == exact(expected), (reader, name, column, expected)
def plain(column):
    return [None if item is pandas.NA else item for item in column.tolist()]
frame = pandas.read_parquet("out.parquet", dtype_backend="pyarrow")
assert list(frame.columns) == names, frame
check("pandas with Arrow's types", [plain(frame[name]) for name in names])
# Its own types have no null for floats, and say so by NaN; without nulls a column is what it was.
frame = pandas.read_parquet("out.parquet")
assert list(frame.columns) == names, frame
whole = ["date", "code", "c0", "c2"]
check("pandas", [plain(frame[name]) for name in whole], whole)
assert [str(frame[name].dtype) for name in ("date", "c0", "c2")] == ["int64", "float64", "int64"], frame.dtypes
assert exact(frame["c1"].drop(2).tolist()) == exact([row[3] for row in rows if row[3] is not None]), frame
assert math.isnan(frame["c1"][2]), frame
assert [item if isinstance(item, str) else None for item in frame["c4"]] == [row[6] for row in rows], frame
frame = pandas.read_parquet("out.parquet", dtype_backend="numpy_nullable")
exacts = ["date", "code", "c2", "c3", "c4", "c5"]
check("pandas with nulls of its own", [plain(frame[name]) for name in exacts], exacts)
frame = polars.read_parquet("out.parquet")
assert frame.columns == names, frame
check("polars", [frame[name].to_list() for name in names])
found = duckdb.sql("select * from 'out.parquet' order by code")
assert found.columns == names, found
check("DuckDB", map(list, zip(*found.fetchall())))
"#;

#[test]
fn pandas_polars_and_duckdb_read_every_bit_of_a_parquet_file() {
    let scratch = Scratch::new();
    scratch.write("m.py", EDGES);
    scratch.write(
        "tasks.csv",
        (0..5).fold("date,code\n".to_owned(), |text, n| text + &format!("20240102,{n:06}\n")),
    );
    scratch.run("run -j 1 m:f --tasks tasks.csv --text code --checkpoint c --quiet").expect_code(0);
    scratch.run("checkpoint export --format parquet c out.parquet").expect_code(0);
    read_by_others(&scratch, EDGES_READERS, "each bit of an export in pandas, polars, DuckDB");
}

/// Runs a script in the interpreter that may have these packages, or says that it has not.
fn read_by_others(scratch: &Scratch, script: &str, what: &str) {
    scratch.write("readers.py", script);
    let mut readers = Command::new(binary::python());
    scratch.prepare(readers.arg("readers.py"));
    let read = readers.output().expect("the interpreter starts");
    let said = String::from_utf8_lossy(&read.stderr);
    if said.starts_with("missing ") {
        not_checked(what, said.trim());
    } else {
        assert!(read.status.success(), "{said}");
    }
}

#[test]
fn columns_and_rows_are_chosen() {
    let scratch = Scratch::new();
    scratch.write("m.py", FUNCTION);
    scratch.write("tasks.csv", TASKS);
    scratch.run("run -j 1 m:f --tasks tasks.csv --text code --checkpoint c --quiet").expect_code(1);
    let export = |options: &str| scratch.run(&format!("checkpoint export --format csv {options} c -"));
    let ended = export("--columns c2,0 --where date=20240102..20240102 --where code=000002..").expect_code(0);
    assert_eq!(ended.stdout, "date,code,c2,c0\r\n20240102,000002,2,1.0\r\n20240102,000006,6,3.0\r\n");
    assert!(ended.stderr.contains("standard output: rows 2 of 4, columns 4"), "{}", ended.stderr);
    let lines =
        scratch.run("checkpoint export --format jsonl --where code=000001 --where date=20240103.. c -");
    assert_eq!(
        lines.expect_code(0).stdout,
        "{\"key\":[20240103,\"000001\"],\"value\":[0.5,{\"$float\":\"nan\"},1,null,false]}\n"
    );
    for (options, culprit) in [
        ("--columns c9", "no column \"c9\" among the 5"),
        ("--columns c0,0", "\"0\" is asked for twice"),
        ("--where day=1", "--where day: the keys have no such column, but date, code"),
        ("--where date=x..", "--where date: expected an integer, found \"x\""),
    ] {
        let ended = export(options).expect_code(2);
        assert!(ended.stderr.contains(culprit), "{options}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{options}");
    }
}

#[test]
fn what_exists_is_replaced_only_on_request_and_never_the_checkpoint() {
    let scratch = Scratch::new();
    scratch.write("m.py", "def f(n):\n    return n\n");
    scratch.numbers("tasks.jsonl", 0..3);
    scratch.run("run -j 1 m:f --tasks tasks.jsonl --checkpoint c --quiet").expect_code(0);
    scratch.write("out", "mine");
    let refused = scratch.run("checkpoint export --format csv c out").expect_code(2);
    assert!(refused.stderr.contains("out: exists already"), "{}", refused.stderr);
    assert_eq!(scratch.lines("out"), ["mine"]);
    scratch.run("checkpoint export --format csv --force c out").expect_code(0);
    assert_eq!(scratch.lines("out")[0], "key0,value");
    let before = std::fs::read(scratch.file("c")).expect("the checkpoint");
    let itself = scratch.run("checkpoint export --format csv --force c ./c").expect_code(2);
    assert!(itself.stderr.contains("is the checkpoint itself"), "{}", itself.stderr);
    assert_eq!(std::fs::read(scratch.file("c")).expect("the checkpoint"), before);
}

#[test]
fn rows_that_make_no_table_are_named() {
    let scratch = Scratch::new();
    scratch.write(
        "m.py",
        "def f(n):\n    return [1.0, [n]] if n < 2 else ['x', 2]\ndef g(n):\n    return [n] * n\n",
    );
    scratch.write("tasks.jsonl", "0\n1\n2\n");
    scratch.run("run -j 1 m:f --tasks tasks.jsonl --checkpoint f --quiet").expect_code(0);
    scratch.run("run -j 1 m:g --tasks tasks.jsonl --checkpoint g --quiet").expect_code(0);
    let refused = scratch.run("checkpoint export --format parquet f out").expect_code(2);
    assert!(
        refused.stderr.contains("column \"c0\": the key 2 has a text where others have floats"),
        "{}",
        refused.stderr
    );
    assert!(!scratch.file("out").exists() && !scratch.file("out.unfinished").exists());
    let json = scratch.run("checkpoint export --format csv --as-json f -").expect_code(0);
    assert_eq!(json.stdout, "key0,c0,c1\r\n0,1.0,[0]\r\n1,1.0,[1]\r\n2,\"\"\"x\"\"\",2\r\n");
    let widths = scratch.run("checkpoint export --format csv g -").expect_code(2);
    assert!(widths.stderr.contains("the key 1 has a value of 1 items, others 0 items"), "{}", widths.stderr);
    let lines = scratch.run("checkpoint export --format jsonl g -").expect_code(0);
    assert_eq!(lines.stdout.lines().last(), Some("{\"key\":2,\"value\":[2,2]}"));
}

#[test]
fn a_checkpoint_is_exported_while_it_is_written_and_after_its_writer_was_killed() {
    let scratch = Scratch::new();
    scratch.write("m.py", "import time\ndef f(n):\n    time.sleep(0.01)\n    return n\n");
    scratch.numbers("tasks.jsonl", 0..100_000);
    let mut program = scratch.start("run -j 1 m:f --tasks tasks.jsonl --checkpoint c --quiet");
    scratch.wait_for_file("c", &program);
    let rows = || {
        let table = scratch.run("checkpoint export --format csv c -").stdout;
        let is_own = |line: &str| line.split_once(',').is_some_and(|(key, value)| key == value);
        assert!(table.lines().skip(1).all(is_own), "{table}");
        table.lines().skip(1).count()
    };
    until(PATIENCE, || rows() >= 10, || "the export does not show ten values".to_owned());
    program.kill();
    assert!(scratch.file("c.wal").exists(), "the values are in the journal");
    assert!(rows() >= 10);
}
