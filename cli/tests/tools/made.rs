//! Checkpoints of known contents, and the tools that are run on them.

use std::{
    path::Path,
    process::{Command, Output},
};

use coordinator::checkpoint::{CheckpointFile, Terms};
use rmp::encode as put;
use shared::{
    checkpoint::Compress,
    id::Attempt,
    job::Existing,
    outcome::{Cause, Failure},
};

pub const WORK: &str = "function m:f";

/// What the values look like, so that each layout of frames occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Floats,
    Packed,
    Texts,
    Named,
    Mixed,
}

pub const FORMS: [Form; 5] = [Form::Floats, Form::Packed, Form::Texts, Form::Named, Form::Mixed];

/// The key of a number.
pub fn key(number: u64) -> Vec<u8> {
    let mut key = Vec::new();
    put::write_array_len(&mut key, 2).expect("memory");
    put::write_uint(&mut key, 20_240_000 + number / 10).expect("memory");
    put::write_str(&mut key, &format!("{:06}", number % 10)).expect("memory");
    key
}

fn value(form: Form, number: u64, salt: u64) -> Vec<u8> {
    let mut value = Vec::new();
    let float = |value: &mut Vec<u8>| put::write_f64(value, (number + salt) as f64 / 7.0).expect("memory");
    match form {
        Form::Mixed if number % 2 == 1 => put::write_nil(&mut value).expect("memory"),
        Form::Floats | Form::Packed | Form::Mixed => {
            put::write_array_len(&mut value, 3).expect("memory");
            (0..3).for_each(|_| float(&mut value));
        }
        Form::Texts => {
            put::write_str(&mut value, if number.is_multiple_of(3) { "up" } else { "down" }).expect("memory")
        }
        Form::Named => {
            put::write_map_len(&mut value, 2).expect("memory");
            for name in ["alpha", "beta"] {
                put::write_str(&mut value, name).expect("memory");
                float(&mut value);
            }
        }
    }
    value
}

/// A checkpoint that is being made.
pub struct Made {
    file: CheckpointFile,
    form: Form,
    salt: u64,
}

impl Made {
    /// At this place, in frames of a few rows.
    pub fn at(path: &Path, form: Form) -> Made {
        let compress = if form == Form::Packed { Compress::Zstd } else { Compress::None };
        let columns = match form {
            Form::Floats => ["a", "b", "c"].map(str::to_owned).to_vec(),
            Form::Packed | Form::Texts | Form::Named | Form::Mixed => Vec::new(),
        };
        let terms = Terms { columns, compress, ..Terms::new(WORK.to_owned(), Existing::Resume) };
        let (file, _) = CheckpointFile::open(path, &terms, &mut |_, _, _| {}).expect("it opens");
        Made { file, form, salt: 0 }
    }

    /// Values that differ from those without it.
    pub fn salted(self, salt: u64) -> Made {
        Made { salt, ..self }
    }

    /// A frame of values.
    pub fn values(mut self, numbers: std::ops::Range<u64>) -> Made {
        let keys: Vec<u8> = numbers.clone().flat_map(key).collect();
        let values: Vec<u8> =
            numbers.clone().flat_map(|number| value(self.form, number, self.salt)).collect();
        let count = (numbers.end - numbers.start) as u32;
        self.file.push_values(&keys, &values, count, &[(0, Attempt(2))]).expect("whole");
        self.file.fold().expect("room");
        self
    }

    /// A frame of failures.
    pub fn failures(mut self, numbers: std::ops::Range<u64>, message: &str) -> Made {
        for number in numbers {
            let failure = Failure {
                cause: Cause::Exception("builtins.ValueError".to_owned()),
                message: message.to_owned(),
                traceback: "Traceback\n".to_owned(),
                stdout: String::new(),
                stderr: String::new(),
                host: "h1".to_owned(),
                pid: 7,
                attempt: Attempt(3),
            };
            self.file.push_failure(&key(number), &failure).expect("whole");
        }
        self.file.fold().expect("room");
        self
    }

    /// Values that stay in the journal, as if the writer were killed behind them.
    pub fn killed_with(mut self, numbers: std::ops::Range<u64>) {
        let keys: Vec<u8> = numbers.clone().flat_map(key).collect();
        let values: Vec<u8> =
            numbers.clone().flat_map(|number| value(self.form, number, self.salt)).collect();
        self.file.push_values(&keys, &values, (numbers.end - numbers.start) as u32, &[]).expect("whole");
        self.file.flush().expect("room");
    }

    /// Ends it in order.
    pub fn closed(self) {
        self.file.close().expect("room");
    }
}

/// A tool, to be run in a folder.
pub fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maniple"));
    command.arg("checkpoint").args(line.split_whitespace()).current_dir(folder);
    command
}

/// Runs a tool: its exit code, what it wrote to standard output, and to standard error.
pub fn tool(folder: &Path, line: &str) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(folder, line).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

/// Runs a tool that has to end with this code; its standard output.
#[track_caller]
pub fn expect(code: i32, folder: &Path, line: &str) -> String {
    let (ended, stdout, stderr) = tool(folder, line);
    assert_eq!(ended, code, "{line}\n{stdout}\n{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stdout
}

/// What is in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
