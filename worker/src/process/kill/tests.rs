//! Trees of real processes. All hold one pipe, whose end of file says that the last is gone.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::*;

/// Reads what comes next; empty if nobody holds the other end any more.
fn read_some(mut pipe: &File) -> Vec<u8> {
    let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut watched, PollTimeout::from(30_000_u16)).unwrap();
    assert_eq!(ready, 1, "deadline passed: a process of the tree still holds the pipe");
    let mut buffer = vec![0; 4096];
    let length = pipe.read(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// Runs a script that prints `up` when its tree stands, kills the tree, and waits until nobody holds its stdout.
fn kill_family(script: &str) -> usize {
    let mut leader =
        Command::new("sh").args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = File::from(OwnedFd::from(leader.stdout.take().unwrap()));
    assert_eq!(
        read_some(&stdout),
        b"up
"
    );
    let killed = kill_tree(Process::find(Pid::from_raw(leader.id() as i32)).unwrap());
    leader.wait().unwrap();
    assert_eq!(read_some(&stdout), b"");
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
    // As if the pid had been used again.
    let stranger = Process::new(process.pid, 1);
    assert!(!send(stranger, Signal::SIGKILL));
    assert_eq!(kill_tree(stranger), 0);
    assert_eq!(child.try_wait().unwrap(), None);
    assert!(send(process, Signal::SIGKILL));
    child.wait().unwrap();
    assert!(!send(process, Signal::SIGKILL));
}

#[test]
fn everybody_is_stopped_before_the_next_look_and_newcomers_go_too() {
    let mut sleepers: Vec<_> = (0..2).map(|_| Command::new("sleep").arg("1000").spawn().unwrap()).collect();
    let pids: Vec<Pid> = sleepers.iter().map(|child| Pid::from_raw(child.id() as i32)).collect();
    let family: Vec<Process> = pids.iter().filter_map(|pid| Process::find(*pid)).collect();
    let mut looks = 0;
    let killed = kill_all(HashSet::new(), || {
        looks += 1;
        if let Some(seen) = pids.iter().take(looks - 1).next_back() {
            let state = waitpid(*seen, Some(WaitPidFlag::WUNTRACED));
            assert!(looks > 3 || state == Ok(WaitStatus::Stopped(*seen, Signal::SIGSTOP)), "{state:?}");
        }
        family[..looks.min(2)].to_vec()
    });
    assert_eq!((killed, looks), (2, 3));
    sleepers.iter_mut().for_each(|child| assert!(!child.wait().unwrap().success()));
}
