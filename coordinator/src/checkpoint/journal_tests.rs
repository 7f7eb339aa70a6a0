//! A checkpoint and its journal: taken up together, refused when they are not what they were, set aside together.

use std::path::{Path, PathBuf};

use shared::{
    checkpoint::{
        Contents, Depth, Kind, RowKind, Shape, Totals, inspect,
        pair::{self, Pair},
    },
    job::Existing,
    msgpack,
    wire::client::StopCause,
};

use super::{
    crash_tests::{JOURNAL, PATH, Seen, open, open_as, push, read, value_of},
    file_tests::two_rounds,
    *,
};
use crate::disk::memory::{Fault, MemoryDisk};

/// A checkpoint that holds four tasks, and one more in two frames of a journal; its writer was killed.
fn killed(disk: &MemoryDisk) -> Seen {
    let mut pushed = Seen::new();
    let (mut file, seen, _) = open(disk).expect("new");
    push(&mut file, 0..4, &seen, &mut pushed);
    file.fold().expect("a disk");
    for keys in [4..5, 5..6] {
        push(&mut file, keys, &seen, &mut pushed);
        file.flush().expect("a disk");
    }
    pushed
}

fn content(disk: &MemoryDisk, path: &str) -> Vec<u8> {
    disk.content(Path::new(path)).expect("a file")
}

/// All that is on a disk.
fn all(disk: &MemoryDisk) -> Vec<(PathBuf, Vec<u8>)> {
    disk.names().into_iter().map(|name| (name.clone(), disk.content(&name).expect("a file"))).collect()
}

#[test]
fn a_journal_is_taken_up_folded_and_removed() {
    let disk = MemoryDisk::default();
    let pushed = killed(&disk);
    let (main, journal) = (content(&disk, PATH), content(&disk, JOURNAL));
    let frames = |bytes: &[u8]| inspect(bytes, Depth::All, &mut |_| {}).expect("memory").totals.frames;
    assert_eq!((frames(&main), frames(&journal), read(&disk)), (2, 2, pushed.clone()));

    let (file, seen, notes) = open(&disk).expect("resumed");
    assert_eq!((seen, notes, disk.names()), (pushed.clone(), Vec::<String>::new(), vec![PATH.into()]));
    drop(file);
    let folded = content(&disk, PATH);
    assert_eq!((&folded[..main.len()], frames(&folded)), (&main[..], 3), "both rows in one frame");
    let judge = |main: &[u8]| {
        let pair = Pair { main, journal: Some(&journal[..]) };
        pair.inspect(Depth::All, &mut |_, _, _| {}).expect("memory").journal
    };
    assert!(matches!(judge(&main), Some(pair::Journal::Counts(_))));
    assert!(matches!(judge(&folded), Some(pair::Journal::Folded)), "and it says so");

    disk.put(Path::new(JOURNAL), &journal);
    assert_eq!((open(&disk).expect("resumed").1, read(&disk)), (pushed.clone(), pushed));
    assert_eq!(all(&disk), [(PATH.into(), folded)], "a journal without meaning is only removed");
}

#[test]
fn a_torn_end_of_either_file_is_cut_and_said() {
    let disk = MemoryDisk::default();
    let pushed = killed(&disk);
    let (mut main, journal) = (content(&disk, PATH), content(&disk, JOURNAL));
    let end = main.len();
    main.extend([7; 100]);
    disk.put(Path::new(PATH), &main);
    disk.put(Path::new(JOURNAL), &journal[..journal.len() - 3]);
    let (_, seen, notes) = open(&disk).expect("resumed");
    assert_eq!(seen.len(), pushed.len() - 1, "but for what was not whole");
    assert!(notes[0].contains(&format!("cut 100 B behind byte {end} of {PATH}: ")), "{notes:?}");
    assert!(notes[1].contains(&format!(" of {JOURNAL}: ")) && notes.len() == 2, "{notes:?}");
}

