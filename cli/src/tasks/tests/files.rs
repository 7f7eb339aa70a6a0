//! Chunks, notes, pipes: how a file is read, whatever is in it.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
};

use super::{
    super::{CHUNK_BYTES, CHUNK_TASKS, FIRST_CHUNK, TaskReader, input::Input},
    Fixture, chunks, texts,
};

#[test]
fn the_first_chunk_is_small_and_none_is_large() {
    for (name, content) in [
        ("t.jsonl", (0..200_000).map(|n| format!("[{n}]\n")).collect::<String>()),
        ("t.txt", (0..200_000).map(|n| format!("{n}\n")).collect()),
        ("t.csv", std::iter::once("n\n".to_owned()).chain((0..200_000).map(|n| format!("{n}\n"))).collect()),
    ] {
        let fixture = Fixture::new(name, content);
        let mut reader = fixture.open(&[]).expect("a good file");
        let chunks = chunks(&mut reader).expect("good tasks");
        let counts: Vec<u32> = chunks.iter().map(|chunk| chunk.count).collect();
        assert_eq!(
            counts,
            [FIRST_CHUNK, CHUNK_TASKS, CHUNK_TASKS, 200_000 - FIRST_CHUNK - 2 * CHUNK_TASKS],
            "{name}"
        );
        assert_eq!(reader.tasks(), 200_000);
        let last = texts(&chunks[3].keys).pop().expect("the last task");
        assert_eq!(last.trim_matches(['[', ']', '"']), "199999");
    }
}

#[test]
fn a_chunk_ends_with_the_key_that_fills_it() {
    let long = format!("[\"{}\"]\n", "x".repeat(300_000));
    let fixture = Fixture::new("t.jsonl", long.repeat(9));
    let chunks = chunks(&mut fixture.open(&[]).expect("a good file")).expect("good tasks");
    assert_eq!(chunks.iter().map(|chunk| chunk.count).collect::<Vec<_>>(), [4, 4, 1]);
    assert!(chunks[0].keys.len() > CHUNK_BYTES);
}

#[test]
fn blocks_may_end_anywhere() {
    let numbers: Vec<String> = (0..120_000).map(|n| format!("[{}]", n * 37 % 1_000_003)).collect();
    let fixture = Fixture::new("t.jsonl", numbers.join("\r\n"));
    assert_eq!(fixture.keys(&[]).expect("good tasks"), numbers);
    let packed = chunks(&mut fixture.open(&[]).expect("a good file")).expect("good tasks");
    let packed: Vec<u8> = packed.iter().flat_map(|chunk| chunk.keys.to_vec()).collect();
    assert_eq!(Fixture::new("t.msgpack", packed).keys(&[]).expect("good tasks"), numbers);
}

#[test]
fn a_long_key_grows_the_buffer() {
    let long = "x".repeat(3 << 20);
    for (name, content) in [("t.txt", format!("a\n{long}\nb\n")), ("t.csv", format!("h\na\n{long}\nb\n"))] {
        let mut reader = Fixture::new(name, content).open(&[]).expect("a good file");
        let chunks = chunks(&mut reader).expect("good tasks");
        assert_eq!(chunks.iter().map(|chunk| chunk.count).sum::<u32>(), 3, "{name}");
        assert_eq!(chunks.iter().map(|chunk| chunk.keys.len() >> 20).sum::<usize>(), 3, "{name}");
    }
    let mut packed = vec![1, 0xdb, 0, 0x30, 0, 0];
    packed.extend(long.as_bytes());
    packed.push(2);
    let mut reader = Fixture::new("t.msgpack", packed).open(&[]).expect("a good file");
    assert_eq!(chunks(&mut reader).expect("good tasks").iter().map(|chunk| chunk.count).sum::<u32>(), 3);
}

fn notes(name: &str, content: impl AsRef<[u8]>, text: &[&str]) -> Vec<String> {
    let fixture = Fixture::new(name, content);
    let mut reader = fixture.open(text).expect("a good file");
    chunks(&mut reader).expect("good tasks");
    assert!(reader.next_chunk().expect("the end again").is_none());
    let folder = format!("{}/", fixture.folder.path().display());
    reader.take_notes().iter().map(|note| note.replace(&folder, "")).collect()
}

#[test]
fn what_the_user_should_know_is_noted() {
    assert_eq!(notes("t.jsonl", "\n\n", &[]), ["t.jsonl holds no tasks"]);
    assert_eq!(notes("t.csv", "a,b\n", &[]), ["t.csv holds no tasks"]);
    let mixed = "day,code\n1,600000\n2,000001\n";
    assert_eq!(
        notes("t.csv", mixed, &[]),
        [
            "t.csv: column \"code\" has numbers (line 2) and text with leading zeros (line 3); --text code keeps all \
          of it as text"
        ]
    );
    assert_eq!(notes("t.csv", mixed, &["code"]), [] as [&str; 0]);
    let list: Vec<u8> = [0xdc, 0, 20].into_iter().chain([5; 20]).collect();
    assert_eq!(
        notes("t.msgpack", list, &[]),
        [
            "t.msgpack: one task with 20 arguments; for a task per element write the elements one behind the other, \
          not as an array"
        ]
    );
    assert_eq!(notes("t.msgpack", [0x92, 1, 2], &[]), [] as [&str; 0]);
}

#[test]
fn the_header_names_the_fields() {
    assert_eq!(
        Fixture::new("t.csv", "\u{feff}date,\"a code\"\n").open(&[]).expect("good").fields(),
        ["date", "a code"]
    );
    assert!(Fixture::new("t.jsonl", "{\"a\":1}").open(&[]).expect("good").fields().is_empty());
}

/// A reader of a pipe, as of standard input, and the pipe's other end.
fn piped(kind: &str) -> (TaskReader, File) {
    let (from, to) = std::io::pipe().expect("a pipe");
    let reader = TaskReader::new("standard input".to_owned(), kind, Input::from(OwnedFd::from(from)), &[]);
    (reader.expect("no header to read"), File::from(OwnedFd::from(to)))
}

#[test]
fn a_slow_pipe_is_not_waited_for_while_there_are_tasks() {
    for (kind, keys) in [("txt", ["\"1\"", "\"2\"", "\"3\""]), ("jsonl", ["1", "2", "3"])] {
        let (mut reader, mut pipe) = piped(kind);
        let mut next = || reader.next_chunk().expect("good tasks").map(|chunk| texts(&chunk.keys));
        pipe.write_all(b"1\n2\n3").expect("the pipe has room");
        assert_eq!(next(), Some(keys[..2].iter().map(|&key| key.to_owned()).collect()));
        drop(pipe);
        assert_eq!(next(), Some(vec![keys[2].to_owned()]));
        assert_eq!(next(), None);
    }
}

#[test]
fn an_error_of_the_system_names_the_file() {
    let folder = File::open("/").expect("the root folder");
    let input = Input::from(OwnedFd::from(folder));
    assert!(input.is_ready());
    let mut reader = TaskReader::new("t.txt".to_owned(), "txt", input, &[]).expect("nothing is read yet");
    let error = reader.next_chunk().expect_err("a folder cannot be read").to_string();
    assert!(error.starts_with("cannot read t.txt: Is a directory"), "{error}");
    let mut bytes = [0; 1];
    assert!(
        Input::file(std::path::Path::new("/dev/null")).expect("the null device").read(&mut bytes).is_ok()
    );
}
