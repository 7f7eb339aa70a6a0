//! The system calls that neither the standard library nor nix offers safely, each behind a safe function.
//!
//! This is the only file of the project with `unsafe`. It decides nothing: it knows no ticket, no protocol and no
//! policy. A function here is safe to call in any order unless its doc says otherwise; the two that are meant for the
//! newborn keeper alone (`close_all_but`, `reset_dispositions`) break no memory safety but would break any other program.
#![expect(
    unsafe_code,
    reason = "fork, clone, wait4 and shared memory have no safe interface; see each block"
)]

use std::ffi::CStr;
use std::io::{self, IoSliceMut};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::{ForkResult, Pid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Forks a process that has one thread; refuses in any other.
pub(super) fn fork_alone() -> io::Result<ForkResult> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!(
            "{threads} threads run already; split before the first is started"
        )));
    }
    // SAFETY: the only thread of the process forks, so no lock or allocator state can be torn in the child.
    unsafe { nix::unistd::fork() }.map_err(io::Error::from)
}

/// Ends the process at once: no exit handlers, no flushing of buffers that the forked copy holds too.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes an integer and does not return.
    unsafe { libc::_exit(code) }
}

/// Has pieces of memory that are this large returned to the system as soon as they are freed, and no more than this kept
/// of the rest.
#[cfg(target_env = "gnu")]
pub(super) fn keep_of_freed_memory(bytes: i32) {
    // SAFETY: `mallopt` takes two integers; one that it does not like changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, bytes);
        libc::mallopt(libc::M_TRIM_THRESHOLD, bytes);
    }
}

/// Only glibc keeps that much.
#[cfg(not(target_env = "gnu"))]
pub(super) fn keep_of_freed_memory(_: i32) {}

/// Whether the process was started with this signal ignored (`nohup`, a shell's background job).
pub(super) fn is_ignored(signal: Signal) -> bool {
    // SAFETY: an all-zero sigaction is a valid value; a null new action only asks for the old one.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal as i32, ptr::null(), &raw mut old) == 0 && old.sa_sigaction == libc::SIG_IGN
    }
}

/// Makes the process ignore a signal; a pending one is discarded.
pub(super) fn ignore(signal: Signal) -> io::Result<()> {
    // SAFETY: no handler function is installed.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) }?;
    Ok(())
}

/// Gives every signal its default disposition, real-time ones included, so that spawned programs inherit just that.
pub(super) fn reset_dispositions() {
    // All zero is the default disposition in the kernel's own layout of every architecture; libc's function would leave
    // out the two signals that it reserves for its threads, and those can be inherited as ignored, too.
    let default = [0_u64; 8];
    for number in 1..=libc::SIGRTMAX() {
        let (old, set_size) = (ptr::null::<u64>(), 8);
        // SAFETY: no handler is installed; the kernel reads less than `default` holds and refuses what cannot change.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), old, set_size) };
    }
}

/// Moves a descriptor to the lowest free number that is not below `floor`.
pub(super) fn lift(fd: OwnedFd, floor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the duplicate is new and owned by nobody else.
    let raw = Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, floor) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Closes every descriptor above 2 that is not in `keep`; only for a newborn process whose other owners are gone.
pub(super) fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2 && keep.iter().all(|kept| kept.as_raw_fd() != *fd))
        .collect();
    for fd in open {
        // SAFETY: plain integers; the number of the directory stream itself is closed already and merely fails.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Receives one message and the descriptors that came with it. `Ok(0)` means that the other end is gone.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = nix::cmsg_space!([RawFd; super::protocol::MAX_PASSED]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT,
    )?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: the kernel has just made these descriptors for us.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        return Err(io::Error::other("a message between engine and keeper was cut"));
    }
    Ok(message.bytes)
}

/// A child of this process that has ended and is not reaped yet.
pub(super) fn ended_child() -> Option<Pid> {
    // SAFETY: an all-zero siginfo is a valid value and the call writes at most one.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let found = libc::waitid(libc::P_ALL, 0, &raw mut info, flags) == 0 && info.si_pid() != 0;
        found.then(|| Pid::from_raw(info.si_pid()))
    }
}

/// Reaps a child that has ended: its raw wait status and what it used.
pub(super) fn reap(pid: Pid) -> Option<(i32, libc::rusage)> {
    // SAFETY: an all-zero rusage is a valid value; both pointers live through the call.
    unsafe {
        let mut status = 0;
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid.as_raw(), &raw mut status, libc::WNOHANG, &raw mut usage) > 0)
            .then_some((status, usage))
    }
}

/// A descriptor that goes on meaning this very process after its number is used again.
pub(super) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: integers only; the descriptor is new and owned by nobody else.
    let raw = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    let raw = RawFd::try_from(raw).map_err(io::Error::other)?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sends a signal to the process behind a pidfd.
pub(super) fn pidfd_signal(pidfd: &OwnedFd, signal: Signal) -> io::Result<()> {
    let (call, none) = (libc::SYS_pidfd_send_signal, ptr::null::<libc::siginfo_t>());
    // SAFETY: a null siginfo means "as kill(2) would send it".
    Errno::result(unsafe { libc::syscall(call, pidfd.as_raw_fd(), signal as i32, none, 0) })?;
    Ok(())
}

/// Lets the entered tokio runtime watch a descriptor.
pub(super) fn watch(fd: Arc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: an `OwnedFd` is open, always the same, and here shared but never given away, while it is watched.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// A null-terminated array of C strings for `execve`, valid as long as the strings are borrowed.
pub(super) struct Pointers<'a> {
    array: Vec<*const libc::c_char>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> FromIterator<&'a CStr> for Pointers<'a> {
    fn from_iter<I: IntoIterator<Item = &'a CStr>>(strings: I) -> Self {
        let end = std::iter::once(ptr::null());
        Self { array: strings.into_iter().map(CStr::as_ptr).chain(end).collect(), strings: PhantomData }
    }
}

