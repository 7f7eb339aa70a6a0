//! One run of the program under test, seen from outside.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, pipe2};

/// Which program this is to be.
pub const ROLE: &str = "MANIPLE_TEST_ROLE";
/// The number of the lifeline's writing end, which the engine inherits.
pub const LIFELINE: &str = "MANIPLE_TEST_LIFELINE";
/// No wait takes this long unless something is broken.
const DEADLINE_MS: u16 = 30_000;

pub struct Run {
    child: Child,
    stdout: File,
    stderr: File,
    lifeline: File,
}

/// How it ended.
pub struct End {
    pub code: Option<i32>,
    pub stderr: String,
}

impl Run {
    pub fn start(role: &str) -> Self {
        Self::start_with(role, "--default-signal=INT,TERM,HUP,QUIT")
    }

    /// In a process group of its own, as a shell would; with the signals set as `env` is told.
    pub fn start_with(role: &str, signals: &str) -> Self {
        let (lifeline, held) = pipe2(OFlag::O_CLOEXEC).unwrap();
        fcntl(&held, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let mut command = Command::new("env");
        command.arg(signals).arg(std::env::current_exe().unwrap());
        command.env(ROLE, role).env(LIFELINE, held.as_raw_fd().to_string()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = OwnedFd::from(child.stdout.take().unwrap()).into();
        let stderr = OwnedFd::from(child.stderr.take().unwrap()).into();
        Self { child, stdout, stderr, lifeline: lifeline.into() }
    }

    pub fn keeper(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The rest of a line that the engine prints and that begins so; earlier lines must not come.
    pub fn expect(&self, beginning: &str) -> String {
        let line = line(&self.stdout);
        let rest = line.strip_prefix(beginning);
        rest.unwrap_or_else(|| self.fail(&format!("expected a line {beginning:?}, got {line:?}")))
            .trim()
            .to_owned()
    }

    /// The engine's pid, its first line.
    pub fn engine(&self) -> Pid {
        Pid::from_raw(self.expect("engine ").parse().unwrap())
    }

    /// Waits until a child says on the lifeline that it is there.
    pub fn hear_up(&self) {
        let line = line(&self.lifeline);
        if line != "up\n" {
            self.fail(&format!("expected a child to say \"up\", got {line:?}"));
        }
    }

    /// Ends the run, so that its stderr ends, and shows that.
    fn fail(&self, why: &str) -> ! {
        self.signal(self.keeper(), Signal::SIGKILL);
        panic!("{why}; stderr:\n{}", to_end(&self.stderr, why));
    }

    pub fn signal(&self, pid: Pid, signal: Signal) {
        kill(pid, signal).unwrap();
    }

    pub fn signal_group(&self, signal: Signal) {
        killpg(self.keeper(), signal).unwrap();
    }

    /// Waits until keeper, engine, and everybody who holds the lifeline are gone. The keeper must be the last of them.
    pub fn end(mut self) -> End {
        let stderr = to_end(&self.stderr, "stderr still open: the program under test does not end");
        let code = self.child.wait().unwrap().code();
        let late = File::from(self.lifeline.as_fd().try_clone_to_owned().unwrap());
        to_end(&late, "orphans: the keeper has ended, the lifeline is still held");
        End { code, stderr }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // After a failure: the keeper's death ends all direct children and the engine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The script of most tests: the program checks itself, ends with 0, and leaves nobody behind.
pub fn passes(role: &str) {
    let end = Run::start(role).end();
    assert_eq!(end.code, Some(0), "stderr:\n{}", end.stderr);
    assert_eq!(end.stderr, "");
}

fn read_some(mut file: &File, buffer: &mut [u8], complaint: &str) -> usize {
    let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut watched, PollTimeout::from(DEADLINE_MS)).unwrap();
    assert_eq!(ready, 1, "deadline passed: {complaint}");
    file.read(buffer).unwrap()
}

/// The next line; what is left if the other end closes.
pub fn line(file: &File) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") && read_some(file, &mut byte, "no line came") > 0 {
        line.extend(byte);
    }
    String::from_utf8(line).unwrap()
}

fn to_end(file: &File, complaint: &str) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match read_some(file, &mut buffer, complaint) {
            0 => return String::from_utf8_lossy(&all).into_owned(),
            length => all.extend_from_slice(&buffer[..length]),
        }
    }
}
