//! Promise P2 over a disk that loses, reorders and tears what was not synced: a crash at every call, and at every
//! call of the recovery from it.

use std::{collections::BTreeMap, path::Path};

use shared::{
    checkpoint::{Depth, Rows, inspect},
    id::Attempt,
    job::Existing,
    msgpack,
    outcome::{Cause, Failure},
    wire::client::StopCause,
};

use super::*;
use crate::disk::memory::{Fault, MemoryDisk};

pub const PATH: &str = "/job.checkpoint";
const WORK: &str = "function a:b";

/// What a checkpoint was seen to hold: key to kind.
pub type Seen = BTreeMap<Vec<u8>, Recorded>;

pub fn open(disk: &MemoryDisk) -> Result<(CheckpointFile, Seen, Vec<String>), CheckpointError> {
    let mut seen = Seen::new();
    let mut visit = |recorded, keys: &[u8], count: u32| {
        let keys: Vec<_> = msgpack::values(keys).map(|key| key.expect("a key").to_vec()).collect();
        assert_eq!(keys.len(), count as usize);
        for key in keys {
            assert_eq!(seen.insert(key, recorded), None, "recorded once");
        }
    };
    let disk = Box::new(disk.clone());
    let (file, notes) = CheckpointFile::open_on(disk, Path::new(PATH), WORK, Existing::Resume, &mut visit)?;
    Ok((file, seen, notes))
}

pub fn failure() -> Failure {
    Failure {
        cause: Cause::Timeout(5),
        message: String::new(),
        traceback: String::new(),
        stdout: String::new(),
        stderr: "e".repeat(700),
        host: String::new(),
        pid: 1,
        attempt: Attempt::FIRST,
    }
}

/// The value that a key has in these tests: `key * 1.5`, in a row of 100.
pub fn value_of(key: u8) -> Vec<u8> {
    let number = f64::from(key) * 1.5;
    let mut row = vec![0xdc, 0, 100];
    (0..100).for_each(|_| row.extend([&[0xcb][..], &number.to_be_bytes()].concat()));
    row
}

/// Pushes the tasks of a round that are not recorded yet: three values and a failure.
pub fn push_round(file: &mut CheckpointFile, round: u8, seen: &Seen, pushed: &mut Seen) {
    for key in round * 4..round * 4 + 4 {
        if seen.contains_key(&vec![key]) {
            continue;
        }
        let recorded = if key % 4 == 3 {
            file.push_failure(&[key], &failure()).expect("whole");
            Recorded::Failures
        } else {
            file.push_values(&[key], &value_of(key), 1, &[]).expect("whole");
            Recorded::Values
        };
        pushed.insert(vec![key], recorded);
    }
}

const ROUNDS: u8 = 5;

/// A run until its end or the first error: what was pushed, what was acknowledged.
fn run(disk: &MemoryDisk) -> (Seen, Seen) {
    let (mut pushed, mut acknowledged) = (Seen::new(), Seen::new());
    // A closure that ends at the first error, as the process does.
    let _end = (|| -> Result<(), CheckpointError> {
        let (mut file, seen, _) = open(disk)?;
        pushed = seen.clone();
        acknowledged = seen.clone();
        for round in 0..ROUNDS {
            push_round(&mut file, round, &seen, &mut pushed);
            file.write()?;
            if round % 2 == 1 {
                file.sync()?;
                acknowledged = pushed.clone();
            }
        }
        file.close()?;
        acknowledged = pushed.clone();
        Ok(())
    })();
    (pushed, acknowledged)
}

fn assert_between(low: &Seen, seen: &Seen, high: &Seen, what: &str) {
    assert!(
        low.iter().all(|(key, kind)| seen.get(key) == Some(kind)),
        "{what}: an acknowledged outcome is lost"
    );
    assert!(seen.iter().all(|(key, kind)| high.get(key) == Some(kind)), "{what}: an outcome from nowhere");
}

