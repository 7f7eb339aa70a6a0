//! Which batch goes to which worker, and what is taken back at the tail.
//!
//! Every slot is kept one batch ahead ([`AHEAD`]); that is all the credit a worker has, so nothing piles up anywhere.

use std::time::{Duration, Instant};

use shared::{
    id::{BatchId, JobId, TaskIndex, WorkerId},
    wire::worker::Batch,
};

use crate::core::{
    Core,
    effect::{Effect, Effects},
    hands::Present,
    job::Phase,
    lease::Lease,
};

/// Batches that a worker holds for each of its slots: one that runs, one that waits.
pub const AHEAD: usize = 2;
/// Bytes of outcomes that may wait for the disk before nothing more is leased.
pub const UNDURABLE_BYTES: u64 = 64 << 20;
/// A lease that is younger than this, or will not last longer, is not worth taking back.
const RECALL_WORTH: Duration = Duration::from_millis(20);
/// When nobody had anything worth taking back, nobody is asked again for so long: with ten thousand workers that takes
/// longer than what else an event asks for.
const LOOK: Duration = Duration::from_millis(2);

impl Core {
    /// Leases what can be leased, then takes back what idle workers could do sooner.
    pub(super) fn place(&mut self, now: Instant, out: &mut Effects) {
        if self.workers.adopting(now) {
            return;
        }
        while let Some((worker, job)) = self.next_placement() {
            self.grant(worker, job, now, out);
        }
        self.recall_for_idle(now, out);
    }

    /// The least loaded worker that has credit left, and the first job that has something for it.
    fn next_placement(&self) -> Option<(WorkerId, JobId)> {
        let waiting: Vec<JobId> = self.order.iter().copied().filter(|job| self.can_lease(*job)).collect();
        if waiting.is_empty() {
            return None;
        }
        let with_credit = self.leases.hands().by_load().take_while(|one| one.held < AHEAD * one.slots);
        with_credit.map(|one| one.worker).find_map(|worker| {
            let job = waiting.iter().find(|job| !self.jobs[*job].unloadable.contains(&worker))?;
            Some((worker, *job))
        })
    }

    fn can_lease(&self, job: JobId) -> bool {
        let job = &self.jobs[&job];
        let room = job.tickets.bytes() < UNDURABLE_BYTES && !job.client_behind;
        job.phase == Phase::Running && job.table.waiting() > 0 && room
    }

    fn grant(&mut self, worker: WorkerId, id: JobId, now: Instant, out: &mut Effects) {
        let (_, slots) = self.leases.hands().count();
        let job = self.jobs.get_mut(&id).expect("a placement names a job that is there");
        let size = job.pace.batch_size(job.table.waiting(), slots, job.complete);
        let cut = job.table.cut(size).expect("a placement names a job with waiting tasks");
        let attempts: Vec<_> = if job.tries.is_empty() {
            Vec::new()
        } else {
            let tasks = cut.tasks.iter().flat_map(|range| range.tasks());
            let again = |task: TaskIndex| (task, job.tries.attempt(task));
            tasks.map(again).filter(|(_, attempt)| *attempt != shared::id::Attempt::FIRST).collect()
        };
        self.batches += 1;
        let batch = BatchId { epoch: self.epoch, number: self.batches };
        let left = cut.tasks.clone();
        let lease = Lease { worker, job: id, left, losses: cut.losses, granted: now, recalled: false };
        self.leases.grant(batch, lease);
        let batch = Batch { id: batch, job: id, tasks: cut.tasks, attempts };
        out.push(Effect::Grant { worker, batch });
    }

    /// Where nothing waits any more and a worker has idle slots, another one with more in its hands gives some back.
    ///
    /// Within a worker its own node does the same, so what it has is not asked back only to be leased to it again.
    fn recall_for_idle(&mut self, now: Instant, out: &mut Effects) {
        let soon = self.looked.is_some_and(|looked| now < looked + LOOK);
        if soon || self.order.iter().any(|job| self.can_lease(*job)) {
            return;
        }
        let hands = self.leases.hands();
        let Some(idler) = hands.by_load().next().filter(|one| one.held < one.slots) else { return };
        let idle = idler.slots - idler.held;
        let has_surplus = |one: &Present| {
            let asked = self.leases.of(one.worker).any(|(_, lease)| lease.recalled);
            let divisible = || self.leases.of(one.worker).any(|(batch, _)| self.leases.left(batch) > 1);
            one.worker != idler.worker && !asked && (one.held > one.slots || divisible())
        };
        let Some(busiest) = hands.by_load().rev().find(has_surplus) else {
            self.looked = Some(now);
            return;
        };
        let (worker, ahead) = (busiest.worker, busiest.held.saturating_sub(busiest.slots));
        // A lease that is young is left alone: if it is short it is done soon, and nothing is passed to and fro.
        let long = |(batch, lease): &(BatchId, &Lease)| {
            let left = self.leases.left(*batch);
            let expected = self.jobs.get(&lease.job).and_then(|job| job.pace.expected(left));
            let age = now.saturating_duration_since(lease.granted);
            age >= RECALL_WORTH && expected.is_none_or(|expected| expected.max(age) >= RECALL_WORTH)
        };
        let newest = self.leases.of(worker).rev().filter(long).map(|(batch, _)| batch);
        let batches: Vec<BatchId> = newest.take(ahead.clamp(1, idle)).collect();
        if batches.is_empty() {
            self.looked = Some(now);
        } else {
            self.leases.recalled(&batches);
            out.push(Effect::Recall { worker, batches });
        }
    }
}
