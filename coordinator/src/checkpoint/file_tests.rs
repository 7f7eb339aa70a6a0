//! One file and what may be there already: resumed, closed, full, foreign, damaged, something else.

use std::path::{Path, PathBuf};

use shared::{
    checkpoint::{Damage, Info, Pair, Totals, What},
    job::Existing,
    wire::client::StopCause,
};

use super::{
    crash_tests::{JOURNAL, PATH, Seen, failure, open, push, read},
    *,
};
use crate::disk::memory::MemoryDisk;

fn content(disk: &MemoryDisk) -> Vec<u8> {
    disk.content(Path::new(PATH)).expect("a file")
}

/// A closed file of eight tasks in four frames.
pub fn two_rounds(disk: &MemoryDisk) -> Seen {
    let mut pushed = Seen::new();
    let (mut file, seen, notes) = open(disk).expect("new");
    assert!(seen.is_empty() && notes.is_empty());
    for keys in [0..4, 4..8] {
        push(&mut file, keys, &seen, &mut pushed);
        file.fold().expect("a disk");
    }
    file.close().expect("a disk");
    pushed
}

fn open_for(disk: &MemoryDisk, work: &str, existing: Existing) -> Result<Vec<String>, CheckpointError> {
    let (disk, terms) = (Box::new(disk.clone()), Terms::new(work.to_owned(), existing));
    let opened = CheckpointFile::open_on(disk, Path::new(PATH), &terms, &mut |_, _, _| {});
    opened.map(|(_, notes)| notes)
}

#[test]
fn a_closed_file_is_resumed_and_closed_again() {
    let disk = MemoryDisk::default();
    let mut pushed = two_rounds(&disk);
    let once = content(&disk);
    let info = Info::read(&Pair::alone(&once[..])).expect("memory").expect("a checkpoint");
    let totals = Totals { values: 6, failures: 2, failed: Some(2), frames: 5 };
    assert_eq!((info.closed, info.totals), (true, totals));

    let (file, seen, notes) = open(&disk).expect("resumed");
    assert_eq!((&seen, notes.len()), (&pushed, 0));
    file.close().expect("a disk");
    assert_eq!(content(&disk), once, "nothing new, so no further close frame");

    let (mut file, seen, _) = open(&disk).expect("resumed");
    push(&mut file, 8..12, &seen, &mut pushed);
    file.close().expect("a disk");
    let all = content(&disk);
    assert_eq!(all[..once.len()], once[..], "only ever appended to");
    let info = Info::read(&Pair::alone(&all[..])).expect("memory").expect("a checkpoint");
    let totals = Totals { values: 9, failures: 3, failed: Some(3), frames: 9 };
    assert_eq!((info.closed, info.totals), (true, totals));
    assert_eq!(open(&disk).expect("resumed").1, pushed);
}

#[test]
fn a_full_disk_keeps_the_rows_and_goes_on_once_there_is_room() {
    // In the journal, and, with more than makes a large frame, in the checkpoint.
    for (keys, path) in [(1..2, JOURNAL), (1..8, PATH)] {
        let disk = MemoryDisk::default();
        let (mut file, seen, _) = open(&disk).expect("new");
        let mut pushed = Seen::new();
        push(&mut file, 0..1, &seen, &mut pushed);
        file.flush().expect("room");
        let before = disk.content(Path::new(path)).expect("a file");
        // Not enough for the second frame of a fold.
        disk.set_capacity(Some(before.len() + if path == PATH { 2100 } else { 100 }));
        push(&mut file, keys, &seen, &mut pushed);
        for _ in 0..2 {
            let error = file.flush().expect_err("no room");
            assert!(error.may_be_retried() && error.stop_cause() == StopCause::Storage, "{error}");
            assert_eq!(disk.content(Path::new(path)).expect("a file"), before, "cut off again");
        }
        disk.set_capacity(None);
        file.flush().expect("room");
        assert_eq!(read(&disk), pushed);
        file.close().expect("a disk");
        assert_eq!(open(&disk).expect("resumed").1, pushed);
    }
}

#[test]
fn a_full_disk_at_the_start_or_the_end_is_no_harm() {
    let disk = MemoryDisk::default();
    disk.set_capacity(Some(20));
    let error = open(&disk).err().expect("no room");
    assert!(matches!(error, CheckpointError::StorageFull { .. }), "{error}");
    assert_eq!(disk.names(), Vec::<PathBuf>::new());
    disk.set_capacity(None);
    let (mut file, seen, _) = open(&disk).expect("room");
    let mut pushed = Seen::new();
    push(&mut file, 0..4, &seen, &mut pushed);
    file.fold().expect("room");
    disk.set_capacity(Some(content(&disk).len() + 8));
    file.close().expect("only index and close frame do not fit");
    let (mut file, seen, notes) = open(&disk).expect("resumed");
    assert_eq!((&seen, notes.len()), (&pushed, 0));
    disk.set_capacity(None);
    push(&mut file, 4..5, &seen, &mut pushed);
    file.flush().expect("room");
    disk.set_capacity(Some(content(&disk).len() + 8));
    file.close().expect("what cannot be folded stays in the journal");
    assert_eq!(disk.names(), [PATH, JOURNAL].map(PathBuf::from));
    disk.set_capacity(None);
    assert_eq!(open(&disk).expect("resumed").1, pushed);
}

