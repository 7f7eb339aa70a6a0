//! Checkpoints on a store that fails at every call, that is written by two, that has small segments and lost ones.

use std::{collections::BTreeMap, thread, time::Duration};

use bytes::Bytes;
use maniple_tests::s3::Server;
use object_store::aws::AmazonS3Builder;
use serde_json::Value;

use super::{
    memory::{Fault, MemoryStore},
    store::Version,
    *,
};

const URL: &str = "s3://b/p/c";
const KEY: &str = "p/c";
/// Nobody beats, so that only what is done here happens.
const STILL: Pace = Pace {
    beat: Duration::from_secs(3600),
    glance: Duration::from_millis(1),
    silence: Duration::from_millis(20),
};

fn disk_on(store: &MemoryStore) -> ObjectDisk {
    ObjectDisk::find(Arc::new(store.clone()), KEY, URL, STILL).expect("a store")
}

/// Makes disks on one store in memory.
pub fn store_disk() -> impl Fn() -> ObjectDisk {
    let store = MemoryStore::default();
    move || ObjectDisk::find(Arc::new(store.other_line()), "c", "s3://b/c", STILL).expect("a store")
}

/// A disk on a real server.
pub fn s3_disk(server: &Server, bucket: &str, key: &str) -> ObjectDisk {
    let builder = AmazonS3Builder::new()
        .with_endpoint(server.url())
        .with_allow_http(true)
        .with_access_key_id("tester")
        .with_secret_access_key("secret");
    let store = S3::new(builder, bucket).expect("a client");
    ObjectDisk::find(Arc::new(store), key, &format!("s3://{bucket}/{key}"), Pace::default())
        .expect("a server")
}

/// Rewrites what the lock says, as its holder or time would.
fn edit_lock(store: &MemoryStore, edit: impl FnOnce(&mut Value)) {
    let (bytes, version) = store.get("p/c/lock").expect("memory").expect("a lock");
    let mut record = serde_json::from_slice(&bytes).expect("JSON");
    edit(&mut record);
    let bytes = serde_json::to_vec(&record).expect("JSON");
    store.put("p/c/lock", bytes.into(), Some(&version)).expect("nobody else writes it");
}

fn of_another_machine(record: &mut Value) {
    record["machine"] = "another".into();
    record["host"] = "elsewhere".into();
}

fn released(record: &mut Value) {
    record["held"] = false.into();
}

fn append(file: &mut dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
    file.write_at(file.len()?, bytes)?;
    file.sync()
}

fn contents(disk: &ObjectDisk) -> BTreeMap<String, Vec<u8>> {
    let read = |ending: &str| {
        let file = disk.open(Path::new(&format!("{URL}{ending}"))).expect("a store")?;
        let mut bytes = vec![0; file.len().expect("a store") as usize];
        assert_eq!(file.read_at(0, &mut bytes).expect("a store"), bytes.len());
        Some((ending.to_owned(), bytes))
    };
    ["", ".new", ".wal", ".wal.new", ".x.old"].into_iter().filter_map(read).collect()
}

fn segments(store: &MemoryStore) -> Vec<String> {
    store.names().into_iter().filter(|name| name.contains("/segments/")).collect()
}

#[test]
fn a_writer_that_was_taken_over_cannot_write_any_more() {
    let store = MemoryStore::default();
    let first = disk_on(&store);
    let lock = first.lock(Path::new(URL)).expect("free");
    let mut file = first.create(Path::new(URL)).expect("a store");
    append(&mut *file, b"one").expect("a store");
    edit_lock(&store, of_another_machine);

    let second = disk_on(&store.other_line());
    let second_lock = second.lock(Path::new(URL)).expect("the first gives no sign of life");
    let error = append(&mut *file, b"two").expect_err("fenced").to_string();
    let us = format!(
        "another writer has taken it over (host {}",
        nix::unistd::gethostname().expect("a name").display()
    );
    assert!(error.contains(&us) && error.contains(&format!("pid {}", std::process::id())), "{error}");
    file.sync().expect_err("nor later");
    drop((file, lock));
    assert_eq!(contents(&second)[""], b"one");
    let mut file = second.open(Path::new(URL)).expect("a store").expect("a file");
    append(&mut *file, b"three").expect("the first has neither the lock nor the files");
    assert_eq!(segments(&store).len(), 3, "one of them was never named");
    drop((file, second_lock));

    let third = disk_on(&store);
    let _lock = third.lock(Path::new(URL)).expect("released");
    assert_eq!((contents(&third)[""].as_slice(), segments(&store).len()), (&b"onethree"[..], 2));
}

