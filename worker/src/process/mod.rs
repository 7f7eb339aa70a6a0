//! Processes, plainly: how they are made, watched and ended. No actor, no task, no pool; tokio in two files alone.
//!
//! `keeper` splits the program in two: the keeper, parent and only reaper of everything, and the engine, which asks it
//! through `spawner` (by the words of `event`, in the bytes of `protocol`). `kill` ends whole trees, found by `procfs`;
//! `attended` is one that somebody sends signals to. `beacon` and `output` are what a parent has of a child besides its
//! exit: which task it runs, and what it wrote. `leftover` finds what outlived keeper and engine, by a mark of `owner`.
//! `sys` holds the project's only `unsafe`.

pub mod attended;
pub mod beacon;
pub mod event;
pub mod keeper;
pub mod kill;
pub mod leftover;
pub mod output;
pub mod owner;
pub mod procfs;
mod protocol;
pub mod spawner;
mod sys;

/// How long a file may become, memory files included, of which a child's program and beacon are made.
pub fn file_size_limit() -> std::io::Result<u64> {
    let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE)?;
    Ok(soft)
}

/// From now on a write beyond `ulimit -f` is an error of that write and not the end of the process.
pub fn outlive_file_size_limit() -> std::io::Result<()> {
    sys::ignore(nix::sys::signal::Signal::SIGXFSZ)
}
