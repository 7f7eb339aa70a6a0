//! Storage that fails, for the real binary: system calls that strace makes fail, and what it saw of the files.
//!
//! It traces what a writer of a checkpoint does to files, and counts for each which bytes were written and which of them
//! a sync has covered, so that a test can take away what a disk may lose. It knows nothing of what is in the files.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Ended, Program, Scratch};

/// What strace writes, beside the checkpoint.
const TRACE: &str = ".strace";
/// All threads; files by name; no contents; what changes files.
const WATCH: &str = "-f -qq -y -s 0 -e trace=pwrite64,ftruncate,fsync,fdatasync";

/// What becomes of bytes that no sync has covered.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// The file ends before them.
    Cut,
    /// The file has its length, and zeros in their place.
    Zeros,
}

/// What a run did to the files, and those before it.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Whether a call was made to fail.
    pub injected: bool,
    /// Writes and syncs that came after a sync had failed, as strace shows them.
    pub after_failed_sync: Vec<String>,
    /// For each file, how far it was written and how far synced. A file that is made under the name `X.new` is `X`.
    files: BTreeMap<PathBuf, (u64, u64)>,
}

/// Why strace cannot be used here, if so.
#[must_use]
pub fn missing() -> Option<&'static str> {
    let mut probe = Command::new("strace");
    probe.args(["-f", "-qq", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    match probe.status() {
        Err(_) => Some("strace is not installed (Debian package strace)"),
        Ok(status) if !status.success() => Some("strace may not trace here"),
        Ok(_) => None,
    }
}

/// Runs `maniple ARGS` to its end under strace. `inject` is an expression of its own, such as `fsync:error=EIO:when=2`;
/// `earlier` is what an earlier run did to the same files.
#[track_caller]
pub fn run(scratch: &Scratch, earlier: Trace, inject: &str, args: &str) -> (Ended, Trace) {
    let program = scratch.command(args);
    let mut command = Command::new("strace");
    command.args(WATCH.split(' ')).args(["-o", TRACE]);
    command.arg("-e").arg(format!("inject={inject}")).arg(program.get_program()).args(program.get_args());
    scratch.prepare(&mut command);
    let ended = Program::start(command).wait();
    let text = fs::read_to_string(scratch.file(TRACE)).expect("strace has written it");
    // Files are named as the kernel does.
    let folder = fs::canonicalize(scratch.path()).expect("it is there");
    (ended, Trace::read(earlier.files, &text, &folder))
}

impl Trace {
    /// Calls on files in `folder`.
    fn read(files: BTreeMap<PathBuf, (u64, u64)>, text: &str, folder: &Path) -> Trace {
        let mut trace = Trace { files, ..Trace::default() };
        let mut unfinished: BTreeMap<&str, &str> = BTreeMap::new();
        let mut has_failed = false;
        for line in text.lines() {
            let (thread, said) = line.split_once(' ').expect("a thread and a call");
            let said = said.trim_start();
            // What is interrupted by news of other threads is told in two parts.
            let call = if let Some(begun) = said.strip_suffix(" <unfinished ...>") {
                unfinished.insert(thread, begun);
                continue;
            } else if let Some((_, rest)) = said.split_once(" resumed>").filter(|_| said.starts_with("<..."))
            {
                format!("{}{rest}", unfinished.remove(thread).expect("it was begun"))
            } else {
                said.to_owned()
            };
            trace.injected |= call.contains("(INJECTED)");
            let Some((name, shown, number)) = parse(&call) else { continue };
            if !shown.starts_with(folder) || shown.extension().is_some_and(|ending| ending == "lock") {
                continue;
            }
            let is_new = shown.extension().is_some_and(|ending| ending == "new");
            let path = if is_new { shown.with_extension("") } else { shown };
            if is_new && name == "pwrite64" && number == 0 {
                trace.files.remove(&path);
            }
            if has_failed {
                trace.after_failed_sync.push(call.clone());
            }
            let result =
                call.rsplit_once(" = ").and_then(|(_, result)| result.split(' ').next()?.parse().ok());
            let (written, synced) = trace.files.entry(path).or_default();
            match (name, result) {
                ("pwrite64", Some(count @ 0..)) => *written = (*written).max(number + count as u64),
                ("ftruncate", Some(0)) => (*written, *synced) = (number, number.min(*synced)),
                ("fsync" | "fdatasync", Some(0)) => *synced = *written,
                ("fsync" | "fdatasync", Some(_)) => has_failed = true,
                // It failed, or was killed on the way.
                (_, Some(i64::MIN..=-1) | None) => {}
                other => panic!("{other:?} in {call}"),
            }
        }
        trace
    }

    /// Takes away what was written to the files and not synced.
    pub fn lose(&self, loss: Loss) {
        for (path, &(written, synced)) in self.files.iter().filter(|(path, _)| path.is_file()) {
            let file = OpenOptions::new().write(true).open(path).expect("a file of our own");
            file.set_len(synced).expect("it can be cut");
            if let Loss::Zeros = loss {
                file.set_len(written).expect("it can grow");
            }
        }
    }
}

/// Name, file and last number of a call such as `pwrite64(20</tmp/x/c.wal>, ""..., 152, 312) = 152`.
fn parse(call: &str) -> Option<(&str, PathBuf, u64)> {
    let (name, rest) = call.split_once('(')?;
    let (path, rest) = rest.split_once('<')?.1.split_once('>')?;
    let last = rest.split_once(')')?.0.rsplit(", ").next()?.parse().unwrap_or(0);
    Some((name, PathBuf::from(path), last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_is_counted_through_interruptions_and_renames() {
        let old = BTreeMap::from([(PathBuf::from("/t/c"), (999, 999))]);
        let trace = Trace::read(
            old,
            "7 pwrite64(18</t/c.new>, \"\"..., 136, 0) = 136\n\
             7 fdatasync(18</t/c.new> <unfinished ...>\n\
             8 pwrite64(9</elsewhere>, \"\"..., 1, 0) = 1\n\
             7 <... fdatasync resumed>)          = 0\n\
             7 pwrite64(18</t/c>, \"\"..., 64, 136) = 64\n\
             7 fdatasync(18</t/c>) = -1 EIO (Input/output error) (INJECTED)\n\
             7 fsync(20</t>) = ?\n",
            Path::new("/t"),
        );
        assert_eq!(trace.files[Path::new("/t/c")], (200, 136));
        assert_eq!(trace.after_failed_sync, ["fsync(20</t>) = ?"]);
        assert!(trace.injected && !trace.files.contains_key(Path::new("/elsewhere")));
    }
}
