//! The keeper: the small process that the user started, parent of the engine and of everything the engine starts.
//!
//! `split` makes two processes of one. The engine goes on with its main; the keeper stays in a loop over two
//! descriptors: the engine's socket and its signals. It makes children when asked, is the only one who reaps, hands on
//! the signals that end a program, and when the engine is gone, however it went, kills and reaps all that is left before
//! it exits with the engine's code. It knows no task and no pool, has one thread, never blocks, and must not panic; if it
//! does, or is killed, the parent-death signal ends its children and the engine sees the end of the socket.
//!
//! Invariant: a pid in `Children` is not reaped, so it can be signalled by number.

mod children;
mod lanes;
mod launcher;
mod outbox;

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, getpid, getppid};

use self::children::Children;
use self::lanes::{Lanes, Waiting};
use self::launcher::Launcher;
use self::outbox::Outbox;
use super::event::{ExitStatus, KeeperEvent, SpawnFailure, SpawnStage, Ticket};
use super::kill::kill_descendants;
use super::procfs::{self, Process};
use super::protocol::{CHILD_FDS, INLINE, Order, Request};
use super::sys;

/// What `ps` shows, and how `leftover` knows a keeper.
pub(super) const NAME: &CStr = c"maniple-keeper";
/// The exit code when the engine was killed, or the keeper itself failed.
const INTERNAL_ERROR: i32 = 70;
/// How often what is being ended is swept again.
const SWEEP_EVERY: Duration = Duration::from_millis(20);
/// How long a killed process may stay in an uninterruptible system call before the keeper goes on without it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many requests are served before the keeper looks after signals and the dead again.
const REQUESTS_A_ROUND: usize = 16;
/// For how many milliseconds news that nobody waits for may wait for more: a short command's start goes with its end.
const QUIET_NEWS_MAY_WAIT: u8 = 2;
/// What the kernel adds to a child's badness when memory runs out, of 1000: it goes before the engine.
const OOM_SCORE: &[u8] = b"500";

/// The signals that the engine is told of instead of getting them.
const HANDED_ON: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
/// What the keeper does not block: its own faults, and what stops and continues a terminal's job.
const NOT_BLOCKED: [Signal; 11] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGABRT,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGCONT,
];

/// The engine's end of the connection; `Spawner::new` makes something useful of it.
#[derive(Debug)]
pub struct EngineEnd {
    pub(super) socket: OwnedFd,
    /// Who keeps this engine.
    pub keeper: Pid,
}

/// Makes keeper and engine of this process; returns in the engine alone. To be called first thing in `main`: it
/// refuses once a second thread runs.
///
/// From here on the signals that are handed on are ignored in the engine and arrive as `KeeperEvent::Signal`, each once
/// although a terminal sends them to both. One that the starter had set to be ignored (`nohup`) stays ignored.
pub fn split() -> io::Result<EngineEnd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (ours, engines) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    let mut heard: SigSet = HANDED_ON.into_iter().filter(|signal| !sys::is_ignored(*signal)).collect();
    heard.add(Signal::SIGCHLD);
    let mut blocked = SigSet::all();
    NOT_BLOCKED.into_iter().for_each(|signal| blocked.remove(signal));
    // Blocked before the fork, so that none is lost or counted twice around it.
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    match sys::fork_alone() {
        Err(error) => {
            before.thread_set_mask()?;
            Err(error)
        }
        Ok(ForkResult::Child) => {
            HANDED_ON.into_iter().try_for_each(sys::ignore)?;
            before.thread_set_mask()?;
            Ok(EngineEnd { socket: engines, keeper: getppid() })
        }
        Ok(ForkResult::Parent { child: engine }) => {
            drop(engines);
            let kept = catch_unwind(AssertUnwindSafe(|| Keeper::new(ours, engine, &heard)?.keep()));
            let code =
                kept.unwrap_or_else(|_| Err(io::Error::other("it panicked"))).unwrap_or_else(|error| {
                    complain(&format!("the keeper failed: {error}; everything is being ended"));
                    kill_descendants(getpid(), Some(engine));
                    INTERNAL_ERROR
                });
            sys::exit_now(code)
        }
    }
}

fn complain(what: &str) {
    // If even stderr is gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "maniple: {what}");
}

struct Keeper {
    socket: OwnedFd,
    signals: SignalFd,
    engine: Pid,
    /// How the engine ended, once it is reaped.
    engine_exit: Option<ExitStatus>,
    /// The engine's end of the socket is open.
    connected: bool,
    outbox: Outbox,
    launcher: Launcher,
    children: Children,
    lanes: Lanes,
    ending: Option<Ending>,
}

/// Everything is being ended, at the engine's request or because it is gone.
struct Ending {
    since: Instant,
    next_sweep: Instant,
    left: Vec<Pid>,
}

