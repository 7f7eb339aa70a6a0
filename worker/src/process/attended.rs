//! All that a command has started, also what has left its tree: found by descent, and by the mark in its environment.
//!
//! Only what empties its environment *and* has lost its parents escapes; that ends with the engine, by the keeper.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::kill::{kill_all, send};
use super::procfs::{EXECUTING, Process, descendants, is_somebody_executing, marked};

/// What is killed needs some time to be gone.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Kills whatever was started with this entry in its environment, and what that has started.
///
/// Who is about to execute a program shows no environment for a moment, so it looks until it has found nobody twice and
/// everybody shows one; on a machine where somebody never does, for a second.
pub fn kill_marked(entry: &str) {
    let until = Instant::now() + EXECUTING;
    let mut quiet = 0;
    while quiet < 2 && Instant::now() < until {
        let killed = kill_all(HashSet::new(), || with_descendants(marked(entry)));
        quiet = if killed == 0 && !is_somebody_executing() { quiet + 1 } else { 0 };
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// The living ones of these, and all below them.
fn with_descendants(roots: impl IntoIterator<Item = Process>) -> HashSet<Process> {
    let living = roots.into_iter().filter(|root| Process::find(root.pid) == Some(*root));
    living.flat_map(|root| descendants(root.pid, None).into_iter().chain([root])).collect()
}

/// A shell that waits for a program would else see that one end and go on, before it hears of the signal itself.
fn parents_first(processes: HashSet<Process>) -> Vec<Process> {
    let mut ordered: Vec<Process> = processes.into_iter().collect();
    ordered.sort_by_key(|process| (process.started(), process.pid));
    ordered
}

/// The processes of one command that somebody attends to.
#[derive(Debug)]
pub struct Attended {
    /// An entry of the environment that nobody else has.
    mark: String,
    leader: Option<Process>,
    /// Who was ever sent a signal: all of it that may outlive the leader.
    told: HashSet<Process>,
}

impl Attended {
    /// A command that will have this in its environment.
    pub fn new(mark: String) -> Self {
        Self { mark, leader: None, told: HashSet::new() }
    }

    /// It runs. It cannot have been reaped yet, or its end would have been heard of first.
    pub fn began(&mut self, pid: u32) {
        self.leader = Process::find(Pid::from_raw(pid.cast_signed()));
    }

    /// Sends a signal to all of it.
    pub fn signal(&mut self, signal: Signal) {
        let living = self.living();
        self.told.extend(&living);
        if signal == Signal::SIGKILL {
            return self.sweep();
        }
        for process in parents_first(living) {
            send(process, signal);
        }
    }

    /// The leader is gone: kills what is left, if it was ever sent a signal.
    pub fn sweep(&self) {
        if !self.told.is_empty() {
            kill_all(HashSet::new(), || self.living());
        }
    }

    fn living(&self) -> HashSet<Process> {
        with_descendants(self.leader.iter().chain(&self.told).copied().chain(marked(&self.mark)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reproduces_a_shell_whose_program_was_told_before_itself() {
        let process = |pid, started| Process::new(Pid::from_raw(pid), started);
        let (shell, program, stray) = (process(70, 5), process(71, 5), process(12, 6));
        assert_eq!(parents_first(HashSet::from([program, stray, shell])), [shell, program, stray]);
    }
}