fn assert_values_are_right(disk: &MemoryDisk) {
    let bytes = disk.content(Path::new(PATH)).expect("a file");
    let found = inspect(&bytes[..], Depth::All, &mut |visit| {
        if let Some(rows) = Rows::read(&bytes[..], &visit.frame, visit.head).expect("readable") {
            let values = msgpack::values(&rows.values).map(|value| value.expect("a value"));
            for (key, value) in rows.keys.iter().zip(values) {
                assert_eq!(value, value_of(*key));
            }
        }
    })
    .expect("memory");
    assert!(found.damages.is_empty() && found.tail().is_none(), "{found:?}");
}

#[test]
fn p2_no_crash_at_any_call_loses_what_was_acknowledged() {
    let undisturbed = MemoryDisk::default();
    let (all, acknowledged) = run(&undisturbed);
    assert_eq!((all.len(), &all), (usize::from(ROUNDS) * 4, &acknowledged));
    let mut cut = 0;
    for call in 0..undisturbed.calls() {
        let disk = MemoryDisk::default();
        disk.fail(call, Fault::Power);
        let (pushed, acknowledged) = run(&disk);
        for seed in 0..16 {
            let what = format!("call {call}, image {seed}");
            let image = disk.crash(seed);
            let (file, seen, notes) = open(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
            cut += notes.len();
            drop(file);
            assert_between(&acknowledged, &seen, &pushed, &what);
            assert_values_are_right(&image);
            let (_, finished) = run(&image);
            assert_eq!(finished, all, "{what}");
            assert_values_are_right(&image);
        }
    }
    assert!(cut > 20, "the images hold torn ends: {cut}");
}

#[test]
fn p2_no_crash_during_recovery_loses_what_was_acknowledged() {
    let calls = {
        let disk = MemoryDisk::default();
        run(&disk);
        disk.calls()
    };
    for call in 4..calls {
        let disk = MemoryDisk::default();
        disk.fail(call, Fault::Power);
        let (pushed, acknowledged) = run(&disk);
        for seed in 0..6 {
            for again in 0..4 {
                let image = disk.crash(seed);
                image.fail(again, Fault::Power);
                let shown = open(&image).map(|(_, seen, _)| seen);
                for second in 0..6 {
                    let image = image.crash(second);
                    let what = format!("call {call}, image {seed}, then call {again}, image {second}");
                    let (_, seen, _) = open(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_between(shown.as_ref().unwrap_or(&acknowledged), &seen, &pushed, &what);
                }
            }
        }
    }
}

#[test]
fn p2_what_is_shown_after_a_failed_sync_survives_the_next_crash() {
    let disk = MemoryDisk::default();
    let (mut file, seen, _) = open(&disk).expect("new");
    push_round(&mut file, 0, &seen, &mut Seen::new());
    file.write().expect("room");
    disk.fail(disk.calls(), Fault::Error);
    let error = file.sync().expect_err("injected");
    assert!(
        matches!(error, CheckpointError::StorageFailed { .. }) && error.stop_cause() == StopCause::Storage
    );
    let after = disk.calls();
    for error in [file.sync(), file.write().and_then(|()| file.sync()), file.close()] {
        assert!(matches!(error, Err(CheckpointError::StorageFailed { .. })), "never tried again");
    }
    assert_eq!(disk.calls(), after, "the file is not touched any more");
    // The kernel shows the bytes to the next process although they are not on the disk.
    let disk = disk.kill();
    let (file, shown, _) = open(&disk).expect("resumed");
    assert_eq!(shown.len(), 4);
    drop(file);
    for seed in 0..8 {
        let (_, seen, _) = open(&disk.crash(seed)).expect("resumed");
        assert_eq!(seen, shown);
    }
}

#[test]
fn an_error_of_any_call_is_told_and_loses_nothing_acknowledged() {
    let calls = {
        let disk = MemoryDisk::default();
        run(&disk);
        disk.calls()
    };
    for call in 0..calls {
        let disk = MemoryDisk::default();
        disk.fail(call, Fault::Error);
        let (pushed, acknowledged) = run(&disk);
        let (_, seen, _) = open(&disk.kill()).unwrap_or_else(|error| panic!("call {call}: {error}"));
        assert_between(&acknowledged, &seen, &pushed, &format!("call {call}"));
    }
}
