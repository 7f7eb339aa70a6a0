//! Processes, plainly: how they are made, watched and ended. No actor, no task, no pool; tokio in two files alone.
//!
//! `keeper` splits the program in two: the keeper, parent and only reaper of everything, and the engine, which asks it
//! through `spawner` (by the words of `event`, in the bytes of `protocol`). `kill` ends whole trees, found by `procfs`;
//! `attended` is one that somebody sends signals to. `beacon` and `output` are what a parent has of a child besides its
//! exit: which task it runs, and what it wrote; `pass` gives descriptors to others. `leftover` finds what outlived keeper
//! and engine, by a mark of `owner`. `sys` holds the project's only `unsafe`.

pub mod attended;
pub mod beacon;
pub mod event;
pub mod keeper;
pub mod kill;
pub mod leftover;
pub mod output;
pub mod owner;
pub mod pass;
pub mod procfs;
mod protocol;
pub mod spawner;
mod sys;

/// How long a file may become, memory files included, of which a child's program and beacon are made.
pub fn file_size_limit() -> std::io::Result<u64> {
    let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE)?;
    Ok(soft)
}

/// Most of freed memory that is kept by each of the allocator's arenas, of which glibc makes up to eight a core. By itself
/// it learns that large frames come and go, and keeps twice the largest for each: tens of megabytes, for ever.
const KEPT_OF_FREED: i32 = 256 << 10;

/// From now on the memory of large values goes back to the system when they are done with.
pub fn give_freed_memory_back() {
    sys::keep_of_freed_memory(KEPT_OF_FREED);
}

/// From now on a write beyond `ulimit -f` is an error of that write and not the end of the process.
pub fn outlive_file_size_limit() -> std::io::Result<()> {
    sys::ignore(nix::sys::signal::Signal::SIGXFSZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private_mib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux has it");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") >> 10
    }

    /// Found by the soak: a coordinator had 50 MiB at rest after large values, one of 5 before.
    #[test]
    fn reproduces_memory_of_large_values_that_was_kept_when_they_were_gone() {
        give_freed_memory_back();
        // From this glibc would learn to keep as much.
        drop(vec![1u8; 31 << 20]);
        let large = vec![1u8; 24 << 20];
        let behind_it = vec![1u8; 100 << 10];
        let before = private_mib();
        drop(large);
        let after = private_mib();
        assert!(after + 16 < before, "{before} MiB before, {after} MiB after");
        drop(behind_it);
    }
}
