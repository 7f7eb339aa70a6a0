//! Keeps the house as STYLE and ARCHITECTURE describe it: pure cores, module docs, small files, nothing dead.

use std::{
    fs,
    path::{Path, PathBuf},
};

const MOST_LINES: usize = 400;
/// What a pure core may not name.
const IMPURE: [&str; 12] = [
    "actix",
    "tokio",
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "tracing",
];
/// Files that are pure though they do not lie in a `core` folder.
const PURE_FILES: [&str; 9] = [
    "shared/src/id.rs",
    "shared/src/msgpack.rs",
    "shared/src/task_set.rs",
    "shared/src/tasks.rs",
    "shared/src/tasks/index.rs",
    "shared/src/tasks/keys.rs",
    "shared/src/outcome.rs",
    "shared/src/supervision/policy.rs",
    "shared/src/supervision/tree.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Files below the workspace with one of these endings, without what is built or installed.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.')
                    && !["target", "node_modules", "build", "__pycache__"].contains(&name.as_str())
                {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let shown = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((shown, fs::read_to_string(&path).expect("text")));
            }
        }
    }
    assert!(!found.is_empty(), "there are {endings:?} files");
    found.sort();
    found
}

/// The code of a Rust file without comments and its tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_cores_are_pure() {
    let pure = |path: &str| path.contains("/src/core/") || PURE_FILES.contains(&path);
    let test =
        |path: &str| path.ends_with("tests.rs") || path.ends_with("script.rs") || path.contains("/tests/");
    let cores: Vec<_> = files(&[".rs"]).into_iter().filter(|(path, _)| pure(path) && !test(path)).collect();
    assert!(
        cores.iter().any(|(path, _)| path.starts_with("coordinator/")),
        "the coordinator's core is looked at"
    );
    assert!(cores.iter().any(|(path, _)| path.starts_with("worker/")), "the worker's core is looked at");
    let complain = |(path, text): &(String, String)| {
        let code = code(text);
        let named = IMPURE.iter().filter(|word| code.contains(**word));
        named.map(|word| format!("{path}: a pure core names {word}")).collect::<Vec<_>>()
    };
    assert_none(cores.iter().flat_map(complain).collect());
}

#[test]
fn every_file_says_what_it_is() {
    let complain = |(path, text): (String, String)| {
        let first =
            text.lines().find(|line| !line.starts_with("#!") && !line.trim().is_empty()).unwrap_or("");
        let documented = match path.rsplit('.').next() {
            Some("rs") => first.starts_with("//!"),
            _ => ["\"\"\"", "#", "r\"\"\""].iter().any(|start| first.starts_with(start)) || first.is_empty(),
        };
        (!documented).then(|| format!("{path}: no module doc"))
    };
    assert_none(files(&[".rs", ".py", ".sh"]).into_iter().filter_map(complain).collect());
}

#[test]
fn files_are_small() {
    let complain = |(path, text): (String, String)| {
        let lines = text.lines().count();
        (lines > MOST_LINES).then(|| format!("{path}: {lines} lines; split it by concept"))
    };
    assert_none(files(&[".rs", ".py", ".sh"]).into_iter().filter_map(complain).collect());
}

#[test]
fn unsafe_lives_in_one_file() {
    let allowed = "worker/src/process/sys.rs";
    let has = |text: &str| {
        code(text).split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
    };
    let complain =
        |(path, text): (String, String)| (path != allowed && has(&text)).then(|| format!("{path}: unsafe"));
    let here = "tests/tests/tidy.rs";
    assert_none(files(&[".rs"]).into_iter().filter(|(path, _)| path != here).filter_map(complain).collect());
}

#[test]
fn actix_stays_in_the_actors() {
    let may = |path: &str| {
        path.contains("/actors/")
            || path.starts_with("shared/src/supervision")
            || path.starts_with("tests/")
            || path == "cli/src/engine.rs"
            || path.contains("/tests/")
    };
    let complain = |(path, text): (String, String)| {
        (!may(&path) && code(&text).contains("actix::")).then(|| format!("{path}: names actix"))
    };
    assert_none(files(&[".rs"]).into_iter().filter_map(complain).collect());
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in files(&[".md"]) {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or("");
            let file = root().join(&path).parent().expect("a folder").join(target);
            if !target.is_empty() && !target.contains("://") && !file.exists() {
                broken.push(format!("{path}: {link}"));
            }
        }
    }
    assert_none(broken);
}
