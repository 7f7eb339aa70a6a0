//! docs/guarantees.md names the tests that prove it: each of them exists, in a file of the name that it gives.

use std::{collections::BTreeSet, fs, path::Path};

/// The page.
const PAGE: &str = "docs/guarantees.md";
/// Where tests are.
const FOLDERS: [&str; 6] = ["cli", "coordinator", "python/tests", "shared", "tests", "worker"];

/// Every test below a folder, as the page would name it.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "py") {
            let own = path.file_stem().expect("a name").to_string_lossy().into_owned();
            // `x/tests.rs` holds the tests of `x`, `x/main.rs` is the test `x`.
            let name = match own.as_str() {
                "tests" | "main" => folder.file_name().expect("a name").to_string_lossy().into_owned(),
                _ => own,
            };
            let text = fs::read_to_string(&path).expect("text");
            found.extend(names(&text).map(|test| format!("{name}::{test}")));
        }
    }
}

/// The tests in a file of Rust or Python.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        let line = line.strip_prefix("async ").unwrap_or(line);
        let after = std::mem::replace(&mut is_test, line.starts_with("#[") && line.contains("test"));
        let begun = match after {
            true => line.strip_prefix("fn "),
            false => line.strip_prefix("def ").filter(|rest| rest.starts_with("test_")),
        };
        is_test |= after && line.starts_with("#[");
        begun?.split('(').next()
    })
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut known = BTreeSet::new();
    FOLDERS.iter().for_each(|folder| tests_below(&root.join(folder), &mut known));
    let page = fs::read_to_string(root.join(PAGE)).expect("the page is there");
    let named: BTreeSet<&str> =
        page.split('`').skip(1).step_by(2).filter(|words| words.contains("::")).collect();
    assert!(named.len() > 100, "{} tests are named", named.len());
    let missing: Vec<_> =
        named.iter().filter(|name| **name != "core::..." && !known.contains(**name)).collect();
    assert!(missing.is_empty(), "{PAGE} names tests that do not exist: {missing:#?}");
}

#[test]
fn every_promise_and_every_fault_has_its_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let page = fs::read_to_string(root.join(PAGE)).expect("the page is there");
    for row in (1..=10).map(|n| format!("| **P{n}** ")).chain((1..=40).map(|n| format!("| F{n} | "))) {
        let line = page.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("no row {row}"));
        let last = line.trim_end_matches(" |").rsplit(" | ").next().expect("a cell");
        assert!(last.contains("::") || last.contains("not proved yet"), "{row}: {last}");
    }
}
