//! What our processes are started with: program, arguments, environment, descriptors.
//!
//! It waits for nothing: the keeper says later whether there is a process. A Python child executes the text of
//! `codec.py`, `shape.py`, `objects.py`, `control.py`, `loading.py` and `child.py`, which this binary carries, from a
//! memory file.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStringExt, fs::OpenOptionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};
use shared::{
    id::{JobId, Slot, WorkerId},
    job::{CommandSpec, FunctionSpec},
};

use crate::{
    core::command::{Template, TemplateError},
    process::{
        attended::{Attended, kill_marked},
        beacon::Beacon,
        event::Ticket,
        output::{Limits, OutputPipe},
        owner::{JOB, OWNER, Owner},
        spawner::{Passed, RequestError, SpawnRequest, Spawner},
    },
};

/// What a child executes.
const PROGRAM: [&str; 6] = [
    include_str!("../../python/src/maniple/codec.py"),
    include_str!("../../python/src/maniple/shape.py"),
    include_str!("../../python/src/maniple/objects.py"),
    include_str!("../../python/src/maniple/control.py"),
    include_str!("../../python/src/maniple/loading.py"),
    include_str!("../../python/src/maniple/child.py"),
];

/// The descriptors of a child: its socket, its beacon, its program.
const CONTROL: i32 = 3;
const BEACON: i32 = 4;
const TEXT: i32 = 5;

/// In the environment of all that a node has started.
const NODE: &str = "MANIPLE_NODE";

/// One thread per process unless the user says otherwise: there is a process per core already.
const THREADS: [&str; 5] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
];

/// A process that the keeper was asked for.
pub struct Launched {
    /// Its name.
    pub ticket: Ticket,
    /// What it writes.
    pub stdout: OutputPipe,
    /// What it writes.
    pub stderr: OutputPipe,
    /// Of a child: our end of its socket, and its beacon.
    pub child: Option<(UnixStream, Arc<Beacon>)>,
    /// Of a command that is attended to: all that it starts.
    pub attended: Option<Attended>,
}