#[test]
fn a_holder_elsewhere_that_shows_signs_of_life_is_named() {
    let store = MemoryStore::default();
    let disk = disk_on(&store);
    let lock = disk.lock(Path::new(URL)).expect("free");
    edit_lock(&store, of_another_machine);
    let patient = Pace { silence: Duration::from_secs(600), ..STILL };
    let line = Arc::new(store.other_line());
    let waiting = thread::spawn(move || {
        let other = ObjectDisk::find(line, KEY, URL, patient).expect("a store");
        other.lock(Path::new(URL)).err()
    });
    while !waiting.is_finished() {
        edit_lock(&store, |record| record["beat"] = (record["beat"].as_u64().unwrap_or(0) + 1).into());
        thread::yield_now();
    }
    let refused = waiting.join().expect("no panic");
    assert!(matches!(refused, Some(LockError::Held(text)) if text.starts_with("host elsewhere, pid ")));
    drop(lock);
}

#[test]
fn a_process_of_this_machine_that_is_gone_is_not_waited_for() {
    let store = MemoryStore::default();
    std::mem::forget(disk_on(&store).lock(Path::new(URL)).expect("free"));
    assert!(matches!(disk_on(&store).lock(Path::new(URL)), Err(LockError::Held(_))));
    edit_lock(&store, |record| record["started"] = 1.into());
    let for_ever = Pace { silence: Duration::from_secs(3600), ..STILL };
    let disk = ObjectDisk::find(Arc::new(store), KEY, URL, for_ever).expect("a store");
    drop(disk.lock(Path::new(URL)).expect("another process has its number now"));
}

#[test]
fn segments_of_later_writers_are_left_alone() {
    let store = MemoryStore::default();
    for name in ["00000000-00000001-0000000000000001", "00000009-00000001-0000000000000001", "readme"] {
        store.upload(&format!("p/c/segments/{name}"), Bytes::from_static(b"x")).expect("memory");
    }
    let disk = disk_on(&store);
    let _lock = disk.lock(Path::new(URL)).expect("free");
    let left = ["p/c/segments/00000009-00000001-0000000000000001", "p/c/segments/readme"];
    assert_eq!(segments(&store), left);
}

#[test]
fn many_small_segments_become_few_under_a_reader() {
    let store = MemoryStore::default();
    let disk = disk_on(&store);
    let _lock = disk.lock(Path::new(URL)).expect("free");
    let mut file = disk.create(Path::new(URL)).expect("a store");
    append(&mut *file, b"0123456789").expect("a store");
    let reader = disk_on(&store.other_line());
    let early = reader.open(Path::new(URL)).expect("a store").expect("a file");
    for _ in 0..200 {
        append(&mut *file, b"0123456789").expect("a store");
        assert!(segments(&store).len() <= 32);
    }
    assert_eq!(contents(&disk)[""], b"0123456789".repeat(201));
    let mut ten = [0; 10];
    assert_eq!((early.read_at(0, &mut ten).expect("it looks again"), &ten), (10, b"0123456789"));

    let late = disk_on(&store.other_line()).open(Path::new(URL)).expect("a store").expect("a file");
    disk.remove(Path::new(URL)).expect("a store");
    disk.sync_folder_of(Path::new(URL)).expect("a store");
    let error = late.read_at(0, &mut ten).expect_err("gone").to_string();
    assert!(error.contains("is gone"), "{error}");
}

#[test]
fn a_segment_that_has_changed_is_not_believed() {
    let store = MemoryStore::default();
    let disk = disk_on(&store);
    let _lock = disk.lock(Path::new(URL)).expect("free");
    append(&mut *disk.create(Path::new(URL)).expect("a store"), b"0123456789").expect("a store");
    store.upload(&segments(&store)[0], Bytes::from_static(b"0123456780")).expect("memory");
    let file = disk_on(&store).open(Path::new(URL)).expect("a store").expect("a file");
    let error = file.read_at(2, &mut [0; 3]).expect_err("damaged").to_string();
    assert!(error.contains("is not as it was written"), "{error}");
}

#[test]
fn what_was_set_aside_is_found_by_its_name() {
    let store = MemoryStore::default();
    let disk = disk_on(&store);
    let lock = disk.lock(Path::new(URL)).expect("free");
    append(&mut *disk.create(Path::new(URL)).expect("a store"), b"old").expect("a store");
    let aside = format!("{URL}.2024-01-01.old");
    disk.rename(Path::new(URL), Path::new(&aside)).expect("a store");
    disk.sync_folder_of(Path::new(URL)).expect("a store");
    drop(lock);
    let line = Arc::new(store.other_line());
    let found = ObjectDisk::find(line, "p/c.2024-01-01.old", &aside, STILL).expect("a store");
    let file = found.open(Path::new(&aside)).expect("a store").expect("it is there");
    assert_eq!(file.len().expect("a store"), 3);
    assert!(found.open(Path::new(URL)).expect("a store").is_none());
}