/// What a new process is to be. `descriptors` are (ours, the child's), no source being any pair's target.
pub(super) struct Plan<'a> {
    pub program: &'a CStr,
    pub arguments: &'a Pointers<'a>,
    pub environment: &'a Pointers<'a>,
    pub directory: Option<&'a CStr>,
    pub descriptors: &'a [(RawFd, RawFd)],
    /// Everything from this number on is closed in the child.
    pub close_from: RawFd,
    /// What `oom_score_adj` the child gets, as text.
    pub oom_score: &'static [u8],
}

/// Where making a process failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Clone,
    Session,
    DeathSignal,
    Directory,
    Descriptors,
    Execute,
}

/// The child's stack between clone and exec.
pub(super) struct Stack(Vec<u128>);

impl Stack {
    pub(super) fn new() -> Self {
        Self(vec![0; 64 * 1024 / size_of::<u128>()])
    }
}

/// What crosses between parent and child, which share memory until the child executes or ends.
struct Birth<'a> {
    plan: &'a Plan<'a>,
    parent: libc::pid_t,
    failed: Option<(Step, i32)>,
}

/// Makes a process as `plan` says. Only for a process with one thread, all signals blocked and no signal handlers,
/// which is what the keeper is: the child starts with its mask and runs on its memory.
pub(super) fn spawn(plan: &Plan<'_>, stack: &mut Stack) -> Result<Pid, (Step, Errno)> {
    let mut birth = Birth { plan, parent: std::process::id() as libc::pid_t, failed: None };
    let shared = &raw mut birth;
    // SAFETY: CLONE_VFORK suspends this thread, the only one, until the child has executed another program or ended;
    // so `birth`, `plan` and `stack` outlive their use there and are never used from both sides at once. The stack's
    // top is the end of a live allocation of 16-byte elements, hence aligned for both architectures.
    let pid = unsafe {
        let top = stack.0.as_mut_ptr_range().end.cast();
        libc::clone(run_child, top, libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD, shared.cast())
    };
    if pid < 0 {
        return Err((Step::Clone, Errno::last()));
    }
    // SAFETY: the child is done with it; it wrote behind the compiler's back, hence volatile.
    match unsafe { ptr::read_volatile(&raw const (*shared).failed) } {
        None => Ok(Pid::from_raw(pid)),
        Some((step, errno)) => {
            // SAFETY: reaps the child that has just failed; nothing is written.
            unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
            Err((step, Errno::from_raw(errno)))
        }
    }
}

/// The child between clone and exec: system calls only, no allocation, no unwinding.
extern "C" fn run_child(birth: *mut libc::c_void) -> libc::c_int {
    let birth: *mut Birth<'_> = birth.cast();
    // SAFETY: see `spawn`: the pointer is to its live local, and `spawn` does not run meanwhile. Every pointer that is
    // passed on comes from a live `CStr` or `Pointers` of the plan; the signal set is initialised before its use.
    unsafe {
        let plan = (*birth).plan;
        let give_up = |step| {
            let failed = Some((step, Errno::last_raw()));
            ptr::write_volatile(&raw mut (*birth).failed, failed);
            libc::_exit(127)
        };
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 || libc::getppid() != (*birth).parent {
            give_up(Step::DeathSignal);
        }
        if libc::setsid() < 0 {
            give_up(Step::Session);
        }
        let score = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if score >= 0 {
            // A kernel that refuses it only loses the hint.
            libc::write(score, plan.oom_score.as_ptr().cast(), plan.oom_score.len());
            libc::close(score);
        }
        if let Some(directory) = plan.directory
            && libc::chdir(directory.as_ptr()) != 0
        {
            give_up(Step::Directory);
        }
        for &(ours, theirs) in plan.descriptors {
            if libc::dup2(ours, theirs) < 0 {
                give_up(Step::Descriptors);
            }
        }
        // Kernels before 5.9 lack it; there close-on-exec, which all the keeper's descriptors have, does it alone.
        libc::syscall(libc::SYS_close_range, plan.close_from as libc::c_uint, libc::c_uint::MAX, 0);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        libc::execve(plan.program.as_ptr(), plan.arguments.array.as_ptr(), plan.environment.array.as_ptr());
        give_up(Step::Execute)
    }
}

/// A shared mapping of a file's first page.
#[derive(Debug)]
pub(super) struct SharedPage(NonNull<libc::c_void>);

// SAFETY: the page is reached through atomics alone.
unsafe impl Send for SharedPage {}
// SAFETY: as above.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    pub(super) const BYTES: usize = 4096;

    /// Maps the first page of a file that is at least that long and sealed against shrinking.
    pub(super) fn map(file: impl AsFd) -> io::Result<Self> {
        use nix::sys::mman::{MapFlags, ProtFlags, mmap};
        let length = std::num::NonZeroUsize::new(Self::BYTES).expect("a page is not empty");
        // SAFETY: the kernel chooses the address, so no existing memory is replaced.
        let page = unsafe {
            mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, file, 0)
        }?;
        Ok(Self(page))
    }

    /// One of the page's words.
    pub(super) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < Self::BYTES / size_of::<u64>(), "word {index} is beyond the page");
        // SAFETY: inside the page, which is aligned and mapped until `self` is dropped; others write whole words.
        unsafe { AtomicU64::from_ptr(self.0.cast::<u64>().add(index).as_ptr()) }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length; no reference outlives `self`.
        let _ = unsafe { nix::sys::mman::munmap(self.0, Self::BYTES) };
    }
}
