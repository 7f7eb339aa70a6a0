//! Promise P2 over a disk that loses, reorders and tears what was not synced: a crash, an error and a full disk at every
//! call - of the journal, of folds, of the close - and at every call of the recovery.

use std::{collections::BTreeMap, path::Path};

use shared::{
    checkpoint::{Block, Contents, Depth, Kind, Pair, Side},
    id::Attempt,
    job::Existing,
    msgpack,
    outcome::{Cause, Failure},
    wire::client::StopCause,
};

use super::*;
use crate::disk::memory::{Fault, MemoryDisk};

pub const PATH: &str = "/job.checkpoint";
pub const JOURNAL: &str = "/job.checkpoint.wal";
const WORK: &str = "function a:b";

/// A large frame of these tests: five rows, so that three are folded.
const LARGE: usize = 2000;

/// The keys of each flush: into a new journal, folded with it; folded at once, as two frames; into a journal, folded
/// with it, as two frames; twice into a journal, which is folded at the close.
const ROUNDS: [std::ops::Range<u8>; 7] = [0..1, 1..3, 3..10, 10..11, 11..18, 18..19, 19..20];

/// What a checkpoint was seen to hold: key to kind.
pub type Seen = BTreeMap<Vec<u8>, Recorded>;

pub fn open(disk: &MemoryDisk) -> Result<(CheckpointFile, Seen, Vec<String>), CheckpointError> {
    open_as(disk, Existing::Resume)
}

pub fn open_as(
    disk: &MemoryDisk,
    existing: Existing,
) -> Result<(CheckpointFile, Seen, Vec<String>), CheckpointError> {
    let mut seen = Seen::new();
    let mut visit = |recorded, keys: &[u8], count: u32| {
        let keys: Vec<_> = msgpack::values(keys).map(|key| key.expect("a key").to_vec()).collect();
        assert_eq!(keys.len(), count as usize);
        for key in keys {
            assert_eq!(seen.insert(key, recorded), None, "recorded once");
        }
    };
    let disk = Box::new(disk.clone());
    let terms = Terms { large: LARGE, ..Terms::new(WORK.to_owned(), existing) };
    let (file, notes) = CheckpointFile::open_on(disk, Path::new(PATH), &terms, &mut visit)?;
    Ok((file, seen, notes))
}

pub fn failure() -> Failure {
    Failure {
        cause: Cause::Timeout(5),
        message: String::new(),
        traceback: String::new(),
        stdout: String::new(),
        stderr: "e".repeat(250),
        host: String::new(),
        pid: 1,
        attempt: Attempt::FIRST,
    }
}

/// The value that a key has in these tests: `key * 1.5`, in a row of 40.
pub fn value_of(key: u8) -> Vec<u8> {
    let number = f64::from(key) * 1.5;
    let mut row = vec![0xdc, 0, 40];
    (0..40).for_each(|_| row.extend([&[0xcb][..], &number.to_be_bytes()].concat()));
    row
}

