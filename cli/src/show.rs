//! What a job's user sees while it runs: progress and notes on standard error, and on standard output the results,
//! where they have no checkpoint to go to.

use std::{
    collections::HashMap,
    io::{self, Write},
    time::Instant,
};

use shared::{
    id::{TaskIndex, TaskRange},
    msgpack,
    task_set::TaskSet,
    tasks::TaskList,
    wire::client::Progress,
};

use crate::{
    keys,
    output::{Terminal, say},
    progress::{Mode, Reporter},
    tasks::Chunk,
};

/// How results are written to standard output.
pub enum Results {
    /// They are in the checkpoint, or nobody wants them.
    Kept,
    /// A line of JSON each: `[key, value]`. The keys are remembered for it.
    Lines(Box<TaskList>),
    /// What the commands wrote to their standard output, a task at a time.
    Outputs,
}

/// See the module.
pub struct Show {
    reporter: Reporter,
    results: Results,
    /// The tasks whose results were written: after a lost connection some come again, and all if the coordinator was
    /// started anew.
    written: TaskSet,
    quiet: bool,
    last: Progress,
}

impl Show {
    pub fn new(quiet: bool, results: Results) -> Show {
        let mode = Mode::choose(quiet, &Terminal::of_this_process());
        let reporter = Reporter::new(mode, Instant::now());
        Show { reporter, results, written: TaskSet::default(), quiet, last: Progress::default() }
    }

    /// How far the job was when last heard of.
    pub fn last(&self) -> Progress {
        self.last
    }

    pub fn progress(&mut self, progress: Progress) {
        self.last = progress;
        self.reporter.update(&progress, Instant::now());
    }

    /// Tells the user something in one line.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            say(&format!("maniple: {text}"));
        }
    }

    /// More tasks were read.
    pub fn chunk(&mut self, chunk: &Chunk) {
        if let Results::Lines(tasks) = &mut self.results {
            tasks.extend(&chunk.keys).expect("keys that were just encoded are well formed");
        }
    }

    /// How many results of so many were not written, if any are.
    pub fn missing(&self, done: u64) -> u64 {
        if matches!(self.results, Results::Kept) { 0 } else { done.saturating_sub(self.written.count()) }
    }

    /// Writes results that have not been written yet.
    pub fn results(&mut self, tasks: &[TaskRange], payload: &[u8]) -> io::Result<()> {
        let mut text = Vec::new();
        let values = msgpack::values(payload).map_while(Result::ok);
        for (task, value) in tasks.iter().flat_map(|range| range.tasks()).zip(values) {
            match &self.results {
                Results::Kept => return Ok(()),
                _ if !self.written.insert(task) => {}
                Results::Lines(list) => line(list, task, value, &mut text),
                Results::Outputs => text.extend(stdout_of(value)),
            }
        }
        let mut out = io::stdout().lock();
        out.write_all(&text).and_then(|()| out.flush())
    }
}

fn line(tasks: &TaskList, task: TaskIndex, value: &[u8], text: &mut Vec<u8>) {
    let row = format!("[{},{}]\n", keys::whole(tasks.key(task)), keys::whole(value));
    text.extend_from_slice(row.as_bytes());
}

/// What a command wrote to its standard output.
fn stdout_of(value: &[u8]) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Output {
        Text(String),
        Bytes(bytes::Bytes),
        Other(serde::de::IgnoredAny),
    }
    let mut fields: HashMap<String, Output> = rmp_serde::from_slice(value).unwrap_or_default();
    match fields.remove("stdout") {
        Some(Output::Text(text)) => text.into_bytes(),
        Some(Output::Bytes(bytes)) => bytes.to_vec(),
        Some(Output::Other(_)) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_counts_once_and_what_is_missing_is_known() {
        let mut show = Show::new(true, Results::Outputs);
        let new: Vec<bool> = [0, 64, 0, 63].map(|task| show.written.insert(TaskIndex(task))).into();
        assert_eq!(new, [true, true, false, true]);
        assert_eq!((show.missing(3), show.missing(5), show.missing(2)), (0, 2, 0));
        assert_eq!(Show::new(true, Results::Kept).missing(5), 0);
    }
}