impl Keeper {
    /// Sheds what the keeper inherited: descriptors, dispositions, and its low descriptor numbers, which are taken by
    /// the null device so that a passed descriptor can never have the number that another one is to get in the child.
    fn new(socket: OwnedFd, engine: Pid, heard: &SigSet) -> io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        let _ = prctl::set_name(NAME);
        sys::reset_dispositions();
        let signals = SignalFd::with_flags(heard, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        sys::close_all_but(&[socket.as_fd(), signals.as_fd()])?;
        let socket = sys::lift(socket, CHILD_FDS)?;
        let launcher = Launcher::new(File::options().read(true).write(true).open("/dev/null")?.into())?;
        dup2_stdin(launcher.null())?;
        dup2_stdout(launcher.null())?;
        Ok(Self {
            socket,
            signals,
            engine,
            engine_exit: None,
            connected: true,
            outbox: Outbox::default(),
            launcher,
            children: Children::default(),
            lanes: Lanes::default(),
            ending: None,
        })
    }

    /// Until the engine and all else have ended; returns the exit code.
    fn keep(mut self) -> io::Result<i32> {
        loop {
            self.wait()?;
            self.hear_signals()?;
            self.reap();
            self.hear_engine();
            self.go_on_ending();
            if let (Some(exit), None) = (self.engine_exit, &self.ending) {
                return Ok(self.exit_code(exit));
            }
        }
    }

