//! What our processes are started with: program, arguments, environment, descriptors.
//!
//! It waits for nothing: the keeper says later whether there is a process. A Python child executes the texts of
//! [`LOADER`] and `child.py`, which this binary carries, from a memory file. A template has `template.py` between them,
//! and what it forks are children that have the same descriptors.

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

use bytes::BytesMut;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};
use shared::{
    codec::{Limits as FrameLimits, encode_head},
    id::{JobId, Slot},
    job::{CommandSpec, FunctionSpec},
    wire::child::ToTemplate,
};

use crate::{
    config::Keeping,
    core::command::{Template, TemplateError},
    process::{
        attended::{Attended, kill_marked},
        beacon::Beacon,
        event::Ticket,
        output::{Limits, OutputPipe},
        owner::{self, JOB, OWNER, Owner},
        pass::pass,
        procfs::Process,
        spawner::{Passed, RequestError, SpawnRequest, Spawner},
    },
};

/// What a child's program begins with.
const LOADER: [&str; 7] = [
    include_str!("../../python/src/maniple/codec.py"),
    include_str!("../../python/src/maniple/shape.py"),
    include_str!("../../python/src/maniple/objects.py"),
    include_str!("../../python/src/maniple/control.py"),
    include_str!("../../python/src/maniple/story.py"),
    include_str!("../../python/src/maniple/streams.py"),
    include_str!("../../python/src/maniple/loading.py"),
];
const TEMPLATE: &str = include_str!("../../python/src/maniple/template.py");
const CHILD: &str = include_str!("../../python/src/maniple/child.py");

/// The descriptors of a child: its socket, its beacon, its program.
const CONTROL: i32 = 3;
const BEACON: i32 = 4;
const TEXT: i32 = 5;

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
    /// Of a copy of a template: by which what it starts is known as its own, once it is taken over.
    pub mark: Option<String>,
    /// Of a command that is attended to: all that it starts.
    pub attended: Option<Attended>,
}

/// Our ends of what a child is given.
pub struct Ends {
    socket: UnixStream,
    beacon: Arc<Beacon>,
    stdout: OutputPipe,
    stderr: OutputPipe,
}

impl Ends {
    /// With the child's: its socket, its beacon, its two streams.
    fn new() -> io::Result<(Ends, [OwnedFd; 4])> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let (beacon, page) = Beacon::new()?;
        let ((stdout, out), (stderr, err)) =
            (OutputPipe::new(Limits::default())?, OutputPipe::new(Limits::default())?);
        let ends = Ends { socket, beacon: Arc::new(beacon), stdout, stderr };
        Ok((ends, [theirs.into(), page, out, err]))
    }

    fn launched(self, ticket: Ticket) -> Launched {
        let Ends { socket, beacon, stdout, stderr } = self;
        Launched { ticket, stdout, stderr, child: Some((socket, beacon)), mark: None, attended: None }
    }
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