/// Pushes those tasks that are not recorded yet: of four, three have values and one a failure.
pub fn push(file: &mut CheckpointFile, keys: std::ops::Range<u8>, seen: &Seen, pushed: &mut Seen) {
    for key in keys {
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

/// A run until its end or the first error that cannot be retried: what was pushed, what was acknowledged.
fn run(disk: &MemoryDisk) -> (Seen, Seen) {
    let (mut pushed, mut acknowledged) = (Seen::new(), Seen::new());
    // A closure that ends at the first error, as the process does.
    let _end = (|| -> Result<(), CheckpointError> {
        let (mut file, seen, _) = open(disk)?;
        pushed = seen.clone();
        acknowledged = seen.clone();
        for keys in ROUNDS {
            push(&mut file, keys, &seen, &mut pushed);
            match file.flush() {
                Err(full) if full.may_be_retried() => file.flush()?,
                flushed => flushed?,
            }
            acknowledged = pushed.clone();
        }
        file.close()
    })();
    (pushed, acknowledged)
}

/// How many calls an undisturbed run makes.
fn calls() -> u64 {
    let disk = MemoryDisk::default();
    run(&disk);
    disk.calls()
}

fn assert_between(low: &Seen, seen: &Seen, high: &Seen, what: &str) {
    assert!(
        low.iter().all(|(key, kind)| seen.get(key) == Some(kind)),
        "{what}: an acknowledged outcome is lost"
    );
    assert!(seen.iter().all(|(key, kind)| high.get(key) == Some(kind)), "{what}: an outcome from nowhere");
}

/// What somebody sees who only reads, every value and every story checked.
pub fn read(disk: &MemoryDisk) -> Seen {
    let Some(main) = disk.content(Path::new(PATH)) else { return Seen::new() };
    let journal = disk.content(Path::new(JOURNAL));
    let mut seen = Seen::new();
    let pair = Pair { main: &main[..], journal: journal.as_deref() };
    let judged = pair.inspect(Depth::All, &mut |_, source, visit| {
        let kind = match visit.head.kind {
            Kind::Values { .. } => Recorded::Values,
            Kind::Failures { .. } => Recorded::Failures,
            Kind::Index { .. } | Kind::Close(_) | Kind::Optional => return,
        };
        let contents = Contents::new(source, &visit.frame, visit.head);
        let outcomes = contents.block(Side::Outcomes).expect("sound").map(Block::into_rows).expect("rows");
        for (key, outcome) in visit.keys.iter().zip(msgpack::values(&outcomes)) {
            let expected = match kind {
                Recorded::Values => value_of(*key),
                Recorded::Failures => {
                    let mut story = Vec::new();
                    shared::checkpoint::story::encode(&failure(), &mut story);
                    story
                }
            };
            assert_eq!(outcome.expect("whole"), expected);
            assert_eq!(seen.insert(vec![*key], kind), None, "recorded once");
        }
    });
    let judged = judged.expect("memory");
    assert!(!judged.is_corrupt(), "{judged:?}");
    seen
}

#[test]
fn p2_no_crash_at_any_call_loses_what_was_acknowledged() {
    let undisturbed = MemoryDisk::default();
    let (all, acknowledged) = run(&undisturbed);
    assert_eq!((all.len(), &all), (20, &acknowledged));
    let mut cut = 0;
    for call in 0..undisturbed.calls() {
        let disk = MemoryDisk::default();
        disk.fail(call, Fault::Power);
        let (pushed, acknowledged) = run(&disk);
        for seed in 0..16 {
            let what = format!("call {call}, image {seed}");
            let image = disk.crash(seed);
            assert_between(&acknowledged, &read(&image), &pushed, &what);
            let (file, seen, notes) = open(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
            cut += notes.len();
            drop(file);
            assert_between(&acknowledged, &seen, &pushed, &what);
            assert_eq!((read(&image), image.names()), (seen, vec![PATH.into()]), "{what}");
            let (_, finished) = run(&image);
            assert_eq!((&finished, &read(&image)), (&all, &all), "{what}");
            assert_eq!(image.names(), [Path::new(PATH)], "{what}");
        }
    }
    assert!(cut > 50, "the images hold torn ends: {cut}");
}

#[test]
fn p2_no_crash_during_recovery_loses_what_was_acknowledged() {
    for call in 4..calls() {
        // After a power failure, and after an error that the kernel keeps from the next process.
        let disks = [Fault::Power, Fault::Error].map(|fault| {
            let disk = MemoryDisk::default();
            disk.fail(call, fault);
            (run(&disk), disk)
        });
        let [(of_power, power), (of_error, error)] = disks;
        let crashed = (0..4).map(|seed| (&of_power, power.crash(seed)));
        for ((pushed, acknowledged), found) in crashed.chain([(&of_error, error.kill())]) {
            for again in 0..11 {
                let image = found.kill();
                image.fail(image.calls() + again, Fault::Power);
                let shown = open(&image).map(|(_, seen, _)| seen);
                for second in 0..3 {
                    let image = image.crash(second);
                    let what = format!("call {call}, then call {again}, image {second}");
                    let (_, seen, _) = open(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_between(shown.as_ref().unwrap_or(acknowledged), &seen, pushed, &what);
                    assert_eq!(read(&image), seen, "{what}");
                }
            }
        }
    }
}

#[test]
fn p2_what_is_shown_after_a_failed_call_survives_the_next_crash() {
    for fault in [Fault::Error, Fault::Full] {
        for call in 0..calls() {
            let disk = MemoryDisk::default();
            disk.fail(call, fault);
            let (pushed, acknowledged) = run(&disk);
            let what = format!("{fault:?} at call {call}");
            // The kernel shows bytes to the next process although they are not on the disk.
            let disk = disk.kill();
            let (mut file, mut shown, _) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_between(&acknowledged, &shown, &pushed, &what);
            push(&mut file, 20..30, &Seen::new(), &mut shown);
            file.flush().expect("a disk");
            drop(file);
            for seed in 0..8 {
                let image = disk.crash(seed);
                assert_eq!(read(&image), shown, "{what}, image {seed}");
                assert_eq!(open(&image).expect("resumed").1, shown, "{what}, image {seed}");
            }
        }
    }
}

#[test]
fn a_full_disk_at_any_write_only_costs_another_try() {
    let mut told = 0;
    for call in 0..calls() {
        let disk = MemoryDisk::default();
        disk.fail(call, Fault::Full);
        let (pushed, acknowledged) = run(&disk);
        if acknowledged.len() < 20 {
            // A sync that found no room, or a file that could not be made at all.
            told += 1;
        }
        assert_between(&acknowledged, &read(&disk), &pushed, &format!("call {call}"));
    }
    assert!(told < 20, "{told} of {}", calls());
}

#[test]
fn after_an_error_the_files_are_never_touched_again() {
    // A sync of the journal; a sync of the fold, the removal of the journal, and the sync of that.
    for (keys, failing) in [(1..2, 1), (1..3, 1), (1..3, 2), (1..3, 3)] {
        let disk = MemoryDisk::default();
        let (mut file, seen, _) = open(&disk).expect("new");
        push(&mut file, 0..1, &seen, &mut Seen::new());
        file.flush().expect("a disk");
        push(&mut file, keys, &seen, &mut Seen::new());
        disk.fail(disk.calls() + failing, Fault::Full);
        let error = file.flush().expect_err("injected");
        assert!(
            matches!(error, CheckpointError::StorageFailed { .. })
                && error.stop_cause() == StopCause::Storage,
            "{error}"
        );
        let after = disk.calls();
        for error in [file.flush(), file.fold(), file.close()] {
            assert!(matches!(error, Err(CheckpointError::StorageFailed { .. })), "never tried again");
        }
        assert_eq!(disk.calls(), after);
    }
}
