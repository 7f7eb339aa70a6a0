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
/// Nobody is asked again for so long, for each thousand workers: with ten thousand of them to look at, that takes longer
/// than what else an event asks for.
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
        let room = job.tickets.bytes() < UNDURABLE_BYTES && !job.client_behind && !job.objects_lack;
        let goes_on = job.phase == Phase::Running && job.stop_by.is_none();
        goes_on && job.table.waiting() > 0 && room
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

    /// Where nothing waits any more and workers have idle slots, those with more in their hands give some back.
    ///
    /// Within a worker its own node does the same, so what it has is not asked back only to be leased to it again.
    fn recall_for_idle(&mut self, now: Instant, out: &mut Effects) {
        if self.content_until.is_some_and(|next| now < next)
            || self.order.iter().any(|job| self.can_lease(*job))
        {
            return;
        }
        let hands = self.leases.hands();
        let idlers = hands.by_load().take_while(|one| one.held < one.slots);
        let mut idle = idlers.map(|one| one.slots - one.held).sum::<usize>();
        if idle == 0 {
            return;
        }
        let (workers, _) = hands.count();
        self.content_until = Some(now + LOOK * workers.div_ceil(1000));
        let least = hands.by_load().next().map(|one| one.worker);
        let mut recalls = Vec::new();
        for one in hands.by_load().rev().filter(|one| Some(one.worker) != least) {
            if idle == 0 {
                break;
            }
            let batches = self.surplus(&one, idle, now);
            idle -= batches.len();
            if !batches.is_empty() {
                recalls.push((one.worker, batches));
            }
        }
        for (worker, batches) in recalls {
            self.leases.recalled(&batches);
            out.push(Effect::Recall { worker, batches });
        }
    }

    /// What a worker had better give back to as many idle slots elsewhere, newest first.
    fn surplus(&self, one: &Present, idle: usize, now: Instant) -> Vec<BatchId> {
        let leases = || self.leases.of(one.worker);
        let divisible = || leases().any(|(batch, _)| self.leases.left(batch) > 1);
        if leases().any(|(_, lease)| lease.recalled) || !(one.held > one.slots || divisible()) {
            return Vec::new();
        }
        // A lease that is young is left alone: if it is short it is done soon, and nothing is passed to and fro.
        let long = |(batch, lease): &(BatchId, &Lease)| {
            let left = self.leases.left(*batch);
            let expected = self.jobs.get(&lease.job).and_then(|job| job.pace.expected(left));
            let age = now.saturating_duration_since(lease.granted);
            age >= RECALL_WORTH && expected.is_none_or(|expected| expected.max(age) >= RECALL_WORTH)
        };
        let ahead = one.held.saturating_sub(one.slots).clamp(1, idle);
        leases().rev().filter(long).take(ahead).map(|(batch, _)| batch).collect()
    }
}
