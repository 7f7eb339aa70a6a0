//! From an order to a running process: environment, PATH search, descriptors.
//!
//! It does not know what becomes of the process. Invariant: all its descriptors and all that it is given have numbers
//! from `CHILD_FDS` on, because the numbers below are taken for good when it is made.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Pid, access};

use super::OOM_SCORE;
use crate::process::event::{SpawnFailure, SpawnStage};
use crate::process::protocol::{CHILD_FDS, Order, Strings};
use crate::process::sys::{self, Plan, Pointers, Stack, Step};

/// Where programs are looked for if the environment does not say it.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";
/// How much of a name an error repeats.
const QUOTED: usize = 1024;

pub(super) struct Launcher {
    stack: Stack,
    base_environment: Strings,
    null: OwnedFd,
    found: Option<Found>,
}

/// What a search of absolute directories came to: a thousand tasks name the same program.
struct Found {
    program: CString,
    path: Vec<u8>,
    file: CString,
}

impl Launcher {
    /// `null` is the null device; copies of it take all low numbers that are free.
    pub(super) fn new(null: OwnedFd) -> io::Result<Self> {
        let mut null = null;
        while null.as_raw_fd() < CHILD_FDS {
            let copy = null.try_clone()?;
            // Taken until the keeper ends.
            let _ = std::mem::replace(&mut null, copy).into_raw_fd();
        }
        let mut base_environment = Strings::default();
        for (name, value) in std::env::vars_os() {
            base_environment.push(&[&name, OsStr::new("="), &value]).map_err(io::Error::other)?;
        }
        Ok(Self { stack: Stack::new(), base_environment, null, found: None })
    }

    pub(super) fn null(&self) -> &OwnedFd {
        &self.null
    }

    pub(super) fn set_base_environment(&mut self, strings: Strings) {
        self.base_environment = strings;
    }

    pub(super) fn launch(&mut self, order: &Order, fds: &[OwnedFd]) -> Result<Pid, SpawnFailure> {
        let fail = |stage, place: &[u8], errno| SpawnFailure {
            stage,
            program: quote(order.program.to_bytes()),
            place: quote(place),
            errno,
        };
        let extras = &order.extra_environment;
        let base = self
            .base_environment
            .iter()
            .filter(|entry| !extras.iter().any(|extra| name(extra) == name(entry)));
        let environment: Vec<&CStr> = base.chain(extras.iter()).collect();
        let program = if order.program.to_bytes().contains(&b'/') {
            order.program.clone()
        } else {
            let path = environment.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
            let path = path.unwrap_or(DEFAULT_PATH);
            search(&mut self.found, &order.program, path, order.directory.as_deref())
                .map_err(|errno| fail(SpawnStage::Search, path, errno))?
        };
        let plan = Plan {
            program: &program,
            arguments: &order.arguments.iter().collect(),
            environment: &environment.into_iter().collect::<Pointers<'_>>(),
            directory: order.directory.as_deref(),
            descriptors: &self.descriptors(&order.targets, fds),
            close_from: CHILD_FDS,
            oom_score: OOM_SCORE,
        };
        sys::spawn(&plan, &mut self.stack).map_err(|(step, errno)| match step {
            Step::Clone => fail(SpawnStage::Clone, &[], errno),
            Step::Session => fail(SpawnStage::Session, &[], errno),
            Step::DeathSignal => fail(SpawnStage::DeathSignal, &[], errno),
            Step::Directory => {
                fail(SpawnStage::Directory, order.directory.as_deref().map_or(&[], CStr::to_bytes), errno)
            }
            Step::Descriptors => fail(SpawnStage::Descriptors, &[], errno),
            Step::Execute => fail(SpawnStage::Execute, program.to_bytes(), errno),
        })
    }

    /// What was passed, and the null device for standard streams that were not.
    fn descriptors(&self, targets: &[u8], fds: &[OwnedFd]) -> Vec<(RawFd, RawFd)> {
        let passed = fds.iter().map(AsRawFd::as_raw_fd).zip(targets.iter().copied().map(RawFd::from));
        let missing = (0..3).filter(|stream| !targets.contains(stream));
        passed.chain(missing.map(|stream| (self.null.as_raw_fd(), RawFd::from(stream)))).collect()
    }
}

fn name(entry: &CStr) -> &[u8] {
    entry.to_bytes().split(|byte| *byte == b'=').next().unwrap_or_default()
}

fn quote(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(QUOTED)]).into_owned()
}

/// The first executable file of that name on `path`; relative entries count from the child's directory.
///
/// What the last search found is taken again as long as it can be executed, unless an entry is relative.
fn search(
    last: &mut Option<Found>,
    program: &CStr,
    path: &[u8],
    directory: Option<&CStr>,
) -> Result<CString, Errno> {
    if let Some(found) = last
        && (&*found.program, &*found.path) == (program, path)
        && access(&*found.file, AccessFlags::X_OK).is_ok()
    {
        return Ok(found.file.clone());
    }
    let name = OsStr::from_bytes(program.to_bytes());
    let start =
        directory.map_or(Path::new("."), |directory| Path::new(OsStr::from_bytes(directory.to_bytes())));
    let mut absolute = true;
    let mut reason = Errno::ENOENT;
    for entry in path.split(|byte| *byte == b':').map(|entry| Path::new(OsStr::from_bytes(entry))) {
        absolute &= entry.is_absolute();
        let file = start.join(entry).join(name);
        match access(&file, AccessFlags::X_OK) {
            Ok(()) if file.is_file() => {
                // Absolute or as the child will see it: it changes its directory before it executes.
                let file = if entry.is_absolute() { file } else { entry.join(name) };
                let file =
                    CString::new(file.into_os_string().into_encoded_bytes()).map_err(|_| Errno::EINVAL)?;
                *last = absolute.then(|| Found {
                    program: program.to_owned(),
                    path: path.to_owned(),
                    file: file.clone(),
                });
                return Ok(file);
            }
            Err(Errno::EACCES) => reason = Errno::EACCES,
            Ok(()) | Err(_) => {}
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests;
