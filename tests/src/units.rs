//! The systemd units of `deploy/`, as far as tests run what they say: their command lines, with their settings.

use std::{collections::BTreeMap, fs, path::PathBuf};

use crate::binary::root;

/// Where a unit or its settings are.
pub fn path(name: &str) -> PathBuf {
    root().join("deploy").join(name)
}

/// The arguments of `maniple` in a unit's `ExecStart=`, with the settings of its environment file and with `changes`
/// to them, and paths below `/var/lib/maniple` below `state` instead.
#[track_caller]
pub fn arguments(name: &str, changes: &[(&str, &str)], state: &str) -> Vec<String> {
    let unit = fs::read_to_string(path(&format!("maniple-{name}.service"))).expect("the unit is there");
    let unit = unit.replace("\\\n", " ");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/maniple "))
        .expect("ExecStart");
    let mut settings = settings(name);
    for (name, value) in changes {
        assert!(settings.insert((*name).to_owned(), (*value).to_owned()).is_some(), "{name} is no setting");
    }
    let words = line.split_whitespace().flat_map(|word| expand(word, &settings));
    words.map(|word| word.replace("/var/lib/maniple", state)).collect()
}

/// The settings of an environment file.
fn settings(name: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path(&format!("{name}.env"))).expect("the settings are there");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).expect("NAME=VALUE")
        })
        .collect()
}

/// As systemd does: `${NAME}` is one word, `$NAME` as many as its value has.
#[track_caller]
fn expand(word: &str, settings: &BTreeMap<String, String>) -> Vec<String> {
    let value =
        |name: &str| settings.get(name).unwrap_or_else(|| panic!("{name} is not in the environment file"));
    match word.strip_prefix('$') {
        None => vec![word.to_owned()],
        Some(name) => match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => vec![value(name).clone()],
            None => value(name).split_whitespace().map(str::to_owned).collect(),
        },
    }
}
