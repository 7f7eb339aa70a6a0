//! A job whose tasks have processes of their own half of the time, and what has to hold of it once it has ended.

use std::{collections::BTreeSet, ops::Range};

use crate::{Scratch, outcomes, outcomes::values_by_number};

/// Helpers in the group of their process, and in sessions of their own.
const FUNCTION: &str = r#"
import os, subprocess, time
def f(n):
    log = os.open(f"log{n // COUNT}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, b"%d\n" % n)
    os.close(log)
    if n % 4: time.sleep(0.003)
    else:
        with subprocess.Popen(["sleep", "1000"], start_new_session=n % 8 == 0) as helper:
            time.sleep(0.02)
            helper.kill()
    return [n, n * 0.1]
"#;

/// See the module.
pub struct Work<'a> {
    scratch: &'a Scratch,
    tasks: Range<u64>,
    /// The options that name it.
    pub options: String,
    checkpoint: String,
    /// What its tasks note as they begin.
    log: String,
    /// How many lines the log had as a writer of the checkpoint died, and what was recorded then.
    deaths: Vec<(usize, BTreeSet<u64>)>,
}

impl<'a> Work<'a> {
    /// The next job, of so many tasks.
    pub fn new(scratch: &'a Scratch, number: u64, count: u64) -> Work<'a> {
        scratch.write("f.py", format!("COUNT = {count}\n{FUNCTION}"));
        let tasks = number * count..(number + 1) * count;
        scratch.numbers("tasks.jsonl", tasks.clone());
        let (checkpoint, log) = (format!("c{number}.checkpoint"), format!("log{number}"));
        let options =
            format!("f:f --tasks tasks.jsonl --checkpoint {checkpoint} --retries 20 --flush 0.05 --json");
        Work { scratch, tasks, options, checkpoint, log, deaths: Vec::new() }
    }

    /// The tasks that were begun, in order.
    fn log(&self) -> Vec<u64> {
        let lines = self.scratch.lines(&self.log).into_iter();
        lines.map(|line| line.parse().expect("a number")).collect()
    }

    /// How many tasks were begun, each time counted.
    pub fn begun(&self) -> usize {
        self.scratch.lines(&self.log).len()
    }

    /// Whether each of its tasks was begun.
    pub fn is_nearly_done(&self) -> bool {
        let begun: BTreeSet<u64> = self.log().into_iter().collect();
        begun.len() as u64 == self.tasks.end - self.tasks.start
    }

    fn recorded(&self) -> BTreeSet<u64> {
        let path = self.scratch.file(&self.checkpoint);
        if !path.exists() {
            return BTreeSet::new();
        }
        values_by_number(&outcomes(&path)).into_keys().collect()
    }

    /// Who wrote the checkpoint is dead.
    pub fn note_death(&mut self) {
        let recorded = self.recorded();
        if let Some((_, before)) = self.deaths.last() {
            assert!(before.is_subset(&recorded), "lost: {:?}", before.difference(&recorded));
        }
        self.deaths.push((self.log().len(), recorded));
    }

    /// Each task has its one right value, and none was begun again once it was recorded.
    pub fn check(&self) {
        let held = outcomes(&self.scratch.file(&self.checkpoint));
        let values = values_by_number(&held);
        let expected = self.tasks.clone().map(|n| (n, serde_json::json!([n, n as f64 * 0.1]))).collect();
        assert_eq!((held.len(), &values), (values.len(), &expected));
        let begun = self.log();
        for (at, recorded) in &self.deaths {
            let again: Vec<_> = begun[*at..].iter().filter(|n| recorded.contains(n)).collect();
            assert!(again.is_empty(), "recorded before a death and begun again: {again:?}");
        }
    }
}
