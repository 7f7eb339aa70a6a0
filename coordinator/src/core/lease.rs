//! Leases: which worker has which tasks of which job.
//!
//! Invariants: a task that is leased is left in exactly one lease; a lease with nothing left does not exist; each is in
//! its worker's hands.

use std::{collections::BTreeMap, time::Instant};

use shared::id::{BatchId, JobId, TaskRange, WorkerId, count};

use crate::core::hands::Hands;

/// One worker's right to a batch.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Who has it.
    pub worker: WorkerId,
    /// Whose tasks they are.
    pub job: JobId,
    /// The tasks without an outcome.
    pub left: Vec<TaskRange>,
    /// How many workers were lost that held them before.
    pub losses: u16,
    /// Since when.
    pub granted: Instant,
    /// Whether it was asked back already. That is done once, or an empty answer would be asked for again and again.
    pub recalled: bool,
}

/// All leases that stand.
#[derive(Debug, Default)]
pub struct Leases {
    all: BTreeMap<BatchId, Lease>,
    hands: Hands,
}

impl Leases {
    /// A worker gets one, or more of one that it has.
    pub fn grant(&mut self, id: BatchId, lease: Lease) {
        match self.all.get_mut(&id) {
            Some(known) => known.left.extend(lease.left),
            None => {
                self.hands.add(lease.worker, id);
                self.all.insert(id, lease);
            }
        }
    }

    /// A worker is here, with so many processes; `None`: it is not.
    pub fn set_slots(&mut self, worker: WorkerId, slots: Option<u16>) {
        self.hands.set_slots(worker, slots);
    }

    /// What each worker has in its hands.
    pub fn hands(&self) -> &Hands {
        &self.hands
    }

    /// A worker's leases, oldest first.
    pub fn of(&self, worker: WorkerId) -> impl DoubleEndedIterator<Item = (BatchId, &Lease)> {
        self.hands.of(worker).map(|id| (id, &self.all[&id]))
    }

    /// A job's leases.
    pub fn of_job(&self, job: JobId) -> impl Iterator<Item = (BatchId, &Lease)> {
        self.all.iter().filter(move |(_, lease)| lease.job == job).map(|(id, lease)| (*id, lease))
    }

    /// How many tasks of a lease are left.
    pub fn left(&self, id: BatchId) -> u32 {
        self.all.get(&id).map_or(0, |lease| count(&lease.left))
    }

    /// Remembers that leases were asked back.
    pub fn recalled(&mut self, ids: &[BatchId]) {
        for id in ids {
            if let Some(lease) = self.all.get_mut(id) {
                lease.recalled = true;
            }
        }
    }

    /// Takes tasks out of the lease `id`; what is not in it, out of whichever lease of the job it is in.
    pub fn take(&mut self, id: BatchId, job: JobId, tasks: &[TaskRange]) {
        let mut missing: u32 = count(tasks);
        if let Some(lease) = self.all.get_mut(&id) {
            missing -= subtract(&mut lease.left, tasks);
            self.drop_if_empty(id);
        }
        if missing > 0 {
            let others: Vec<BatchId> = self.of_job(job).map(|(id, _)| id).collect();
            for other in others {
                if let Some(lease) = self.all.get_mut(&other) {
                    subtract(&mut lease.left, tasks);
                }
                self.drop_if_empty(other);
            }
        }
    }

    /// Takes out of `id` what is left of these tasks, and says which those were.
    pub fn give_back(&mut self, id: BatchId, tasks: &[TaskRange]) -> Option<(Vec<TaskRange>, Lease)> {
        let lease = self.all.get_mut(&id)?;
        let before = lease.left.clone();
        subtract(&mut lease.left, tasks);
        let mut given = before;
        subtract(&mut given, &lease.left);
        let lease = lease.clone();
        self.drop_if_empty(id);
        Some((given, lease))
    }

    /// Ends these leases.
    pub fn end(&mut self, ids: &[BatchId]) -> Vec<Lease> {
        ids.iter().filter_map(|id| self.remove(*id)).collect()
    }

    fn drop_if_empty(&mut self, id: BatchId) {
        if self.all.get(&id).is_some_and(|lease| lease.left.is_empty()) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: BatchId) -> Option<Lease> {
        let lease = self.all.remove(&id)?;
        self.hands.remove(lease.worker, id);
        Some(lease)
    }

    #[cfg(test)]
    pub fn check_invariants(&self) {
        self.hands.check_invariants(self.all.iter().map(|(id, lease)| (id, lease.worker)));
    }
}

/// Takes `tasks` out of `ranges`; returns how many were there.
pub fn subtract(ranges: &mut Vec<TaskRange>, tasks: &[TaskRange]) -> u32 {
    let before = count(ranges);
    for gone in tasks {
        if !ranges.iter().any(|range| range.start < gone.end && gone.start < range.end) {
            continue;
        }
        *ranges = ranges
            .iter()
            .flat_map(|range| {
                let left = TaskRange::new(range.start, gone.start.clamp(range.start, range.end));
                let right = TaskRange::new(gone.end.clamp(range.start, range.end), range.end);
                [left, right]
            })
            .filter(|range| !range.is_empty())
            .collect();
    }
    before - count(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtracting_cuts_in_the_middle_and_at_the_ends() {
        let range = TaskRange::new;
        let mut ranges = vec![range(0, 10), range(20, 30)];
        assert_eq!(subtract(&mut ranges, &[range(3, 5), range(8, 22), range(50, 60)]), 6);
        assert_eq!(ranges, [range(0, 3), range(5, 8), range(22, 30)]);
        assert_eq!(subtract(&mut ranges, &[range(0, 100)]), 14);
        assert_eq!(ranges, []);
    }
}
