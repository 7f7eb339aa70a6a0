//! Results of rust_pyfunc: imported, gone on from, refused where that would not be honest.

use maniple_tests::{Scratch, binary, outcomes};

const FUNCTION: &str = "
def f(date, code):
    open('ran', 'a').write(f'{date} {code}\\n')
    return [1.0, 2.0, 3.0, 4.0]
";
const TASKS: &str = "date,code\n20240102,000001\n20240102,000003\n20240102,BRK.B\n20240105,000001\n";

fn backup(scratch: &Scratch, name: &str) {
    let golden = binary::root().join("tests/golden/rust_pyfunc").join(name);
    std::fs::copy(golden, scratch.file(name)).expect("the golden file is there");
}

#[test]
fn a_backup_is_imported_and_gone_on_from() {
    let scratch = Scratch::new();
    backup(&scratch, "v4.bin");
    scratch.write("m.py", FUNCTION);
    scratch.write("tasks.csv", TASKS);
    let import = "checkpoint import --from rust_pyfunc --function m:f --drop-nan-rows v4.bin m.checkpoint";
    let ended = scratch.run(import).expect_code(0);
    assert!(ended.stdout.contains("rows 12, factors 4"), "{}", ended.stdout);
    scratch.run("run -j 1 m:f --tasks tasks.csv --checkpoint m.checkpoint --quiet").expect_code(0);
    assert_eq!(scratch.lines("ran"), ["20240102 000003", "20240105 000001"]);
    assert_eq!(outcomes(&scratch.file("m.checkpoint")).len(), 14);
    let table = scratch.run("checkpoint export --format csv m.checkpoint -").expect_code(0).stdout;
    assert!(table.starts_with("date,code,c0,c1,c2,c3\r\n") && table.lines().count() == 15, "{table}");
    assert!(table.contains("\r\n20240102,000003,1.0,2.0,3.0,4.0\r\n"), "{table}");
    let again = scratch.run(import).expect_code(2);
    assert!(again.stderr.contains("m.checkpoint: exists already"), "{}", again.stderr);
}

#[test]
fn a_damaged_backup_gives_what_is_whole_and_says_the_rest() {
    let scratch = Scratch::new();
    backup(&scratch, "v3.bin");
    let mut bytes = std::fs::read(scratch.file("v3.bin")).expect("there");
    bytes[64 + 48 + 33] ^= 1;
    scratch.write("v3.bin", bytes);
    let ended = scratch.run("checkpoint import --from rust_pyfunc v3.bin out").expect_code(3);
    assert!(ended.stdout.contains("bytes 112..160: record 2: its checksum is wrong"), "{}", ended.stdout);
    assert!(ended.stdout.contains("rows 2, factors 3"), "{}", ended.stdout);
    scratch.write("text", "date,code\n");
    let stranger = scratch.run("checkpoint import --from rust_pyfunc text other").expect_code(3);
    assert!(stranger.stderr.contains("text: not a backup of rust_pyfunc"), "{}", stranger.stderr);
    assert!(!scratch.file("other").exists());
}
