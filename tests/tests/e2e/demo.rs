//! `make demo`: what a newcomer sees first is true.

use std::process::Command;

use maniple_tests::{Program, Scratch, binary, skip};

#[test]
fn the_demo_computes_each_row_once() {
    let scratch = Scratch::new();
    let venv = binary::root().join(".venv");
    if !venv.join("bin/python").exists() {
        return skip::not_checked("make demo", "the package is not installed; run make build");
    }
    let mut demo = Command::new(binary::root().join("examples/factors/demo.sh"));
    demo.arg(binary::maniple()).arg(venv);
    scratch.prepare(&mut demo);
    let ended = Program::start(demo).wait().expect_code(0);
    let summaries: Vec<&str> = ended.stderr.lines().filter(|line| line.contains(" done")).collect();
    let expected = [
        "22,365 tasks: 22,365 done",
        "22,365 tasks: 0 done, 22,365 skipped",
        "25,180 tasks: 2,815 done, 22,365 skipped",
    ];
    assert_eq!(summaries.len(), expected.len(), "{}", ended.stderr);
    for (summary, expected) in summaries.iter().zip(expected) {
        assert!(summary.contains(expected), "{summary}");
    }
    // mom20 of Apple on the last day, from the closes 159.54 and, 20 days before, 174.33.
    let row = ended.stdout.lines().find(|line| line.contains("2018-02-07  AAPL")).expect("the newest row");
    assert!(row.contains(" -0.0848391 "), "{row}");
    let info = |line: &str| line.split_whitespace().eq(["values", "25180"]);
    assert!(ended.stdout.lines().any(info), "{}", ended.stdout);
}
