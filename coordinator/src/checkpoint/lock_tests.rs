//! One writer at a time, over processes: the second is told who the first is, and the lock dies with its holder.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use shared::job::Existing;

use super::*;

const HELD: &str = "MANIPLE_TEST_HELD_CHECKPOINT";

fn open(path: &Path) -> Result<CheckpointFile, CheckpointError> {
    let terms = Terms::new("w".to_owned(), Existing::Resume);
    CheckpointFile::open(path, &terms, &mut |_, _, _| {}).map(|(file, _)| file)
}

/// Not a test: what the other process does. It holds the checkpoint until its input ends.
#[test]
#[ignore = "run by the tests below in a process of its own"]
fn hold() {
    let path = std::env::var_os(HELD).expect("the path to hold");
    let file = open(Path::new(&path)).expect("free");
    println!("\nheld");
    std::io::stdout().flush().expect("a pipe");
    let _end = std::io::stdin().lock().read_line(&mut String::new());
    drop(file);
}

fn holder(path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", "checkpoint::lock_tests::hold", "--ignored", "--nocapture"])
        .env(HELD, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "held"), "the other process holds it");
    child
}

#[test]
fn the_second_writer_is_told_who_the_first_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("job");
    let mut child = holder(&path);
    let text = open(&path).err().expect("in use").to_string();
    let host = nix::unistd::gethostname().expect("a name").into_string().expect("text");
    assert!(text.contains(&format!("in use by host {host}, pid {}, since 2", child.id())), "{text}");
    drop(child.stdin.take());
    assert!(child.wait().expect("an end").success());
    assert!(!folder.path().join("job.lock").exists());
    open(&path).expect("free again");
}

#[test]
fn the_lock_dies_with_its_holder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("job");
    let mut child = holder(&path);
    open(&path).err().expect("in use");
    child.kill().expect("a process");
    child.wait().expect("an end");
    assert!(folder.path().join("job.lock").exists(), "what a killed holder leaves");
    open(&path).expect("free again");
}
