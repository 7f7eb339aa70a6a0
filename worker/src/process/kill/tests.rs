//! Trees of real processes. All hold one pipe, whose end of file says that the last is gone.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::*;

/// Runs a script that prints `up` when its tree stands, kills the tree, and waits until nobody holds its stdout.
fn kill_family(script: &str) -> usize {
    let mut leader =
        Command::new("sh").args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(leader.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let killed = kill_tree(Process::find(Pid::from_raw(leader.id() as i32)).unwrap());
    leader.wait().unwrap();
    stdout.read_to_end(&mut Vec::new()).unwrap();
    killed
}

#[test]
fn a_tree_goes_with_its_sessions_and_those_who_ignore_sigterm() {
    let script = "trap '' TERM; sleep 1000 & setsid sh -c 'sleep 1000 & echo up; wait' & wait";
    assert_eq!(kill_family(script), 4);
}

#[test]
fn a_tree_that_keeps_forking_goes() {
    let forking = "f() { while :; do (sleep 0.01; :) & wait $!; done; }; f & f & f & echo up; f";
    assert!(kill_family(forking) >= 4);
}

#[test]
fn another_process_with_the_same_pid_is_not_signalled() {
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    let process = Process::find(pid).unwrap();
    let stranger = process.with_start(1);
    assert!(!send(stranger, Signal::SIGKILL));
    assert_eq!(kill_tree(stranger), 0);
    assert_eq!(child.try_wait().unwrap(), None);
    assert!(send(process, Signal::SIGKILL));
    child.wait().unwrap();
    assert!(!send(process, Signal::SIGKILL));
}