/// All that is ever done with a checkpoint. After each step that was acknowledged, `acknowledged` is what has to be
/// there; while one is under way, it or `next`.
struct Story {
    acknowledged: BTreeMap<String, Vec<u8>>,
    next: BTreeMap<String, Vec<u8>>,
}

impl Story {
    fn acknowledge(&mut self) {
        self.acknowledged.clone_from(&self.next);
    }

    fn append(&mut self, ending: &str, file: &mut dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
        self.next.entry(ending.to_owned()).or_default().extend_from_slice(bytes);
        append(file, bytes)?;
        self.acknowledge();
        Ok(())
    }

    fn tell(&mut self, disk: &ObjectDisk) -> io::Result<()> {
        let at = |ending: &str| PathBuf::from(format!("{URL}{ending}"));
        let _lock = disk.lock(&at("")).map_err(|error| match error {
            LockError::Failed(error) => error,
            LockError::Held(holder) => io::Error::other(holder),
        })?;
        let mut main = disk.create(&at(".new"))?;
        self.append(".new", &mut *main, b"header")?;
        self.rename(disk, ".new", "")?;
        for round in 0..3u8 {
            let mut journal = disk.create(&at(".wal.new"))?;
            self.append(".wal.new", &mut *journal, b"journal")?;
            self.rename(disk, ".wal.new", ".wal")?;
            for _ in 0..14 {
                self.append(".wal", &mut *journal, &[round; 30])?;
            }
            self.append("", &mut *main, &[round; 300])?;
            self.next.remove(".wal");
            disk.remove(&at(".wal"))?;
            self.sync_names(disk)?;
        }
        main.truncate(500)?;
        self.next.get_mut("").expect("the checkpoint").truncate(500);
        main.sync()?;
        self.acknowledge();
        self.rename(disk, "", ".x.old")
    }

    fn rename(&mut self, disk: &ObjectDisk, from: &str, to: &str) -> io::Result<()> {
        let file = self.next.remove(from).expect("it is there");
        self.next.insert(to.to_owned(), file);
        disk.rename(Path::new(&format!("{URL}{from}")), Path::new(&format!("{URL}{to}")))?;
        self.sync_names(disk)
    }

    fn sync_names(&mut self, disk: &ObjectDisk) -> io::Result<()> {
        disk.sync_folder_of(Path::new(URL))?;
        self.acknowledge();
        Ok(())
    }
}

fn tell(store: &MemoryStore) -> (Story, io::Result<()>) {
    let mut story = Story { acknowledged: BTreeMap::new(), next: BTreeMap::new() };
    let told = story.tell(&disk_on(store));
    (story, told)
}

#[test]
fn nothing_acknowledged_is_lost_whatever_call_fails() {
    let store = MemoryStore::default();
    let (story, told) = tell(&store);
    told.expect("nothing fails");
    assert_eq!(story.acknowledged.keys().collect::<Vec<_>>(), [".x.old"]);
    let calls = store.calls();
    assert!(calls > 100, "{calls}");
    for call in 0..calls {
        for fault in [Fault::Refused, Fault::AnswerLost, Fault::CutOffBefore, Fault::CutOffAfter] {
            let store = MemoryStore::default();
            store.fail(call, fault);
            let (story, told) = tell(&store);
            let line = store.other_line();
            if line.get("p/c/lock").expect("memory").is_some() {
                edit_lock(&line, released);
            }
            let disk = disk_on(&line);
            let _lock = disk.lock(Path::new(URL)).expect("nobody is there");
            let found = contents(&disk);
            let is_next = told.is_err() && found == story.next;
            assert!(found == story.acknowledged || is_next, "call {call}, {fault:?}: {told:?}");
            let named = found.values().filter(|bytes| !bytes.is_empty()).count();
            assert!(segments(&line).len() >= named.min(1), "no segment that is named is removed");
        }
    }
}

#[test]
fn an_answer_that_is_lost_is_found_out_about() {
    let store = MemoryStore::default();
    let first = store.put("x", Bytes::from_static(b"1"), None).expect("new");
    let line = store.other_line();
    line.fail(0, Fault::AnswerLost);
    let second = store::commit(&line, "x", &Bytes::from_static(b"2"), Some(&first)).expect("it came through");
    assert_eq!(second, Version("2".into()));
    line.fail(1, Fault::Refused);
    store::commit(&line, "x", &Bytes::from_static(b"3"), Some(&second)).expect_err("it did not");
}
