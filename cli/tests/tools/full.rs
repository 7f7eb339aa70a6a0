//! A file system without room: one clear line, the original as it was, nothing left behind. It needs root.

use std::{fs, path::Path, process::Command};

use crate::made::{Form, Made, names, tool};

/// A small file system, as long as it is held.
struct Small(tempfile::TempDir);

impl Small {
    fn new() -> Option<Small> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "maniple-test"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|ended| ended.status.success());
        mounted.then_some(Small(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg(self.0.path()).output();
        assert!(std::thread::panicking() || ended.is_ok_and(|ended| ended.status.success()));
    }
}

#[test]
fn without_room_nothing_changes() {
    let Some(small) = Small::new() else {
        return maniple_tests::skip::not_checked("a full disk under the tools", "a tmpfs cannot be mounted");
    };
    let at = small.path();
    Made::at(&at.join("a"), Form::Floats).values(0..9_000).closed();
    Made::at(&at.join("b"), Form::Floats).values(9_000..16_000).closed();
    let before = [fs::read(at.join("a")).expect("there"), fs::read(at.join("b")).expect("there")];
    assert!(before[0].len() + before[1].len() > 560 << 10);
    fs::write(at.join("filler"), vec![0; (1 << 20) - before[0].len() - before[1].len() - (200 << 10)])
        .expect("room");
    for line in ["compact a", "repair a c", "merge a b c"] {
        let (code, stdout, stderr) = tool(at, line);
        assert_eq!(code, 4, "{line}\n{stdout}{stderr}");
        assert!(
            stderr.starts_with("maniple: error: no room for checkpoint") && stderr.lines().count() == 1,
            "{stderr}"
        );
        assert_eq!(before, [fs::read(at.join("a")).expect("there"), fs::read(at.join("b")).expect("there")]);
        assert_eq!(names(at), ["a", "b", "filler"], "{line}");
    }
}