    /// Waits for something to do. News goes out before, unless it is quiet and something else happens soon.
    fn wait(&mut self) -> io::Result<()> {
        if self.outbox.is_urgent() {
            self.outbox.flush(self.socket.as_fd());
        }
        let quiet_news = !self.outbox.is_empty() && !self.outbox.is_urgent();
        let timeout = match &self.ending {
            Some(_) => PollTimeout::try_from(SWEEP_EVERY).expect("it is short"),
            None if quiet_news => PollTimeout::from(QUIET_NEWS_MAY_WAIT),
            None if self.children.is_unclear() => PollTimeout::try_from(SWEEP_EVERY).expect("it is short"),
            None => PollTimeout::NONE,
        };
        let mut interest = PollFlags::POLLIN;
        interest.set(PollFlags::POLLOUT, self.outbox.is_urgent());
        let signals = PollFd::new(self.signals.as_fd(), PollFlags::POLLIN);
        let engine = PollFd::new(self.socket.as_fd(), interest);
        let both = &mut [signals, engine];
        let watched = if self.connected { &mut both[..] } else { &mut both[..1] };
        match poll(watched, timeout) {
            Ok(0) => self.outbox.flush(self.socket.as_fd()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn hear_signals(&mut self) -> io::Result<()> {
        while let Some(info) = self.signals.read_signal()? {
            match Signal::try_from(info.ssi_signo.cast_signed()) {
                Ok(signal) if HANDED_ON.contains(&signal) && self.connected => {
                    self.outbox.push(&KeeperEvent::Signal(signal));
                }
                // SIGCHLD: the loop reaps anyway. The others: there is nobody left to hand them to.
                _ => {}
            }
        }
        Ok(())
    }

    fn reap(&mut self) {
        let mut has_reaped = false;
        while let Some(pid) = sys::ended_child() {
            has_reaped = true;
            let Some((status, usage)) = self.children.reap(pid) else { continue };
            if pid == self.engine {
                self.engine_exit = Some(ExitStatus::from_wait(status));
                self.lose_engine();
                // Once more, if it had hung up before: what it started by itself has only now become ours.
                self.end_all();
            } else if let Some((ticket, event)) = self.children.forget(pid, status, &usage) {
                let next = self.lanes.leave(ticket);
                // The engine need not hurry where more waits.
                if next.as_ref().is_some_and(|next| self.lanes.has_more(Ticket(next.order.ticket))) {
                    self.outbox.push_quietly(&event);
                } else {
                    self.outbox.push(&event);
                }
                next.into_iter().for_each(|next| self.spawn(next));
            }
        }
        if self.ending.is_none() {
            self.children.end_strays(self.engine, has_reaped, Instant::now());
        }
    }

    fn hear_engine(&mut self) {
        let mut buffer = [0; INLINE];
        for _ in 0..REQUESTS_A_ROUND {
            if !self.connected {
                return;
            }
            let mut fds = Vec::new();
            match sys::receive(self.socket.as_fd(), &mut buffer, &mut fds) {
                Ok(length) if length > 0 => match Request::read(&buffer[..length], &mut fds) {
                    Ok(request) => self.serve(request, fds),
                    Err(error) => {
                        complain(&format!("{error}; everything is being ended"));
                        self.lose_engine();
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.lose_engine(),
            }
        }
    }

    fn serve(&mut self, request: Request, fds: Vec<OwnedFd>) {
        match request {
            Request::BaseEnvironment(strings) => self.launcher.set_base_environment(strings),
            Request::Spawn(order) => {
                if let Some(order) = self.lanes.enter(Waiting { order, fds }) {
                    self.spawn(order);
                }
            }
            Request::Adopt { ticket, pid, started } => {
                self.adopt(Ticket(ticket), Process::new(Pid::from_raw(pid), started));
            }
            Request::Withdraw { ticket } => self.withdraw(Ticket(ticket)),
            Request::Kill { ticket, signal, group } => self.children.kill(Ticket(ticket), signal, group),
            Request::KillTree { ticket } => {
                self.withdraw(Ticket(ticket));
                self.children.kill_tree(Ticket(ticket));
            }
            Request::EndAll => self.end_all(),
        }
    }

    fn withdraw(&mut self, ticket: Ticket) {
        if let Some(waiting) = self.lanes.withdraw(ticket) {
            self.refuse(&waiting.order, SpawnStage::Withdrawn);
        }
    }

    /// Strays are ours already; this one gets a ticket, unless it has ended or everything is being ended.
    fn adopt(&mut self, ticket: Ticket, process: Process) {
        let pid = process.pid;
        if self.ending.is_none() && pid != self.engine && self.children.adopt(ticket, process) {
            self.outbox.push_quietly(&KeeperEvent::Spawned { ticket, pid });
        } else {
            self.fail(ticket, SpawnStage::Adoption, format!("process {pid}"));
        }
    }

    fn refuse(&mut self, order: &Order, stage: SpawnStage) {
        self.fail(Ticket(order.ticket), stage, order.program.to_string_lossy().into_owned());
    }

    fn fail(&mut self, ticket: Ticket, stage: SpawnStage, program: String) {
        let failure = SpawnFailure { stage, program, place: String::new(), errno: Errno::ECANCELED };
        self.outbox.push(&KeeperEvent::SpawnFailed { ticket, failure });
    }

    /// Makes a process, or the next one of its lane that can be made.
    fn spawn(&mut self, order: Waiting) {
        let mut next = Some(order);
        while let Some(Waiting { order, fds }) = next {
            let ticket = Ticket(order.ticket);
            if self.ending.is_some() {
                self.refuse(&order, SpawnStage::Ending);
            } else {
                match self.launcher.launch(&order, &fds) {
                    Ok(pid) => {
                        self.children.add(ticket, pid);
                        return self.outbox.push_quietly(&KeeperEvent::Spawned { ticket, pid });
                    }
                    Err(failure) => self.outbox.push(&KeeperEvent::SpawnFailed { ticket, failure }),
                }
            }
            next = self.lanes.leave(ticket);
        }
    }

    /// The engine is dead, or has closed its end: either way nobody wants the children any more.
    fn lose_engine(&mut self) {
        if self.connected {
            self.connected = false;
            self.end_all();
            self.outbox = Outbox::default();
        }
    }

    fn end_all(&mut self) {
        let now = Instant::now();
        self.ending = Some(Ending { since: now, next_sweep: now, left: Vec::new() });
        for waiting in self.lanes.clear() {
            self.refuse(&waiting.order, SpawnStage::Ending);
        }
    }

    /// Sweeps when it is time to, and finds out whether anybody is left. Whoever loses its parent becomes our child,
    /// so no descendant is left once there is no child.
    fn go_on_ending(&mut self) {
        let Some(mut ending) = self.ending.take() else { return };
        let (me, now) = (getpid(), Instant::now());
        let spare = self.engine_exit.is_none().then_some(self.engine);
        if now >= ending.next_sweep {
            kill_descendants(me, spare);
            ending.next_sweep = now + SWEEP_EVERY;
            self.reap();
        }
        ending.left = procfs::children(me).into_iter().filter(|pid| Some(*pid) != spare).collect();
        if !ending.left.is_empty() && now < ending.since + PATIENCE {
            self.ending = Some(ending);
            return;
        }
        if self.connected {
            let left = u32::try_from(ending.left.len()).unwrap_or(u32::MAX);
            self.outbox.push(&KeeperEvent::AllEnded { left });
        } else if !ending.left.is_empty() {
            complain(&format!("could not end the processes {:?}; see what they wait for", ending.left));
        }
    }

    fn exit_code(&self, exit: ExitStatus) -> i32 {
        match exit {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal { .. } => {
                let engine = self.engine;
                complain(&format!(
                    "the engine (pid {engine}) was killed by {exit}; all that it had started is ended"
                ));
                INTERNAL_ERROR
            }
        }
    }
}
