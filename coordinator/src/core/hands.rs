//! What each worker has in its hands, and which of those that are here has least: with ten thousand of them nobody can
//! be asked in turn.
//!
//! Invariant: `order` holds each worker that is here once, by its load.

use std::collections::{BTreeMap, BTreeSet};

use shared::id::{BatchId, WorkerId};

/// Leases a process. Its order is that of the number, which is never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Load(u64);

#[derive(Debug, Default)]
struct Hand {
    batches: BTreeSet<BatchId>,
    /// Its processes, while it is here.
    slots: Option<u16>,
}

impl Hand {
    fn load(&self) -> Option<Load> {
        let load = |slots| self.batches.len() as f64 / f64::from(slots);
        self.slots.map(|slots| Load(if slots == 0 { f64::INFINITY } else { load(slots) }.to_bits()))
    }
}

/// A worker that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    pub worker: WorkerId,
    /// Its processes.
    pub slots: usize,
    /// Leases that it has.
    pub held: usize,
}

/// The hands of all workers.
#[derive(Debug, Default)]
pub struct Hands {
    all: BTreeMap<WorkerId, Hand>,
    order: BTreeSet<(Load, WorkerId)>,
    slots: u32,
}

impl Hands {
    /// A worker is here, with so many processes; `None`: it is not.
    pub fn set_slots(&mut self, worker: WorkerId, slots: Option<u16>) {
        self.change(worker, |hand| hand.slots = slots);
    }

    /// A worker has a lease.
    pub fn add(&mut self, worker: WorkerId, batch: BatchId) {
        self.change(worker, |hand| {
            hand.batches.insert(batch);
        });
    }

    /// A worker has it no more.
    pub fn remove(&mut self, worker: WorkerId, batch: BatchId) {
        self.change(worker, |hand| {
            hand.batches.remove(&batch);
        });
    }

    fn change(&mut self, worker: WorkerId, change: impl FnOnce(&mut Hand)) {
        let hand = self.all.entry(worker).or_default();
        let before = (hand.load(), hand.slots);
        change(hand);
        let after = (hand.load(), hand.slots);
        if hand.slots.is_none() && hand.batches.is_empty() {
            self.all.remove(&worker);
        }
        if before != after {
            let entry = |load: Option<Load>| load.map(|load| (load, worker));
            entry(before.0).map(|old| self.order.remove(&old));
            entry(after.0).map(|new| self.order.insert(new));
            self.slots = self.slots + u32::from(after.1.unwrap_or(0)) - u32::from(before.1.unwrap_or(0));
        }
    }

    /// A worker's leases, oldest first.
    pub fn of(&self, worker: WorkerId) -> impl DoubleEndedIterator<Item = BatchId> {
        self.all.get(&worker).into_iter().flat_map(|hand| hand.batches.iter().copied())
    }

    /// Those that are here, the least loaded first.
    pub fn by_load(&self) -> impl DoubleEndedIterator<Item = Present> {
        self.order.iter().map(|&(_, worker)| {
            let hand = &self.all[&worker];
            Present { worker, slots: hand.slots.unwrap_or(0).into(), held: hand.batches.len() }
        })
    }

    /// (workers that are here, their processes)
    pub fn count(&self) -> (u32, u32) {
        (self.order.len() as u32, self.slots)
    }

    #[cfg(test)]
    pub fn check_invariants<'a>(&self, leases: impl Iterator<Item = (&'a BatchId, WorkerId)>) {
        let mut held = BTreeMap::<WorkerId, BTreeSet<BatchId>>::new();
        for (batch, worker) in leases {
            held.entry(worker).or_default().insert(*batch);
        }
        let hands = self.all.iter().filter(|(_, hand)| !hand.batches.is_empty());
        assert!(hands.map(|(worker, hand)| (worker, &hand.batches)).eq(&held), "hands hold what is leased");
        let order = self.all.iter().filter_map(|(worker, hand)| Some((hand.load()?, *worker)));
        assert_eq!(self.order, order.collect(), "those that are here are in order");
        assert_eq!(self.slots, self.all.values().map(|hand| u32::from(hand.slots.unwrap_or(0))).sum::<u32>());
    }
}
