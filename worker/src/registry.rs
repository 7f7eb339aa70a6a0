//! The processes that live now or are about to: read by the monitor and the node beside the pool that writes it.
//!
//! It is no substitute for messages: nobody learns from it that something happened, only how it is.

use std::sync::Arc;

use dashmap::DashMap;
use nix::unistd::Pid;

use crate::{
    core::{Life, event::Reading},
    process::{beacon::Beacon, procfs},
};

/// See the module. Clones are the same registry.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<DashMap<Life, Live>>);

/// A living process.
#[derive(Debug)]
struct Live {
    pid: Option<u32>,
    /// A command has none.
    beacon: Option<Arc<Beacon>>,
}

impl Registry {
    /// A process is being started.
    pub fn insert(&self, life: Life, beacon: Option<Arc<Beacon>>) {
        self.0.insert(life, Live { pid: None, beacon });
    }

    /// Its id is known.
    pub fn spawned(&self, life: Life, pid: u32) {
        if let Some(mut live) = self.0.get_mut(&life) {
            live.pid = Some(pid);
        }
    }

    /// It is gone.
    pub fn remove(&self, life: Life) {
        self.0.remove(&life);
    }

    /// All are gone.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// Bounds what a child begins.
    pub fn set_stop(&self, life: Life, at: u64) {
        if let Some(live) = self.0.get(&life)
            && let Some(beacon) = &live.beacon
        {
            beacon.set_stop(at);
        }
    }

    /// Every process that exists.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.0.iter().filter_map(|entry| entry.pid).collect()
    }

    /// Looks at every process that exists; `memory` says whether at its resident memory too.
    #[must_use]
    pub fn look(&self, memory: bool) -> Vec<Reading> {
        let look = |life: Life, live: &Live| {
            let beacon = live.beacon.as_ref();
            Some(Reading {
                life,
                running: beacon.and_then(|beacon| beacon.running()).unwrap_or(0),
                committed: beacon.map_or(0, |beacon| beacon.committed()),
                memory: memory.then(|| procfs::resident(Pid::from_raw(live.pid?.cast_signed()))).flatten(),
            })
        };
        self.0
            .iter()
            .filter(|entry| entry.pid.is_some())
            .filter_map(|entry| look(*entry.key(), &entry))
            .collect()
    }
}