#[test]
fn rows_that_were_not_acknowledged_are_not_closed_over() {
    let disk = MemoryDisk::default();
    let (mut file, seen, _) = open(&disk).expect("new");
    push(&mut file, 0..4, &seen, &mut Seen::new());
    disk.set_capacity(Some(content(&disk).len() + 8));
    let error = file.close().expect_err("they are nowhere yet");
    assert!(matches!(error, CheckpointError::StorageFull { .. }), "{error}");
}

#[test]
fn other_work_is_refused_unless_wanted() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let before = content(&disk);
    let error = open_for(&disk, "function c:d", Existing::Resume).expect_err("foreign");
    let text = error.to_string();
    assert!(matches!(error, CheckpointError::Foreign { .. }) && error.stop_cause() == StopCause::Checkpoint);
    assert!(
        ["function a:b", "function c:d", "--any-work", PATH].iter().all(|part| text.contains(part)),
        "{text}"
    );
    assert_eq!(content(&disk), before);
    assert_eq!(
        open_for(&disk, "function c:d", Existing::ResumeAnyWork).expect("wanted"),
        Vec::<String>::new()
    );
}

#[test]
fn setting_aside_keeps_every_old_file() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let first = content(&disk);
    let notes = open_for(&disk, "function c:d", Existing::SetAside).expect("new");
    assert!(notes[0].contains("/job.checkpoint.20240229-235958.old"), "{notes:?}");
    let notes = open_for(&disk, "function e:f", Existing::SetAside).expect("new");
    assert!(notes[0].contains("/job.checkpoint.20240229-235958-2.old"), "{notes:?}");
    assert_eq!(disk.content(Path::new("/job.checkpoint.20240229-235958.old")), Some(first));
    assert_eq!(disk.names().len(), 3);
    assert_eq!(open_for(&disk, "function e:f", Existing::Resume).expect("resumed"), Vec::<String>::new());
}

#[test]
fn a_torn_end_is_cut_and_said() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let whole = content(&disk);
    let torn = MemoryDisk::default();
    torn.put(Path::new(PATH), &whole[..whole.len() - 3]);
    let (file, seen, notes) = open(&torn).expect("resumed");
    assert_eq!(seen.len(), 8);
    let end = file.main.next().offset;
    assert!(notes[0].contains(&format!("behind byte {end} of {PATH}")), "{notes:?}");
    drop(file);
    assert_eq!(open(&torn).expect("resumed").2, Vec::<String>::new(), "said once");
}

#[test]
fn corruption_is_named_and_nothing_is_changed() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let mut bytes = content(&disk);
    let first_key =
        Info::read(&Pair::alone(&bytes[..])).expect("memory").expect("a checkpoint").header.encode().len();
    bytes[first_key + 50] ^= 4;
    disk.put(Path::new(PATH), &bytes);
    let calls = disk.calls();
    let error = open(&disk).err().expect("damaged");
    let text = error.to_string();
    assert_eq!(error.stop_cause(), StopCause::Checkpoint);
    let CheckpointError::Damaged { damages, .. } = error else { panic!("{text}") };
    let [Damage { frame, what: What::NoFrame(Some(1)), .. }] = &damages[..] else { panic!("{damages:?}") };
    assert_eq!(*frame, first_key as u64);
    assert!(text.contains(PATH) && text.contains(&format!("bytes {first_key}..")), "{text}");
    assert_eq!((content(&disk), disk.calls()), (bytes, calls));
}

#[test]
fn damaged_keys_count_the_tasks() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let mut bytes = content(&disk);
    let mut keys_at = 0;
    shared::checkpoint::inspect(&bytes[..], shared::checkpoint::Depth::Keys, &mut |visit| {
        if visit.head.rows() == 3 {
            keys_at = visit.frame.range(&visit.head.blobs[0]).start as usize;
        }
    })
    .expect("memory");
    bytes[keys_at] ^= 1;
    disk.put(Path::new(PATH), &bytes);
    let text = open(&disk).err().expect("damaged").to_string();
    assert!(text.contains("the keys of 3 tasks") && text.contains("3 tasks affected"), "{text}");
}