#[test]
fn what_is_wrong_with_the_two_is_named_and_nothing_is_changed() {
    let disk = MemoryDisk::default();
    killed(&disk);
    let (main, journal) = (content(&disk, PATH), content(&disk, JOURNAL));
    let strange = MemoryDisk::default();
    // An id of the disk of these tests is the number of calls so far.
    strange.put(Path::new("/litter"), b"");
    let _counted = crate::disk::Disk::remove(&strange, Path::new("/litter"));
    killed(&strange);
    let other = content(&strange, PATH);
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let in_first_frame = journal.len() / 2 - 100;
    type Case = (Option<Vec<u8>>, Vec<u8>, &'static [&'static str]);
    let cases: [Case; 8] = [
        (None, journal.clone(), &[JOURNAL, "is missing", "--fresh"]),
        (Some(Vec::new()), journal.clone(), &[JOURNAL, "is missing", "--fresh"]),
        (Some(other), journal.clone(), &[JOURNAL, "does not belong to", PATH, "--fresh"]),
        (Some(main[..main.len() - 8].to_vec()), journal.clone(), &[PATH, "bytes", "are missing at its end"]),
        (Some(flipped(&main, 250)), journal.clone(), &[PATH, "damaged", "1 frames cannot be read"]),
        (Some(main.clone()), flipped(&journal, 40), &[JOURNAL, "damaged header", "--fresh"]),
        (Some(main.clone()), flipped(&journal, in_first_frame), &[JOURNAL, "damaged", "1 tasks affected"]),
        (Some(main.clone()), b"a note".to_vec(), &[JOURNAL, "does not belong to", PATH]),
    ];
    for (main, journal, parts) in cases {
        let disk = MemoryDisk::default();
        main.iter().for_each(|main| disk.put(Path::new(PATH), main));
        disk.put(Path::new(JOURNAL), &journal);
        let before = all(&disk);
        let error = open(&disk).err().unwrap_or_else(|| panic!("{parts:?}"));
        let text = error.to_string();
        assert!(
            parts.iter().all(|part| text.contains(part)) && error.stop_cause() == StopCause::Checkpoint,
            "{text}: {parts:?}"
        );
        assert_eq!((all(&disk), disk.calls()), (before.clone(), 0), "{text}");

        let (_, seen, notes) = open_as(&disk, Existing::SetAside).expect("set aside");
        assert_eq!(seen.len(), 0, "{text}");
        let before: Vec<_> = before.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        assert_eq!(notes.len(), before.len(), "{text}");
        let mut kept: Vec<_> = all(&disk).into_iter().filter(|(name, _)| *name != Path::new(PATH)).collect();
        kept.iter_mut().for_each(|(name, _)| {
            *name = PathBuf::from(name.to_string_lossy().replace(".20240229-235958.old", ""));
        });
        assert_eq!(kept, before, "both are there, under other names: {text}");
    }
}

#[test]
fn a_journal_is_not_taken_for_a_checkpoint() {
    let disk = MemoryDisk::default();
    killed(&disk);
    let journal = content(&disk, JOURNAL);
    let disk = MemoryDisk::default();
    disk.put(Path::new(PATH), &journal);
    let error = open(&disk).err().expect("refused");
    assert!(error.to_string().contains("not a checkpoint but the journal of one"), "{error}");
}

#[test]
fn setting_aside_leaves_one_file_with_all_that_there_was() {
    let disk = MemoryDisk::default();
    let pushed = killed(&disk);
    let (_, seen, notes) = open_as(&disk, Existing::SetAside).expect("new");
    let aside = format!("{PATH}.20240229-235958.old");
    assert_eq!((seen.len(), notes.len()), (0, 1));
    assert!(notes[0].contains(&aside), "{notes:?}");
    assert_eq!(disk.names(), [PATH, &aside].map(PathBuf::from));
    disk.put(Path::new(PATH), &content(&disk, &aside));
    assert_eq!(read(&disk), pushed);
}