/// Why the keeper could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A resource of our own is missing.
    #[error("failed to prepare a process: {0}; raise the limit of open files, or use fewer processes")]
    Prepare(#[from] io::Error),
    /// The keeper does not take it.
    #[error("failed to ask for a process: {0}")]
    Request(#[from] RequestError),
    /// The task does not fit the command.
    #[error("{0}")]
    Template(#[from] TemplateError),
}

/// Starts processes for one node.
pub struct Launcher {
    spawner: Spawner,
    text: OwnedFd,
    python: Option<PathBuf>,
    node: WorkerId,
    owner: Option<Owner>,
}

impl Launcher {
    /// Lays the child's program into memory.
    pub fn new(spawner: Spawner, python: Option<PathBuf>, node: WorkerId) -> io::Result<Launcher> {
        let text = memfd_create("maniple-child", MFdFlags::MFD_CLOEXEC)?;
        let mut file = File::from(text);
        PROGRAM.iter().try_for_each(|part| file.write_all(part.as_bytes()))?;
        // Unbuffered output would cost a child a system call per write; it flushes when it matters.
        let environment = env::vars_os().filter(|(name, _)| name != "PYTHONUNBUFFERED");
        spawner.set_base_environment(environment).map_err(io::Error::other)?;
        let owner = Owner::here(spawner.keeper());
        Ok(Launcher { spawner, text: file.into(), python, node, owner })
    }

    /// Starts a child for a job's function.
    pub fn child(&self, job: JobId, function: &FunctionSpec) -> Result<Launched, LaunchError> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (beacon, page) = Beacon::new()?;
        let named = function.python.as_ref().map(PathBuf::from);
        let python = named.or_else(|| self.python.clone()).unwrap_or_else(interpreter);
        let arguments = [format!("/proc/self/fd/{TEXT}"), CONTROL.to_string(), BEACON.to_string()];
        let mut environment = self.marks(job);
        let unset = THREADS.into_iter().filter(|name| env::var_os(name).is_none());
        environment.extend(unset.map(|name| (name.into(), "1".into())));
        let request = SpawnRequest {
            program: python.into(),
            arguments: arguments.into_iter().map(OsString::from).collect(),
            environment,
            directory: None,
            lane: None,
            leaves_strays: false,
        };
        let passed = vec![
            Passed { fd: theirs.into(), number: CONTROL },
            Passed { fd: page, number: BEACON },
            Passed { fd: self.text.try_clone()?, number: TEXT },
        ];
        self.spawn(&request, passed, Some((ours, Arc::new(beacon))))
    }

    /// Starts a command for one task, as soon as those before it in this slot are gone.
    pub fn command(
        &self,
        slot: Slot,
        job: JobId,
        command: &CommandSpec,
        template: &Template,
        key: &[u8],
    ) -> Result<Launched, LaunchError> {
        let mut arguments = template.expand(key)?.into_iter().map(OsString::from_vec);
        let request = SpawnRequest {
            program: arguments.next().unwrap_or_default(),
            arguments: arguments.collect(),
            environment: self.environment(job, command),
            directory: Some(PathBuf::from(&command.cwd)),
            lane: Some(slot.0),
            // Who attends to it says when that is to end, too.
            leaves_strays: command.attended.is_some(),
        };
        let Some(files) = &command.attended else { return self.spawn(&request, Vec::new(), None) };
        let passed = vec![written(&files.stdout, 1)?, written(&files.stderr, 2)?];
        let launched = self.spawn(&request, passed, None)?;
        Ok(Launched { attended: Some(Attended::new(format!("{JOB}={job}"))), ..launched })
    }

    fn environment(&self, job: JobId, command: &CommandSpec) -> Vec<(OsString, OsString)> {
        let own = command.env.iter().map(|(name, value)| (name.into(), value.into()));
        own.chain(self.marks(job)).collect()
    }

    /// By these, leftovers are recognised as ours.
    fn marks(&self, job: JobId) -> Vec<(OsString, OsString)> {
        let mark = |name: &str, value: String| (OsString::from(name), OsString::from(value));
        let owner = self.owner.map(|owner| mark(OWNER, owner.to_string()));
        [mark(JOB, job.to_string()), mark(NODE, self.node.to_string())].into_iter().chain(owner).collect()
    }

    fn spawn(
        &self,
        request: &SpawnRequest,
        mut passed: Vec<Passed>,
        child: Option<(UnixStream, Arc<Beacon>)>,
    ) -> Result<Launched, LaunchError> {
        let mut output = |number| -> io::Result<OutputPipe> {
            let (pipe, fd) = OutputPipe::new(Limits::default())?;
            // Where it writes to something else, nobody writes to this.
            if passed.iter().all(|passed: &Passed| passed.number != number) {
                passed.push(Passed { fd, number });
            }
            Ok(pipe)
        };
        let (stdout, stderr) = (output(1)?, output(2)?);
        let ticket = self.spawner.spawn(request, passed)?;
        Ok(Launched { ticket, stdout, stderr, child, attended: None })
    }
}

/// A file or pipe that is there, for a child to write to. It is opened without waiting for a reader.
fn written(path: &str, number: i32) -> io::Result<Passed> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
    let file =
        File::options().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).map_err(named)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(Passed { fd: file.into(), number })
}

/// Without the keeper nobody is there to end what children and commands have started.
pub fn end_strays(node: WorkerId) {
    kill_marked(&format!("{NODE}={node}"));
}

/// The interpreter where nobody named one: of the active virtual environment, of the one that this program is
/// installed in, or the first on the PATH.
fn interpreter() -> PathBuf {
    let active = env::var_os("VIRTUAL_ENV").map(|home| Path::new(&home).join("bin/python"));
    let ours = env::current_exe().ok().and_then(|program| Some(program.parent()?.join("python")));
    let existing = active.into_iter().chain(ours).find(|python| python.is_file());
    existing.unwrap_or_else(|| PathBuf::from("python3"))
}
