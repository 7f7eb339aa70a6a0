//! Ends a whole tree of processes, whatever it does meanwhile: stop all, look again until nobody new appears, kill.
//!
//! Stopping first is what beats a program that forks faster than it is killed. It does not wait and does not reap: the
//! caller who is their parent does, and sweeps again until none is left. No process is signalled by a bare pid: a
//! pidfd is opened, then the start time compared, so a reused pid cannot hit a stranger.

use std::collections::HashSet;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::procfs::{Process, descendants};
use super::sys;

/// Listings after which the kill goes ahead although new processes still appear; the next sweep gets those.
const ROUNDS: usize = 64;

/// Kills all living descendants of `root`, without itself and without `spare` and its own; returns how many.
pub fn kill_descendants(root: Pid, spare: Option<Pid>) -> usize {
    kill_all(HashSet::new(), || descendants(root, spare))
}

/// Kills a process and all its living descendants; returns how many.
pub fn kill_tree(root: Process) -> usize {
    if !send(root, Signal::SIGSTOP) {
        return 0;
    }
    kill_all(HashSet::from([root]), || descendants(root.pid, None))
}

/// Kills these, which are stopped, and whoever turns up while one looks; returns how many.
pub(super) fn kill_all<Found>(mut stopped: HashSet<Process>, mut look: impl FnMut() -> Found) -> usize
where
    Found: IntoIterator<Item = Process>,
{
    for _ in 0..ROUNDS {
        let before = stopped.len();
        for process in look() {
            if !stopped.contains(&process) && send(process, Signal::SIGSTOP) {
                stopped.insert(process);
            }
        }
        if stopped.len() == before {
            break;
        }
    }
    stopped.into_iter().filter(|process| send(*process, Signal::SIGKILL)).count()
}

/// Sends a signal to this very process; `false` if it is gone or not ours to signal.
pub fn send(process: Process, signal: Signal) -> bool {
    let still_it = || Process::find(process.pid) == Some(process);
    match sys::pidfd_open(process.pid) {
        Ok(pidfd) => still_it() && sys::pidfd_signal(&pidfd, signal).is_ok(),
        Err(error) if no_pidfds(&error) => still_it() && signal::kill(process.pid, signal).is_ok(),
        Err(_) => false,
    }
}

/// Kernels before 5.3, and a process that has run out of descriptors, have to do without.
fn no_pidfds(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOSYS | Errno::EMFILE | Errno::ENFILE))
}

#[cfg(test)]
mod tests;
