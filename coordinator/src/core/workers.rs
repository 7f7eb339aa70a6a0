//! The workers: who is here, who is away for a moment, and who is expected back after a restart.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use shared::id::WorkerId;

/// How long a worker whose connection broke may take to come back before its tasks are given to others.
pub const RECONNECT_GRACE: Duration = Duration::from_millis(500);

/// One worker.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its machine.
    pub host: String,
    /// Since when its connection is broken.
    pub away: Option<Instant>,
}

/// All of them.
#[derive(Debug)]
pub struct Workers {
    known: BTreeMap<WorkerId, Worker>,
    expected: HashSet<WorkerId>,
    adopt_until: Instant,
}

impl Workers {
    pub fn new(predecessors: impl IntoIterator<Item = WorkerId>, adopt_until: Instant) -> Workers {
        Workers { known: BTreeMap::new(), expected: predecessors.into_iter().collect(), adopt_until }
    }

    pub fn joined(&mut self, worker: WorkerId, host: String) {
        self.expected.remove(&worker);
        self.known.insert(worker, Worker { host, away: None });
    }

    pub fn away(&mut self, worker: WorkerId, now: Instant) {
        if let Some(worker) = self.known.get_mut(&worker) {
            worker.away.get_or_insert(now);
        }
    }

    pub fn lost(&mut self, worker: WorkerId) -> Option<Worker> {
        self.expected.remove(&worker);
        self.known.remove(&worker)
    }

    /// Those that did not come back in time.
    pub fn overdue(&self, now: Instant) -> Vec<WorkerId> {
        let late = |worker: &Worker| worker.away.is_some_and(|since| now - since >= RECONNECT_GRACE);
        self.known.iter().filter(|(_, worker)| late(worker)).map(|(id, _)| *id).collect()
    }

    /// Whether tasks could still be in the hands of a predecessor's worker that has not come back.
    pub fn adopting(&self, now: Instant) -> bool {
        !self.expected.is_empty() && now < self.adopt_until
    }
}
