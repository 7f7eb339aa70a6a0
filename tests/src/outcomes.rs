//! What a checkpoint with its journal holds, by key: read with every checksum, and with one outcome per task or not at all.

use std::{collections::BTreeMap, fs::File, path::Path};

use shared::{
    checkpoint::{Depth, Failures, Pair, Rows},
    msgpack,
    outcome::Failure,
};

/// Keys and values as MessagePack, failures as their story.
pub type Outcomes = BTreeMap<Vec<u8>, Result<Vec<u8>, Failure>>;

/// The outcomes in a file and its journal. Fails on damage, and on a second value for a task.
#[track_caller]
pub fn outcomes(path: &Path) -> Outcomes {
    let journal = File::open(format!("{}.wal", path.display())).ok();
    let main = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut outcomes = Outcomes::new();
    let pair = Pair { main: &main, journal: journal.as_ref() };
    let judged = pair.inspect(Depth::All, &mut |_, source, visit| {
        if let Some(rows) = Rows::read(source, &visit.frame, visit.head).expect("a sound frame") {
            let keys = msgpack::values(&rows.keys).map(|key| key.expect("a sound key"));
            let values = msgpack::values(&rows.values).map(|value| value.expect("a sound value"));
            for (key, value) in keys.zip(values) {
                let earlier = outcomes.insert(key.to_vec(), Ok(value.to_vec()));
                assert!(!matches!(earlier, Some(Ok(_))), "a task has two values: {key:02x?}");
            }
        } else if let Some(failures) =
            Failures::read(source, &visit.frame, visit.head).expect("a sound frame")
        {
            for (key, story) in msgpack::values(&failures.keys).zip(failures.stories) {
                let earlier = outcomes.insert(key.expect("a sound key").to_vec(), Err(story));
                assert!(!matches!(earlier, Some(Ok(_))), "a task that has a value has failed");
            }
        }
    });
    let judged = judged.expect("readable files");
    assert!(!judged.is_corrupt(), "{judged:?}");
    outcomes
}

/// A key or value as JSON writes it; for tests of plain values.
pub fn json(bytes: &[u8]) -> serde_json::Value {
    rmp_serde::from_slice(bytes).expect("a value that JSON has too")
}

/// The outcomes of tasks with one number each, as (number, JSON value).
pub fn values_by_number(outcomes: &Outcomes) -> BTreeMap<u64, serde_json::Value> {
    let number = |key: &[u8]| rmp_serde::from_slice::<(u64,)>(key).expect("a key of one number").0;
    outcomes.iter().filter_map(|(key, outcome)| Some((number(key), json(outcome.as_ref().ok()?)))).collect()
}
