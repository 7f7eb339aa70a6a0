//! Who of the marked processes may live: programs, and with a keeper its engine, its pool, and what these have started.

use std::{collections::BTreeSet, fs, time::Instant};

use super::LIMIT;
use crate::{
    leftovers,
    program::{children, engine},
    wait::until,
};

/// A keeper, and how many processes its pool may have.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    pub keeper: i32,
    pub slots: usize,
}

/// Who executes the text that a keeper passes to its pool's processes.
fn is_of_a_pool(pid: &i32) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.split(|byte| *byte == 0).any(|word| word == b"/proc/self/fd/5")
}

impl Family {
    /// The processes of the pool.
    pub fn pool(self) -> Vec<i32> {
        children(self.keeper).into_iter().filter(is_of_a_pool).collect()
    }

    fn members(self) -> Vec<i32> {
        let mut found: Vec<i32> = self.pool().into_iter().take(self.slots).collect();
        let mut next = 0;
        while next < found.len() {
            found.extend(children(found[next]));
            next += 1;
        }
        found.into_iter().chain([self.keeper]).chain(engine(self.keeper)).collect()
    }
}

/// Marked processes that nobody accounts for, each as a line.
pub fn strangers(mark: &str, programs: &[i32], families: &[Family]) -> Vec<String> {
    let marked = leftovers::processes(mark);
    let known: BTreeSet<i32> =
        families.iter().flat_map(|family| family.members()).chain(programs.iter().copied()).collect();
    let pid = |line: &String| line.split(':').next().and_then(|pid| pid.parse().ok());
    marked.into_iter().filter(|line| pid(line).is_none_or(|pid| !known.contains(&pid))).collect()
}

/// Waits until there are none.
#[track_caller]
pub fn assert_no_strangers(mark: &str, programs: &[i32], families: &[Family], since: Instant, what: &str) {
    let strangers = || strangers(mark, programs, families);
    until(
        LIMIT.saturating_sub(since.elapsed()),
        || strangers().is_empty(),
        || format!("{what}: left after {LIMIT:?}:\n{}", strangers().join("\n")),
    );
}
