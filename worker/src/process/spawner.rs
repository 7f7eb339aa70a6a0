//! The engine's side of the keeper: a cheap handle that asks, and a stream of what happened.
//!
//! A request goes straight to the socket; only if that is full it waits in a queue, so no caller ever blocks. Whoever
//! owns `KeeperEvents` drives both directions by awaiting `next`; there is no task and no channel in between. Dropping
//! all handles closes the socket, which the keeper takes as the end of the engine: it ends everything.

use std::collections::{HashSet, VecDeque};
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, recv};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::event::{KeeperEvent, Ticket};
use super::keeper::EngineEnd;
use super::pass::pass;
use super::procfs::Process;
use super::protocol::{CHILD_FDS, ContainsNul, INLINE, Order, Request, Strings, decode_events};
use super::{owner, sys};

/// How many requests may wait for a keeper that does not read; a node has far fewer slots.
const QUEUE_LIMIT: usize = 4096;

/// A program to start. Its environment is the base environment with `environment` laid over it.
#[derive(Clone, Debug, Default)]
pub struct SpawnRequest {
    /// A path, or a name to be looked for on the child's PATH.
    pub program: OsString,
    /// Without the program itself.
    pub arguments: Vec<OsString>,
    pub environment: Vec<(OsString, OsString)>,
    pub directory: Option<PathBuf>,
    /// It starts when all that was asked for in the same lane before is gone. Without one it starts at once.
    pub lane: Option<u16>,
    /// Whether what it has started in sessions of their own may outlive it; else it ends with it, by its environment.
    pub leaves_strays: bool,
}

/// A descriptor that the child gets under this number. Streams 0 to 2 that get none are the null device.
#[derive(Debug)]
pub struct Passed {
    pub fd: OwnedFd,
    pub number: RawFd,
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("the keeper is gone; the node has to end")]
    KeeperLost,
    #[error("{QUEUE_LIMIT} requests wait for the keeper already; try again when some have been answered")]
    QueueFull,
    #[error("descriptor number {0} cannot be passed; use different numbers from 0 to {last}", last = CHILD_FDS - 1)]
    DescriptorNumber(RawFd),
    #[error(transparent)]
    Nul(#[from] ContainsNul),
    #[error("no memory file for a long command: {0}")]
    MemoryFile(#[source] io::Error),
}

/// Asks the keeper. Clones are the same handle.
#[derive(Clone, Debug)]
pub struct Spawner(Arc<Link>);

/// Yields what the keeper says, in order.
#[derive(Debug)]
pub struct KeeperEvents {
    link: Arc<Link>,
    ready: VecDeque<KeeperEvent>,
    lost: bool,
}

#[derive(Debug)]
struct Link {
    socket: AsyncFd<Arc<OwnedFd>>,
    /// The same socket, watched for room only while something waits for it: otherwise each message that the keeper
    /// reads would wake us.
    outgoing: Arc<OwnedFd>,
    queue: Mutex<VecDeque<Message>>,
    queued: Notify,
    last_ticket: AtomicU64,
    keeper: Pid,
}

#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Spawner {
    /// Needs a tokio runtime with I/O to be entered.
    pub fn new(end: EngineEnd) -> io::Result<(Self, KeeperEvents)> {
        let outgoing = Arc::new(end.socket.try_clone()?);
        let link = Arc::new(Link {
            socket: sys::watch(Arc::new(end.socket), Interest::READABLE)?,
            outgoing,
            queue: Mutex::default(),
            queued: Notify::new(),
            last_ticket: AtomicU64::new(0),
            keeper: end.keeper,
        });
        let events = KeeperEvents { link: Arc::clone(&link), ready: VecDeque::new(), lost: false };
        Ok((Self(link), events))
    }

    /// Who makes the processes.
    pub fn keeper(&self) -> Pid {
        self.0.keeper
    }

    /// What every child's environment is from now on; until then it is the one that this program was started with.
    pub fn set_base_environment(
        &self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), RequestError> {
        self.0.request(&Request::BaseEnvironment(strings(environment)?), Vec::new())
    }

    /// Starts a process in a session of its own. The ticket names it in the events that follow.
    pub fn spawn(&self, request: &SpawnRequest, passed: Vec<Passed>) -> Result<Ticket, RequestError> {
        let ticket = self.0.ticket();
        let mut taken = HashSet::new();
        let (program, lane) = (c_string(&request.program)?, request.lane);
        let mut order = Order { ticket: ticket.0, lane, program, ..Order::default() };
        let mut fds = Vec::with_capacity(passed.len());
        for Passed { fd, number } in passed {
            if !(0..CHILD_FDS).contains(&number) || !taken.insert(number) {
                return Err(RequestError::DescriptorNumber(number));
            }
            order.targets.push(number as u8);
            fds.push(fd);
        }
        order.arguments.push(&[&request.program])?;
        for argument in &request.arguments {
            order.arguments.push(&[argument])?;
        }
        order.extra_environment = strings(request.environment.iter().cloned())?;
        if !request.leaves_strays {
            order.extra_environment.push(&[OsStr::new(&owner::entry(self.0.keeper, ticket))])?;
        }
        order.directory = request.directory.as_ref().map(|path| c_string(path.as_os_str())).transpose()?;
        self.0.request(&Request::Spawn(order), fds)?;
        Ok(ticket)
    }

    /// Takes over a process that one of the children has forked, and whose parent is gone, so that the keeper is its
    /// parent now. `SpawnFailed` answers if that is not so, or not any more.
    pub fn adopt(&self, process: Process) -> Result<Ticket, RequestError> {
        let (ticket, pid, started) = (self.0.ticket(), process.pid.as_raw(), process.started());
        self.0.request(&Request::Adopt { ticket: ticket.0, pid, started }, Vec::new())?;
        Ok(ticket)
    }

    /// Takes back a process that waits in its lane: then `SpawnFailed` answers. One that has begun goes on.
    pub fn withdraw(&self, ticket: Ticket) -> Result<(), RequestError> {
        self.0.request(&Request::Withdraw { ticket: ticket.0 }, Vec::new())
    }

    /// Sends a signal to a child, or to its whole process group. One that has ended is no error.
    pub fn kill(&self, ticket: Ticket, signal: Signal, group: bool) -> Result<(), RequestError> {
        self.0.request(&Request::Kill { ticket: ticket.0, signal, group }, Vec::new())
    }

    /// Kills a child and all its descendants, also those that have made sessions of their own. What waits in its lane
    /// is taken back.
    pub fn kill_tree(&self, ticket: Ticket) -> Result<(), RequestError> {
        self.0.request(&Request::KillTree { ticket: ticket.0 }, Vec::new())
    }

    /// Kills all that was ever started, strays included; `AllEnded` answers when nothing is left. Until then spawning
    /// fails.
    pub fn end_all(&self) -> Result<(), RequestError> {
        self.0.request(&Request::EndAll, Vec::new())
    }
}

