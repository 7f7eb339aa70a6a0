//! A folder of a test's own, and the commands that run in it. Dropping it fails if a process is left.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    binary::{maniple, python},
    leftovers,
    program::{Ended, PATIENCE, Program},
    wait::until,
};

/// See the module.
pub struct Scratch {
    dir: tempfile::TempDir,
    mark: String,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Scratch {
    /// An empty folder.
    pub fn new() -> Scratch {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mark = format!("maniple-test-{}", dir.path().file_name().expect("a name").to_string_lossy());
        Scratch { dir, mark }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, text).expect("a writable folder");
        path
    }

    /// Writes a task file: one JSON array a line, each with one number of the range.
    pub fn numbers(&self, name: &str, range: std::ops::Range<u64>) -> PathBuf {
        self.write(name, range.map(|number| format!("[{number}]\n")).collect::<String>())
    }

    /// The lines of a file that a task function appends to; none if there is no such file.
    pub fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.file(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Waits until a file is there; `program` is what should make it.
    #[track_caller]
    pub fn wait_for_file(&self, name: &str, program: &Program) {
        until(
            PATIENCE,
            || self.file(name).exists(),
            || format!("no {name}; it has said:\n{}", program.said()),
        );
    }

    /// Waits until a file has so many lines.
    #[track_caller]
    pub fn wait_for_lines(&self, name: &str, count: usize) {
        let lines = || self.lines(name).len();
        until(PATIENCE, || lines() >= count, || format!("{name} does not grow beyond {} lines", lines()));
    }

    /// `maniple ARGS`, not started yet. Arguments are split at spaces.
    pub fn command(&self, args: &str) -> Command {
        let mut command = Command::new(maniple());
        command.args(args.split_whitespace());
        self.prepare(&mut command);
        command
    }

    /// Makes any command one of this scratch: its folder, its mark, its interpreter, no terminal.
    pub fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.path())
            .env(leftovers::MARK, &self.mark)
            .env("VIRTUAL_ENV", python().parent().and_then(Path::parent).unwrap_or(Path::new("/usr")))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("MANIPLE_LOG")
            .stdin(Stdio::null());
    }

    /// Starts `maniple ARGS`.
    pub fn start(&self, args: &str) -> Program {
        Program::start(self.command(args))
    }

    /// Runs `maniple ARGS` to its end.
    pub fn run(&self, args: &str) -> Ended {
        self.start(args).wait()
    }

    /// Runs `maniple ARGS` with this standard input.
    pub fn run_with_input(&self, args: &str, input: &str) -> Ended {
        let path = self.write(".stdin", input);
        let mut command = self.command(args);
        command.stdin(fs::File::open(path).expect("just written"));
        Program::start(command).wait()
    }

    /// The mark of this test.
    pub fn mark(&self) -> String {
        self.mark.clone()
    }

    /// The mark of a part of this test.
    pub fn mark_of(&self, part: &str) -> String {
        format!("{}/{part}", self.mark)
    }

    /// Processes of this test that still live, each as a line.
    pub fn left(&self) -> Vec<String> {
        leftovers::processes(&self.mark)
    }

    /// Fails unless every process of this test ends soon.
    pub fn assert_nothing_left(&self) {
        leftovers::assert_none(&self.mark);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            leftovers::kill(&self.mark);
        } else {
            self.assert_nothing_left();
        }
    }
}
