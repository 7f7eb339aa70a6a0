//! What every disk has to do alike: one suite, over the machine's own, the fake in memory, a folder of segments and
//! a real S3 server.

use std::path::{Path, PathBuf};

use shared::location::Location;

use super::{
    Disk, Local, LockError, beside,
    memory::MemoryDisk,
    object::tests::{s3_disk, store_disk},
    of,
};

/// Disks that lead to the same files, and the name of one of them.
struct Case {
    disk: Box<dyn Fn() -> Box<dyn Disk>>,
    name: PathBuf,
}

impl Case {
    fn at(&self, ending: &str) -> PathBuf {
        beside(&self.name, ending)
    }
}

fn content(disk: &dyn Disk, name: &Path) -> Option<Vec<u8>> {
    let file = disk.open(name).expect("a disk")?;
    let mut bytes = vec![0; file.len().expect("a disk") as usize + 1];
    let read = file.read_at(0, &mut bytes).expect("a disk");
    bytes.truncate(read);
    Some(bytes)
}

fn appended_cut_and_read(case: &Case) {
    let disk = (case.disk)();
    let _lock = disk.lock(&case.name).expect("free");
    assert!(disk.open(&case.name).expect("a disk").is_none() && !disk.exists(&case.name).expect("a disk"));
    let mut file = disk.create(&case.name).expect("a disk");
    assert!(file.is_empty().expect("a disk") && disk.exists(&case.name).expect("a disk"));
    file.write_at(0, b"abc").expect("room");
    file.write_at(3, b"defg").expect("room");
    file.sync().expect("a disk");
    file.write_at(7, b"hij").expect("room");
    let mut four = [0; 4];
    assert_eq!((file.read_at(5, &mut four).expect("a disk"), &four), (4, b"fghi"));
    assert_eq!(file.read_at(8, &mut four).expect("a disk"), 2, "the end is near");
    assert_eq!(file.read_at(10, &mut four).expect("a disk"), 0, "there is no more");
    file.truncate(8).expect("a disk");
    file.write_at(8, b"XY").expect("room");
    file.sync().expect("a disk");
    file.truncate(5).expect("a disk");
    file.write_at(5, b"!").expect("room");
    file.write_at(3, b"de!").expect("the same once more, as after a crash");
    file.sync().expect("a disk");
    disk.sync_folder_of(&case.name).expect("a disk");
    assert_eq!(content(&*disk, &case.name).as_deref(), Some(&b"abcde!"[..]));
    assert_eq!(content(&*(case.disk)(), &case.name).as_deref(), Some(&b"abcde!"[..]), "elsewhere too");
}

fn created_renamed_and_removed(case: &Case) {
    let disk = (case.disk)();
    let _lock = disk.lock(&case.name).expect("free");
    let (new, journal) = (case.at(".wal.new"), case.at(".wal"));
    for text in [&b"first"[..], b"second"] {
        let mut file = disk.create(&new).expect("a disk");
        file.write_at(0, text).expect("room");
        file.sync().expect("a disk");
        disk.rename(&new, &journal).expect("a disk");
        disk.sync_folder_of(&journal).expect("a disk");
        file.write_at(text.len() as u64, b"+").expect("the file is the same under its new name");
        file.sync().expect("a disk");
        assert!(!disk.exists(&new).expect("a disk"));
        let expected = [text, b"+"].concat();
        assert_eq!(content(&*(case.disk)(), &journal), Some(expected), "it replaces what had the name");
    }
    disk.remove(&journal).expect("a disk");
    disk.sync_folder_of(&journal).expect("a disk");
    assert!((case.disk)().open(&journal).expect("a disk").is_none());
}

fn locked_by_one(case: &Case) {
    let disk = (case.disk)();
    let lock = disk.lock(&case.name).expect("free");
    assert!(matches!((case.disk)().lock(&case.name), Err(LockError::Held(_))));
    drop(lock);
    drop((case.disk)().lock(&case.name).expect("free again"));
}

fn holds(make: impl Fn() -> Case) {
    appended_cut_and_read(&make());
    created_renamed_and_removed(&make());
    locked_by_one(&make());
}

#[test]
fn the_machines_own_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let count = std::cell::Cell::new(0);
    holds(|| {
        count.set(count.get() + 1);
        Case { disk: Box::new(|| Box::new(Local)), name: folder.path().join(format!("c{}", count.get())) }
    });
}

#[test]
fn the_fake_in_memory() {
    holds(|| {
        let disk = MemoryDisk::default();
        Case { disk: Box::new(move || Box::new(disk.clone())), name: "/c".into() }
    });
}

#[test]
fn a_folder_of_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let count = std::cell::Cell::new(0);
    holds(|| {
        count.set(count.get() + 1);
        let url = format!("file://{}/c{}", folder.path().display(), count.get());
        let location = Location::parse(Path::new(&url), Path::new("/")).expect("a URL");
        let name = location.name().to_owned();
        Case { disk: Box::new(move || of(&location).expect("a folder")), name }
    });
}

#[test]
fn a_store_in_memory() {
    holds(|| {
        let disk = store_disk();
        Case { disk: Box::new(move || Box::new(disk())), name: "s3://b/c".into() }
    });
}

#[test]
fn a_real_s3_server() {
    let Some(server) = maniple_tests::s3::server() else { return };
    let count = std::cell::Cell::new(0);
    holds(|| {
        count.set(count.get() + 1);
        let (bucket, key) = (server.bucket(), format!("p q/c{}", count.get()));
        let name = PathBuf::from(format!("s3://{bucket}/{key}"));
        Case { disk: Box::new(move || Box::new(s3_disk(server, &bucket, &key))), name }
    });
}