impl KeeperEvents {
    /// The next event; `None` after `Lost`. May be dropped at any await without losing one.
    pub async fn next(&mut self) -> Option<KeeperEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.lost {
                return None;
            }
            let link = Arc::clone(&self.link);
            let waiting = link.flush();
            tokio::select! {
                readable = link.socket.readable() => {
                    let received = readable.map(|mut guard| guard.try_io(|socket| self.receive(socket.get_ref())));
                    if let Err(_) | Ok(Ok(Err(_))) = received {
                        self.lost = true;
                        self.ready.push_back(KeeperEvent::Lost);
                    }
                }
                room = link.room(), if waiting => {
                    if room.is_err() {
                        self.lost = true;
                        self.ready.push_back(KeeperEvent::Lost);
                    }
                }
                () = link.queued.notified(), if !waiting => {}
            }
        }
    }

    fn receive(&mut self, socket: &OwnedFd) -> io::Result<()> {
        let mut buffer = [0; INLINE];
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => decode_events(&buffer[..length], &mut self.ready),
        }
    }
}

impl Link {
    fn ticket(&self) -> Ticket {
        Ticket(self.last_ticket.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn request(&self, request: &Request, mut fds: Vec<OwnedFd>) -> Result<(), RequestError> {
        let mut bytes = request.encode();
        if bytes.len() > INLINE {
            fds.insert(0, memory_file(&bytes).map_err(RequestError::MemoryFile)?);
            bytes = Request::IN_FILE.to_vec();
        }
        let message = Message { bytes, fds };
        let mut queue = self.queue();
        if queue.is_empty() {
            match self.send(&message) {
                Ok(()) => return Ok(()),
                Err(errno) if must_wait(errno) => {}
                Err(_) => return Err(RequestError::KeeperLost),
            }
        }
        // What ends processes is always taken: there is at most one such wish for each that runs.
        if queue.len() >= QUEUE_LIMIT
            && matches!(request, Request::Spawn(_) | Request::Adopt { .. } | Request::BaseEnvironment(_))
        {
            return Err(RequestError::QueueFull);
        }
        queue.push_back(message);
        self.queued.notify_one();
        Ok(())
    }

    /// Sends what waits; says whether some of it still does. A lost keeper shows on the reading side.
    fn flush(&self) -> bool {
        let mut queue = self.queue();
        while let Some(message) = queue.front() {
            match self.send(message) {
                Err(errno) if must_wait(errno) => return true,
                Ok(()) | Err(_) => queue.pop_front(),
            };
        }
        false
    }

    /// Waits until the socket takes more.
    async fn room(&self) -> io::Result<()> {
        let outgoing = sys::watch(Arc::clone(&self.outgoing), Interest::WRITABLE)?;
        outgoing.writable().await.map(drop)
    }

    fn send(&self, message: &Message) -> Result<(), Errno> {
        pass(&self.outgoing, &message.bytes, &message.fds).map(drop)
    }

    /// Every change of the queue is one call, so a panic elsewhere leaves it whole.
    fn queue(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The socket is full, or too many descriptors are under way; both pass when the keeper reads.
fn must_wait(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS | Errno::ETOOMANYREFS)
}

fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("maniple-request", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file.into())
}

fn c_string(text: &OsStr) -> Result<CString, ContainsNul> {
    let mut strings = Strings::default();
    strings.push(&[text])?;
    Ok(strings.iter().next().map(Into::into).unwrap_or_default())
}

fn strings(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Strings, ContainsNul> {
    let mut strings = Strings::default();
    for (name, value) in environment {
        strings.push(&[&name, OsStr::new("="), &value])?;
    }
    Ok(strings)
}