#[test]
fn no_crash_while_setting_aside_loses_anything() {
    let damage: [fn(&mut Vec<u8>); 2] = [|_| {}, |journal| journal[40] ^= 1];
    for damage in damage {
        let calls = setting_aside(damage, None).0.calls();
        for call in 0..calls {
            let (disk, pushed, damaged) = setting_aside(damage, Some(call));
            for seed in 0..16 {
                let image = disk.crash(seed);
                let what = format!("call {call}, image {seed}");
                let mut kept = Seen::new();
                let mut journal_is_there = false;
                for (name, bytes) in all(&image) {
                    journal_is_there |= bytes == damaged;
                    let mut keys = |kind, keys: &[u8]| {
                        for key in msgpack::values(keys) {
                            kept.insert(key.expect("whole").to_vec(), kind);
                        }
                    };
                    inspect(&bytes[..], Depth::Keys, &mut |seen| match seen.head.kind {
                        Kind::Values { .. } => keys(Recorded::Values, seen.keys),
                        Kind::Failures { .. } => keys(Recorded::Failures, seen.keys),
                        Kind::Index { .. } | Kind::Close(_) | Kind::Optional => {}
                    })
                    .unwrap_or_else(|error| panic!("{what}, {}: {error}", name.display()));
                }
                assert!(kept == pushed || journal_is_there, "{what}: {:?}", image.names());
                if let Ok((_, seen, _)) = open(&disk.crash(seed)) {
                    assert!(seen.is_empty() || seen == pushed, "{what}: the checkpoint without its journal");
                }
                open_as(&image, Existing::SetAside).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}

/// Sets aside two files of which the journal was damaged, with a power failure at a call of it.
fn setting_aside(damage: fn(&mut Vec<u8>), call: Option<u64>) -> (MemoryDisk, Seen, Vec<u8>) {
    let source = MemoryDisk::default();
    let pushed = killed(&source);
    let disk = MemoryDisk::default();
    let mut journal = content(&source, JOURNAL);
    damage(&mut journal);
    disk.put(Path::new(PATH), &content(&source, PATH));
    disk.put(Path::new(JOURNAL), &journal);
    call.into_iter().for_each(|call| disk.fail(call, Fault::Power));
    let _gone = open_as(&disk, Existing::SetAside);
    (disk, pushed, journal)
}

#[test]
fn the_end_tells_what_is_in_the_file() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    // Task 3 has failed; now it has a value.
    let (mut file, ..) = open(&disk).expect("resumed");
    let shape = Shape { row: RowKind::List, width: 40, names: Vec::new() };
    assert_eq!(file.shape(), Some(&shape));
    file.push_values(&[3], &value_of(3), 1, &[]).expect("whole");
    file.close().expect("a disk");
    let bytes = content(&disk, PATH);
    let (mut rows, mut listed, mut closes) = (Vec::new(), Vec::new(), Vec::new());
    inspect(&bytes[..], Depth::All, &mut |seen| match &seen.head.kind {
        Kind::Values { .. } | Kind::Failures { .. } => rows.push((seen.frame, seen.head.clone())),
        Kind::Index { previous } => {
            let entries = Contents::new(&bytes[..], &seen.frame, seen.head).listed().expect("sound");
            listed.push((seen.frame.offset, *previous, entries.expect("an index")));
        }
        Kind::Close(close) => {
            assert_eq!(seen.frame.header.durable, seen.frame.offset, "all before it is durable");
            closes.push(close.clone());
        }
        Kind::Optional => {}
    })
    .expect("memory");
    let [(first, None, four), (second, Some(previous), one)] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((previous, [&four[..], one].concat()), (first, rows));
    let [before, after] = &closes[..] else { panic!("{closes:?}") };
    assert_eq!(
        (before.totals, before.index, &before.shape),
        (Totals { values: 6, failures: 2, failed: Some(2), frames: 5 }, Some(*first), &Some(shape.clone()))
    );
    assert_eq!(
        (after.totals, after.index, &after.shape),
        (Totals { values: 7, failures: 2, failed: Some(1), frames: 8 }, Some(*second), &Some(shape))
    );
}

#[test]
fn one_value_unlike_the_others_leaves_no_shape() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let (mut file, ..) = open(&disk).expect("resumed");
    file.push_values(&[9], &[5], 1, &[]).expect("whole");
    file.close().expect("a disk");
    assert_eq!(open(&disk).expect("resumed").0.shape(), None);
}

#[test]
fn a_file_of_format_1_0_is_continued() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/checkpoint/v1/mixed.checkpoint");
    let golden = std::fs::read(golden).expect("a golden file");
    let disk = MemoryDisk::default();
    disk.put(Path::new(PATH), &golden);
    let rows = |disk: &MemoryDisk| {
        let found = inspect(&content(disk, PATH)[..], Depth::All, &mut |_| {}).expect("memory");
        assert!(found.damages.is_empty() && found.tail().is_none(), "{found:?}");
        (found.totals.values, found.totals.failures, found.closed)
    };
    let before = rows(&disk);
    let terms = Terms::new(String::new(), Existing::ResumeAnyWork);
    let open = || CheckpointFile::open_on(Box::new(disk.clone()), Path::new(PATH), &terms, &mut |_, _, _| {});
    let (mut file, _) = open().expect("resumed");
    file.push_values(&[0xcd, 0x7f, 0x01], &[1], 1, &[]).expect("whole");
    file.flush().expect("a disk");
    drop(file);
    let (file, notes) = open().expect("resumed");
    assert_eq!(notes, Vec::<String>::new());
    file.close().expect("a disk");
    assert_eq!(rows(&disk), (before.0 + 1, before.1, true));
    assert_eq!(content(&disk, PATH)[..golden.len()], golden);
}
