//! A started process: its output is gathered by threads, each wait has a bound, and dropping it kills it.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Gathered {
    text: Mutex<(String, bool)>,
    changed: Condvar,
}

/// See the module.
pub struct Program {
    child: Child,
    stdout: Arc<Gathered>,
    stderr: Arc<Gathered>,
}

/// A process that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Starts a command.
    pub fn start(mut command: Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let stdout = gather(child.stdout.take().expect("piped"));
        let stderr = gather(child.stderr.take().expect("piped"));
        Program { child, stdout, stderr }
    }

    /// Its process id: for a verb with a keeper, the keeper's.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(self.pid()), signal).expect("it lives");
    }

    /// The process ids of its children, or of their children where `depth` is 2, and so on.
    pub fn descendants(&self, depth: usize) -> Vec<i32> {
        (0..depth).fold(vec![self.pid()], |parents, _| parents.into_iter().flat_map(children).collect())
    }

    /// `kill -9` of it and of whatever is its engine.
    pub fn kill(&mut self) {
        for pid in self.descendants(1).into_iter().chain([self.pid()]) {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.child.wait().expect("it can be waited for");
    }

    /// Waits until standard error has a line with this text, and returns the line.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_for_times(text, 1)
    }

    /// Waits until standard error has so many lines with this text, and returns the last one.
    pub fn wait_for_times(&self, text: &str, times: usize) -> String {
        let with_text = |line: &&str| line.contains(text);
        let found = |all: &str| all.lines().filter(with_text).nth(times - 1).map(str::to_owned);
        self.stderr.wait_for(found, &format!("{text:?} was not said {times} times"))
    }

    /// Waits until standard output has so many lines.
    pub fn wait_for_results(&self, lines: usize) {
        let enough = |all: &str| (all.lines().count() >= lines).then_some(());
        self.stdout.wait_for(enough, &format!("there are no {lines} results"));
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        self.stderr.text.lock().expect("no panic").0.clone()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let stdout = self.stdout.end(deadline, &self.stderr);
        let stderr = self.stderr.end(deadline, &self.stderr);
        let status = self.child.wait().expect("it can be waited for");
        Ended { status, stdout, stderr }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

impl Gathered {
    /// Waits until something is found in the text.
    fn wait_for<T>(&self, found: impl Fn(&str) -> Option<T>, complaint: &str) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut gathered = self.text.lock().expect("no panic");
        loop {
            if let Some(found) = found(&gathered.0) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!gathered.1 && !left.is_zero(), "{complaint}; the output was:\n{}", gathered.0);
            gathered = self.changed.wait_timeout(gathered, left).expect("no panic").0;
        }
    }

    fn end(&self, deadline: Instant, stderr: &Gathered) -> String {
        let mut gathered = self.text.lock().expect("no panic");
        while !gathered.1 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(gathered);
                panic!("it does not end; standard error was:\n{}", stderr.text.lock().expect("no panic").0);
            }
            gathered = self.changed.wait_timeout(gathered, left).expect("no panic").0;
        }
        gathered.0.clone()
    }
}

impl Ended {
    /// The exit code; fails if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("{:?}; standard error was:\n{}", self.status, self.stderr))
    }

    /// Fails unless the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Ended {
        assert_eq!(
            self.code(),
            code,
            "standard error was:\n{}\nstandard output was:\n{}",
            self.stderr,
            self.stdout
        );
        self
    }

    /// Fails unless standard error has exactly one `maniple: error:` line, with all of these texts.
    #[track_caller]
    pub fn expect_error(self, texts: &[&str]) -> Ended {
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.contains("error")).collect();
        assert_eq!(errors.len(), 1, "one clear line:\n{}", self.stderr);
        for text in texts {
            assert!(errors[0].contains(text), "{text:?} is not in: {}", errors[0]);
        }
        assert!(
            !self.stderr.contains("panicked") && !self.stderr.contains("RUST_BACKTRACE"),
            "{}",
            self.stderr
        );
        self
    }

    /// The summary that `--json` writes.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?}\n{}", self.stdout, self.stderr))
    }
}

fn gather(stream: impl Read + Send + 'static) -> Arc<Gathered> {
    let gathered = Arc::new(Gathered::default());
    let mine = Arc::clone(&gathered);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            mine.text.lock().expect("no panic").0.push_str(&String::from_utf8_lossy(&line));
            mine.changed.notify_all();
            line.clear();
        }
        mine.text.lock().expect("no panic").1 = true;
        mine.changed.notify_all();
    });
    gathered
}

/// The engine of `maniple run` or `maniple worker`: the keeper's first child that still has the keeper's own words. Later
/// ones have not executed their program yet.
pub fn engine(keeper: i32) -> Option<i32> {
    let is_engine = |pid: &i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|word| word == b"run" || word == b"worker")
    };
    children(keeper).into_iter().find(is_engine)
}

/// The process ids of a process's children.
pub fn children(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}
