//! One file and what may be there already: resumed, closed, full, foreign, damaged, something else.

use std::path::Path;

use shared::{
    checkpoint::{Damage, Info, Totals, What},
    job::Existing,
    wire::client::StopCause,
};

use super::{
    crash_tests::{PATH, Seen, failure, open, push_round, value_of},
    *,
};
use crate::disk::memory::MemoryDisk;

fn content(disk: &MemoryDisk) -> Vec<u8> {
    disk.content(Path::new(PATH)).expect("a file")
}

/// A closed file of two rounds.
fn two_rounds(disk: &MemoryDisk) -> Seen {
    let mut pushed = Seen::new();
    let (mut file, seen, notes) = open(disk).expect("new");
    assert!(seen.is_empty() && notes.is_empty() && file.is_empty());
    for round in 0..2 {
        push_round(&mut file, round, &seen, &mut pushed);
        file.write().expect("room");
        file.sync().expect("a disk");
        assert_eq!(file.durable(), file.len());
    }
    file.close().expect("a disk");
    pushed
}

fn open_as(disk: &MemoryDisk, work: &str, existing: Existing) -> Result<Vec<String>, CheckpointError> {
    let disk = Box::new(disk.clone());
    let opened = CheckpointFile::open_on(disk, Path::new(PATH), work, existing, &mut |_, _, _| {});
    opened.map(|(_, notes)| notes)
}

#[test]
fn a_closed_file_is_resumed_and_closed_again() {
    let disk = MemoryDisk::default();
    let mut pushed = two_rounds(&disk);
    let once = content(&disk);
    let info = Info::read(&once[..]).expect("memory").expect("a checkpoint");
    assert_eq!(
        (info.closed, info.totals),
        (true, Totals { values: 6, failures: 2, failed: None, frames: 4 })
    );

    let (file, seen, notes) = open(&disk).expect("resumed");
    assert_eq!((&seen, notes.len(), file.is_empty()), (&pushed, 0, false));
    file.close().expect("a disk");
    assert_eq!(content(&disk), once, "nothing new, so no further close frame");

    let (mut file, seen, _) = open(&disk).expect("resumed");
    push_round(&mut file, 2, &seen, &mut pushed);
    assert_eq!((file.buffered_rows(), file.buffered_bytes() > 100), (4, true));
    file.close().expect("a disk");
    let all = content(&disk);
    assert_eq!(all[..once.len()], once[..], "only ever appended to");
    let info = Info::read(&all[..]).expect("memory").expect("a checkpoint");
    assert_eq!(
        (info.closed, info.totals),
        (true, Totals { values: 9, failures: 3, failed: None, frames: 7 })
    );
    assert_eq!(open(&disk).expect("resumed").1, pushed);
}

#[test]
fn a_full_disk_keeps_the_rows_and_goes_on_once_there_is_room() {
    let disk = MemoryDisk::default();
    let (mut file, seen, _) = open(&disk).expect("new");
    let mut pushed = Seen::new();
    push_round(&mut file, 0, &seen, &mut pushed);
    file.write().expect("room");
    let before = content(&disk);
    disk.set_capacity(Some(before.len() + 100));
    push_round(&mut file, 1, &seen, &mut pushed);
    for _ in 0..2 {
        let error = file.write().expect_err("no room");
        assert!(error.may_be_retried() && error.stop_cause() == StopCause::Storage, "{error}");
        assert_eq!(content(&disk), before, "the part that fitted is cut off again");
        assert_eq!(file.buffered_rows(), 4);
    }
    file.sync().expect("what was written before is synced all the same");
    disk.set_capacity(None);
    file.write().expect("room");
    assert_eq!(file.buffered_rows(), 0);
    file.close().expect("a disk");
    assert_eq!(open(&disk).expect("resumed").1, pushed);
}

#[test]
fn a_full_disk_at_the_second_frame_keeps_the_first() {
    let disk = MemoryDisk::default();
    let (mut file, seen, _) = open(&disk).expect("new");
    let mut pushed = Seen::new();
    push_round(&mut file, 0, &seen, &mut pushed);
    let values = 3 * value_of(0).len();
    disk.set_capacity(Some(file.len() as usize + values + 1700));
    file.write().expect_err("no room for the failure");
    assert_eq!(file.buffered_rows(), 1);
    disk.set_capacity(None);
    file.close().expect("room");
    assert_eq!(open(&disk).expect("resumed").1, pushed);
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
    push_round(&mut file, 0, &seen, &mut pushed);
    file.write().expect("room");
    disk.set_capacity(Some(file.len() as usize + 8));
    file.close().expect("only the close frame does not fit");
    let (_, seen, notes) = open(&disk).expect("resumed");
    assert_eq!((seen, notes.len()), (pushed, 0));
}

#[test]
fn other_work_is_refused_unless_wanted() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let before = content(&disk);
    let error = open_as(&disk, "function c:d", Existing::Resume).expect_err("foreign");
    let text = error.to_string();
    assert!(matches!(error, CheckpointError::Foreign { .. }) && error.stop_cause() == StopCause::Checkpoint);
    assert!(
        ["function a:b", "function c:d", "--any-work", PATH].iter().all(|part| text.contains(part)),
        "{text}"
    );
    assert_eq!(content(&disk), before);
    assert_eq!(
        open_as(&disk, "function c:d", Existing::ResumeAnyWork).expect("wanted"),
        Vec::<String>::new()
    );
}

#[test]
fn setting_aside_keeps_every_old_file() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let first = content(&disk);
    let notes = open_as(&disk, "function c:d", Existing::SetAside).expect("new");
    assert!(notes[0].contains("/job.checkpoint.20240229-235958.old"), "{notes:?}");
    let notes = open_as(&disk, "function e:f", Existing::SetAside).expect("new");
    assert!(notes[0].contains("/job.checkpoint.20240229-235958-2.old"), "{notes:?}");
    assert_eq!(disk.content(Path::new("/job.checkpoint.20240229-235958.old")), Some(first));
    assert_eq!(disk.names().len(), 3);
    assert_eq!(open_as(&disk, "function e:f", Existing::Resume).expect("resumed"), Vec::<String>::new());
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
    assert!(notes[0].contains(&format!("behind byte {} of {PATH}", file.len())), "{notes:?}");
    drop(file);
    assert_eq!(open(&torn).expect("resumed").2, Vec::<String>::new(), "said once");
}

#[test]
fn corruption_is_named_and_nothing_is_changed() {
    let disk = MemoryDisk::default();
    two_rounds(&disk);
    let mut bytes = content(&disk);
    let first_key = Info::read(&bytes[..]).expect("memory").expect("a checkpoint").header.encode().len();
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
        file.write().expect("room");
    }
    file.close().expect("a disk");
    assert_eq!(open(&disk).expect("resumed").1.len(), total as usize);
}

#[test]
fn on_a_real_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let open_at = |path: &Path| {
        let mut rows = 0;
        let opened = CheckpointFile::open(path, "w", Existing::Resume, &mut |_, _, count| rows += count);
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
        let opened = CheckpointFile::open(&path, "w", Existing::Resume, &mut |_, _, _| {});
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
        CheckpointFile::open(path, "w", existing, &mut |_, _, _| {}).map(|(file, _)| file)
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
