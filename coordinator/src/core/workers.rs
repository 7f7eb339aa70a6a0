//! The workers: who is here, who is away for a moment, and who is expected back after a restart.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use shared::id::WorkerId;

/// How long a worker whose connection broke may take to come back before its tasks are given to others.
pub const RECONNECT_GRACE: Duration = Duration::from_millis(500);

/// How long a worker gets nothing that has come back without what it was given, the second time in a row; doubled with
/// each time.
const COOL: (Duration, Duration) = (RECONNECT_GRACE, Duration::from_secs(32));

/// One worker.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its machine.
    pub host: String,
    /// Since when its connection is broken.
    pub away: Option<Instant>,
    /// How often in a row it has come back without what it was given.
    empty_handed: u32,
    /// Until when it gets nothing, and its processes.
    cools: Option<(Instant, u16)>,
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
        let empty_handed = self.known.get(&worker).map_or(0, |known| known.empty_handed);
        self.known.insert(worker, Worker { host, away: None, empty_handed, cools: None });
    }

    /// A worker has come back without what it was given; whether it gets nothing for a while. Once may happen to any. One
    /// that small messages reach and tasks do not would have the same tasks again and again, while others could do them.
    pub fn came_empty_handed(&mut self, worker: WorkerId, slots: u16, now: Instant) -> bool {
        let Some(worker) = self.known.get_mut(&worker) else { return false };
        worker.empty_handed += 1;
        let doublings = worker.empty_handed.checked_sub(2);
        worker.cools = doublings.map(|times| (now + COOL.1.min(COOL.0 * 2u32.pow(times.min(8))), slots));
        worker.cools.is_some()
    }

    /// Tasks reach this worker, and what it says of them reaches us.
    pub fn reported(&mut self, worker: WorkerId) {
        if let Some(worker) = self.known.get_mut(&worker) {
            worker.empty_handed = 0;
        }
    }

    /// Those that get something again, and their processes.
    pub fn cooled(&mut self, now: Instant) -> Vec<(WorkerId, u16)> {
        let is_over = |worker: &mut Worker| worker.cools.take_if(|(until, _)| *until <= now);
        self.known.iter_mut().filter_map(|(id, worker)| Some((*id, is_over(worker)?.1))).collect()
    }

    pub fn away(&mut self, worker: WorkerId, now: Instant) {
        if let Some(worker) = self.known.get_mut(&worker) {
            worker.away.get_or_insert(now);
            worker.cools = None;
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