impl LaunchError {
    /// Whether a template has closed its socket.
    #[must_use]
    pub fn is_hung_up(&self) -> bool {
        matches!(self, LaunchError::Prepare(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Starts processes for one node.
pub struct Launcher {
    spawner: Spawner,
    text: OwnedFd,
    template: OwnedFd,
    python: Option<PathBuf>,
    owner: Option<Owner>,
}

impl Launcher {
    /// Lays the programs of children and templates into memory.
    pub fn new(keeping: &Keeping, python: Option<PathBuf>) -> io::Result<Launcher> {
        let text = program("maniple-child", &[&LOADER[..], &[CHILD]].concat())?;
        let template = program("maniple-template", &[&LOADER[..], &[TEMPLATE, CHILD]].concat())?;
        // Unbuffered output would cost a child a system call per write; it flushes when it matters.
        let environment = env::vars_os().filter(|(name, _)| name != "PYTHONUNBUFFERED");
        let (spawner, owner) = (keeping.spawner.clone(), keeping.owner);
        spawner.set_base_environment(environment).map_err(io::Error::other)?;
        Ok(Launcher { spawner, text, template, python, owner })
    }

    /// Starts a child for a job's function.
    pub fn child(&self, job: JobId, function: &FunctionSpec) -> Result<Launched, LaunchError> {
        let (ends, theirs) = Ends::new()?;
        let numbers = [CONTROL, BEACON, 1, 2];
        let passed = theirs.into_iter().zip(numbers).map(|(fd, number)| Passed { fd, number });
        let text = Passed { fd: self.text.try_clone()?, number: TEXT };
        let request = self.python(job, function, &[CONTROL, BEACON]);
        let ticket = self.spawner.spawn(&request, passed.chain([text]).collect())?;
        Ok(ends.launched(ticket))
    }

    /// Starts a template for a job's children; our end of its socket. What it writes nobody reads.
    pub fn template(&self, job: JobId, function: &FunctionSpec) -> Result<(Ticket, UnixStream), LaunchError> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let passed = vec![
            Passed { fd: theirs.into(), number: CONTROL },
            Passed { fd: self.template.try_clone()?, number: TEXT },
        ];
        let ticket = self.spawner.spawn(&self.python(job, function, &[CONTROL]), passed)?;
        Ok((ticket, ours))
    }

    /// Takes over a child that a template has forked.
    pub fn adopt(&self, ends: Ends, process: Process) -> Result<Launched, LaunchError> {
        let ticket = self.spawner.adopt(process)?;
        let mark = Some(owner::value(self.spawner.keeper(), ticket));
        Ok(Launched { mark, ..ends.launched(ticket) })
    }

    /// The interpreter with one of our programs, which is told the numbers of descriptors.
    fn python(&self, job: JobId, function: &FunctionSpec, numbers: &[i32]) -> SpawnRequest {
        let named = function.python.as_ref().map(PathBuf::from);
        let python = named.or_else(|| self.python.clone()).unwrap_or_else(interpreter);
        let text = OsString::from(format!("/proc/self/fd/{TEXT}"));
        let numbers = numbers.iter().map(|number| number.to_string().into());
        let mut environment = self.marks(job);
        let unset = THREADS.into_iter().filter(|name| env::var_os(name).is_none());
        environment.extend(unset.map(|name| (name.into(), "1".into())));
        SpawnRequest {
            program: python.into(),
            arguments: [text].into_iter().chain(numbers).collect(),
            environment,
            directory: None,
            lane: None,
            leaves_strays: false,
        }
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
        let Some(files) = &command.attended else { return self.spawn(&request, Vec::new()) };
        let passed = vec![written(&files.stdout, 1)?, written(&files.stderr, 2)?];
        let launched = self.spawn(&request, passed)?;
        Ok(Launched { attended: Some(Attended::new(format!("{JOB}={job}"))), ..launched })
    }

    fn environment(&self, job: JobId, command: &CommandSpec) -> Vec<(OsString, OsString)> {
        let own = command.env.iter().map(|(name, value)| (name.into(), value.into()));
        own.chain(self.marks(job)).collect()
    }

    /// By these, what outlives its keeper or its run is recognised as ours.
    fn marks(&self, job: JobId) -> Vec<(OsString, OsString)> {
        let mark = |name: &str, value: String| (OsString::from(name), OsString::from(value));
        let owner = self.owner.map(|owner| mark(OWNER, owner.to_string()));
        [mark(JOB, job.to_string())].into_iter().chain(owner).collect()
    }

    fn spawn(&self, request: &SpawnRequest, mut passed: Vec<Passed>) -> Result<Launched, LaunchError> {
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
        Ok(Launched { ticket, stdout, stderr, child: None, mark: None, attended: None })
    }
}

/// Asks a template for a child; our ends of it.
pub fn fork(template: &UnixStream, number: u64) -> Result<Ends, LaunchError> {
    let (ends, theirs) = Ends::new()?;
    let mut frame = BytesMut::new();
    encode_head(&ToTemplate::Fork { number }, 0, FrameLimits::LOCAL, &mut frame).map_err(io::Error::other)?;
    // Nothing else is under way to it, so there is room for all of it.
    pass(template, &frame, &theirs).map_err(io::Error::from)?;
    Ok(ends)
}

/// A memory file with a text.
fn program(name: &str, parts: &[&str]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?);
    parts.iter().try_for_each(|part| file.write_all(part.as_bytes()))?;
    Ok(file.into())
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
pub fn end_strays(owner: &Owner) {
    kill_marked(&format!("{OWNER}={owner}"));
}

/// The interpreter where nobody named one: of the active virtual environment, of the one that this program is
/// installed in, or the first on the PATH.
fn interpreter() -> PathBuf {
    let active = env::var_os("VIRTUAL_ENV").map(|home| Path::new(&home).join("bin/python"));
    let ours = env::current_exe().ok().and_then(|program| Some(program.parent()?.join("python")));
    let existing = active.into_iter().chain(ours).find(|python| python.is_file());
    existing.unwrap_or_else(|| PathBuf::from("python3"))
}
