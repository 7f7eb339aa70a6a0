//! `kill -9` of any one process at random moments, by a seed: what has to be gone is gone soon, and the work goes on.
//!
//! - [`toll`]: how often what is to be killed, and what came of it - [`work`]: jobs, and what has to hold of them
//! - [`census`]: who may live - [`run`]: the processes of `maniple run` - [`cluster`]: those of a cluster
//!
//! Half of the moments are events, so many tasks begun; the other half come so many milliseconds after whatever was last.

pub mod census;
pub mod cluster;
pub mod run;
pub mod toll;
pub mod work;

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long whatever should be gone may still be there.
pub const LIMIT: Duration = Duration::from_secs(5);

/// `kill -9`; whether there was somebody.
fn slay(pid: i32) -> bool {
    kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok()
}

/// Says with which seed it failed.
struct Confession(&'static str, u64);

impl Drop for Confession {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: again with MANIPLE_KILLS_SEED={}", self.0, self.1);
        }
    }
}