#[test]
fn strangers_are_told_apart() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let whole = content(&disk);
    let as_text: Vec<u8> = whole.iter().copied().filter(|&byte| byte != b'\r').collect();
    let mut header = whole.clone();
    header[40] ^= 1;
    let cases: [(&[u8], &str); 4] = [
        (b"date,code\n1,2\n", "is not a checkpoint"),
        (&as_text, "text mode"),
        (&header, "damaged header"),
        (&whole[..30], "damaged header"),
    ];
    for (bytes, part) in cases {
        disk.put(Path::new(PATH), bytes);
        let error = open(&disk).err().expect(part);
        assert!(error.to_string().contains(part) && error.stop_cause() == StopCause::Checkpoint, "{error}");
        assert_eq!(content(&disk), bytes, "left as it is");
    }
    disk.put(Path::new(PATH), b"");
    assert!(open(&disk).expect("an empty file is as good as none").1.is_empty());
    assert!(!content(&disk).is_empty());
}

#[test]
fn a_second_opener_is_refused() {
    let disk = MemoryDisk::default();
    let (file, _, _) = open(&disk).expect("new");
    let error = open(&disk).err().expect("in use");
    assert!(
        error.to_string().contains("in use by a test") && error.stop_cause() == StopCause::Checkpoint,
        "{error}"
    );
    drop(file);
    open(&disk).expect("free again");
}

#[test]
fn twenty_thousand_small_frames_are_resumed() {
    let disk = MemoryDisk::default();
    let (mut file, _, _) = open(&disk).expect("new");
    let total = 20_000u32;
    for number in 0..total {
        let key = [&[0xce][..], &number.to_be_bytes()].concat();
        file.push_values(&key, &[1], 1, &[]).expect("whole");
        file.fold().expect("room");
    }
    file.close().expect("a disk");
    assert_eq!(open(&disk).expect("resumed").1.len(), total as usize);
}

#[test]
fn on_a_real_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let open_at = |path: &Path| {
        let mut rows = 0;
        let terms = Terms::new("w".to_owned(), Existing::Resume);
        let opened = CheckpointFile::open(path, &terms, &mut |_, _, count| rows += count);
        opened.map(|(file, _)| (file, rows))
    };
    let path = folder.path().join("job.checkpoint");
    let (mut file, _) = open_at(&path).expect("new");
    file.push_values(&[1, 2], &[3, 4], 2, &[]).expect("whole");
    file.push_failure(&[5], &failure()).expect("whole");
    file.close().expect("a disk");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let (file, rows) = open_at(&link).expect("resumed");
    assert_eq!((rows, file.path()), (3, &*std::fs::canonicalize(&path).expect("a file")));
    drop(file);
    let names = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(names, 2, "no lock and no new file is left");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
}

fn terms(existing: Existing) -> Terms {
    Terms::new("w".to_owned(), existing)
}

#[test]
fn a_path_where_no_checkpoint_can_be_is_a_mistake_of_usage() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    for (path, part) in [
        (folder.path().to_owned(), "is a folder"),
        (folder.path().join("none/job"), "no such folder"),
        (file.join("job"), "no such folder"),
        ("/dev/null".into(), "is not a regular file"),
    ] {
        let opened = CheckpointFile::open(&path, &terms(Existing::Resume), &mut |_, _, _| {});
        let error = opened.err().expect(part);
        assert!(error.to_string().contains(part) && error.stop_cause() == StopCause::Input, "{error}");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
}

#[test]
fn a_link_stays_a_link_and_the_file_is_made_where_it_leads() {
    let folder = tempfile::tempdir().expect("a folder");
    let [real, link, further] = ["data/job", "link", "data/further"].map(|name| folder.path().join(name));
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    std::os::unix::fs::symlink("link", folder.path().join("chain")).expect("a link");
    std::os::unix::fs::symlink("data/further", &link).expect("a link");
    std::os::unix::fs::symlink("job", &further).expect("a link");
    let open_at = |path: &Path, existing| {
        CheckpointFile::open(path, &terms(existing), &mut |_, _, _| {}).map(|(file, _)| file)
    };
    let chain = folder.path().join("chain");
    for existing in [Existing::Resume, Existing::Resume, Existing::SetAside] {
        let file = open_at(&chain, existing).expect("free");
        assert_eq!(file.path(), std::fs::canonicalize(&real).expect("it is there"));
        assert!(real.with_file_name("job.lock").is_file(), "the lock is beside the file itself");
        for name in [&real, &link, &chain] {
            let error = open_at(name, Existing::Resume).err().expect("one file, whatever it is called");
            assert!(matches!(error, CheckpointError::InUse { .. }), "{error}");
        }
    }
    for name in [&chain, &link, &further] {
        assert!(std::fs::symlink_metadata(name).expect("it is there").is_symlink());
    }
    std::os::unix::fs::symlink("round", folder.path().join("round")).expect("a link");
    let error = open_at(&folder.path().join("round"), Existing::Resume).err().expect("it leads nowhere");
    assert!(error.to_string().contains("symbolic links"), "{error}");
}
