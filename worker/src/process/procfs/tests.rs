//! Against processes that the tests make; the rest of the machine is none of their business.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

/// A shell with two children and a grandchild.
struct Family(Child);

impl Family {
    fn start() -> Self {
        let script = "sleep 1000 & sh -c 'sleep 1000 & echo up; wait' & wait";
        let mut shell = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        Self(shell)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        super::super::kill::kill_tree(Process::find(self.pid()).unwrap());
        self.0.wait().unwrap();
    }
}

#[test]
fn names_with_parentheses_and_spaces_are_no_fields() {
    let line = b"12 (a) S 1 (b\n) R 77 5 6 0 -1 4 1 0 0 0 2 3 0 0 20 0 1 0 4242 9 9";
    let stat = Stat::parse(line).unwrap();
    assert_eq!((stat.state, stat.parent, stat.started), (b'R', Pid::from_raw(77), 4242));
    assert!(Stat::parse(b"12 (a) S 1").is_none());
}

#[test]
fn kernel_lists_and_snapshot_agree() {
    let family = Family::start();
    let (mut listed, mut scanned) =
        (listed_children(family.pid()), snapshot().remove(&family.pid()).unwrap());
    listed.sort();
    scanned.sort();
    assert_eq!(listed, scanned);
    assert_eq!(listed.len(), 2);
}

#[test]
fn descendants_reach_grandchildren_but_not_the_spared() {
    let family = Family::start();
    let all = descendants(family.pid(), None);
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().all(|process| Process::find(process.pid) == Some(*process)));
    let parent = children(family.pid()).into_iter().find(|pid| !children(*pid).is_empty()).unwrap();
    assert_eq!(descendants(family.pid(), Some(parent)).len(), 1);
}
