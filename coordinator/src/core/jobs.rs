//! What each event means for jobs, leases and workers.

use std::time::Instant;

use shared::{
    id::{Attempt, BatchId, JobId, TaskIndex, TaskRange, WorkerId},
    job::Limits,
    outcome::{Cause, Failure},
    task_set::TaskSet,
    wire::{
        client::{StopCause, Stopped},
        worker::Held,
    },
};

use crate::core::{
    Core,
    effect::{Effect, Effects},
    event::Reported,
    job::{Job, Phase},
    lease::Lease,
    retry::Verdict,
    ticket::Ticket,
};

impl Core {
    pub(super) fn job_opened(&mut self, id: JobId, limits: Limits, batch_size: Option<u32>) {
        self.jobs.entry(id).or_insert_with(|| {
            self.order.push(id);
            Job::new(id, limits, batch_size)
        });
    }

    pub(super) fn tasks_added(&mut self, job: JobId, count: u32, bytes: u64, skipped: &TaskSet) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.table.add(count);
            job.pace.keys_known(count, bytes);
            job.skip(skipped);
        }
    }

    pub(super) fn tasks_complete(&mut self, id: JobId, out: &mut Effects) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.complete = true;
        }
        self.close_if_done(id, out);
    }

    pub(super) fn job_cancelled(&mut self, id: JobId, by: Instant, now: Instant, out: &mut Effects) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.stop_by = Some(job.stop_by.map_or(by, |earlier| earlier.min(by)));
            self.stop_what_is_due(now, out);
        }
    }

    /// Stops the jobs that are to, and gives up what runs of those whose time is over.
    ///
    /// What the workers of a predecessor hold may come to its end, too: it is first taken over, where there is time.
    pub(super) fn stop_what_is_due(&mut self, now: Instant, out: &mut Effects) {
        let adopting = self.workers.adopting(now);
        let due = |job: &Job| {
            let at_once = job.stop_by? <= now;
            let is_due = at_once || (job.phase == Phase::Running && !adopting);
            is_due.then_some((job.id, at_once))
        };
        let due: Vec<_> = self.jobs.values().filter_map(due).collect();
        for (id, at_once) in due {
            let message = "stopped before every task had an outcome".to_owned();
            self.stop(id, Stopped { why: StopCause::Cancelled, message }, at_once, out);
        }
    }

    pub(super) fn job_failed(&mut self, id: JobId, stopped: Stopped, out: &mut Effects) {
        if stopped.why == StopCause::Storage
            && let Some(job) = self.jobs.get_mut(&id)
        {
            job.tickets.abandon();
        }
        self.stop(id, stopped, true, out);
    }

    /// Leases nothing more. Batches that were leased are asked back, or given up at once.
    fn stop(&mut self, id: JobId, stopped: Stopped, at_once: bool, out: &mut Effects) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match job.phase {
            Phase::Running | Phase::Stopping => {}
            // Every task has its outcome, but the disk has not taken them all.
            Phase::Closing if stopped.why != StopCause::Cancelled => {
                job.stopped.get_or_insert(stopped);
                return;
            }
            Phase::Closing | Phase::Ended => return,
        }
        job.phase = Phase::Stopping;
        job.stopped.get_or_insert(stopped);
        let mut by_worker = std::collections::BTreeMap::<WorkerId, Vec<BatchId>>::new();
        for (batch, lease) in self.leases.of_job(id) {
            by_worker.entry(lease.worker).or_default().push(batch);
        }
        for (worker, batches) in by_worker {
            if at_once {
                out.push(Effect::Drop { worker, batches });
            } else {
                self.leases.recalled(&batches);
                out.push(Effect::Recall { worker, batches });
            }
        }
        if at_once {
            let ended: Vec<BatchId> = self.leases.of_job(id).map(|(batch, _)| batch).collect();
            for lease in self.leases.end(&ended) {
                self.jobs.get_mut(&id).expect("looked up above").table.requeue(&lease.left, 0, false);
            }
        }
        self.close_if_done(id, out);
    }

    pub(super) fn worker_joined(
        &mut self,
        worker: WorkerId,
        host: String,
        slots: u16,
        holds: Vec<Held>,
        now: Instant,
        out: &mut Effects,
    ) {
        self.workers.joined(worker, host);
        self.leases.set_slots(worker, Some(slots));
        if self.give_up_what_is_not_held(worker, &holds) && self.workers.came_empty_handed(worker, slots, now)
        {
            self.leases.set_slots(worker, Some(0));
        }
        let mut void = Vec::new();
        for held in holds {
            let job = self.jobs.get_mut(&held.job).filter(|job| job.phase == Phase::Running);
            let Some(job) = job else {
                void.push(held.batch);
                continue;
            };
            // What it runs or has finished stays with it, if nobody else has it.
            let mut adopted = job.table.adopt(&held.tasks);
            adopted.extend(job.table.adopt(&held.unacknowledged));
            let kept = self.leases.left(held.batch) > 0;
            if !adopted.is_empty() {
                let lease =
                    Lease { worker, job: held.job, left: adopted, losses: 0, granted: now, recalled: false };
                self.leases.grant(held.batch, lease);
            } else if !kept {
                void.push(held.batch);
            }
        }
        if !void.is_empty() {
            out.push(Effect::Drop { worker, batches: void });
        }
    }

    /// Leases that a worker does not know of never reached it: their tasks wait again. Whether there are any.
    fn give_up_what_is_not_held(&mut self, worker: WorkerId, holds: &[Held]) -> bool {
        let mut any = false;
        let mine: Vec<(BatchId, Vec<TaskRange>)> =
            self.leases.of(worker).map(|(id, lease)| (id, lease.left.clone())).collect();
        for (id, mut left) in mine {
            for held in holds.iter().filter(|held| held.batch == id) {
                super::lease::subtract(&mut left, &held.tasks);
                super::lease::subtract(&mut left, &held.unacknowledged);
            }
            if let Some((given, lease)) = self.leases.give_back(id, &left)
                && let Some(job) = self.jobs.get_mut(&lease.job)
            {
                any |= !given.is_empty();
                job.table.requeue(&given, lease.losses, false);
            }
        }
        any
    }

    pub(super) fn worker_lost(&mut self, worker: WorkerId, out: &mut Effects) {
        let Some(gone) = self.workers.lost(worker) else { return };
        out.push(Effect::Strike(worker));
        let mut touched = std::collections::BTreeSet::new();
        self.leases.set_slots(worker, None);
        let held: Vec<BatchId> = self.leases.of(worker).map(|(batch, _)| batch).collect();
        for lease in self.leases.end(&held) {
            let Some(job) = self.jobs.get_mut(&lease.job) else { continue };
            touched.insert(lease.job);
            let losses = lease.losses + 1;
            match lease.left.as_slice() {
                // Alone on its worker again and again when that was lost: it is the task's doing.
                [one] if one.len() == 1 && losses > 1 => {
                    let task = TaskIndex(one.start);
                    let failure = node_lost(&gone.host, job.tries.attempt(task));
                    match job.tries.judge(task, &failure.cause, &job.limits) {
                        Verdict::Again => job.table.requeue(&lease.left, losses, true),
                        Verdict::Final(attempt) => {
                            let failures = vec![(task, Failure { attempt, ..failure })];
                            out.extend(job.record(None, Vec::new(), failures, 0).map(Effect::Record));
                        }
                    }
                }
                left => job.table.requeue(left, losses, false),
            }
        }
        for id in touched {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.workers_lost += 1;
            }
            self.close_if_done(id, out);
        }
    }

    pub(super) fn reported(&mut self, reported: &Reported, out: &mut Effects) {
        let forget = Effect::Forget { worker: reported.worker, reports: vec![reported.report] };
        let Some(job) = self.jobs.get_mut(&reported.job) else {
            out.push(forget);
            return;
        };
        let mut tasks = reported.values.clone();
        reported.failures.iter().for_each(|(task, _)| shared::id::push_task(&mut tasks, *task));
        job.pace.observed(shared::id::count(&tasks), reported.busy_us);
        self.leases.take(reported.batch, reported.job, &tasks);
        let is_over = matches!(job.phase, Phase::Closing | Phase::Ended)
            || job.stopped.as_ref().is_some_and(is_storage);
        match if is_over { None } else { job.accept(reported) } {
            Some(record) => out.push(Effect::Record(record)),
            // It came again, over another connection; the disk has not taken what it brought the first time.
            None if job.tickets.holds(reported.worker, reported.report) => {}
            None => out.push(forget),
        }
        self.close_if_done(reported.job, out);
    }

    pub(super) fn returned(&mut self, batch: BatchId, tasks: &[TaskRange], out: &mut Effects) {
        let Some((given, lease)) = self.leases.give_back(batch, tasks) else { return };
        if let Some(job) = self.jobs.get_mut(&lease.job) {
            job.table.requeue(&given, lease.losses, false);
        }
        self.close_if_done(lease.job, out);
    }

    pub(super) fn unloadable(&mut self, worker: WorkerId, id: JobId, message: String, out: &mut Effects) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.unloadable.insert(worker);
        let nobody_left =
            self.leases.hands().by_load().all(|present| job.unloadable.contains(&present.worker));
        if nobody_left {
            self.stop(id, Stopped { why: StopCause::Input, message }, true, out);
        }
    }

    pub(super) fn durable(&mut self, id: JobId, upto: Ticket, out: &mut Effects) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        for settled in job.tickets.settle(upto) {
            job.durable += settled.outcomes;
            out.push(Effect::Deliver { job: id, ticket: settled.ticket });
            if let Some((worker, report)) = settled.source {
                out.push(Effect::Forget { worker, reports: vec![report] });
            }
        }
    }

    pub(super) fn closed(&mut self, id: JobId, out: &mut Effects) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.phase != Phase::Ended) else { return };
        job.phase = Phase::Ended;
        let job = &self.jobs[&id];
        out.push(Effect::Finish { job: id, summary: Box::new(self.summary(job)) });
    }

    fn close_if_done(&mut self, id: JobId, out: &mut Effects) {
        let nothing_leased = self.leases.of_job(id).next().is_none();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let done = match job.phase {
            Phase::Running => job.is_finished(),
            Phase::Stopping => nothing_leased,
            Phase::Closing | Phase::Ended => false,
        };
        if done {
            job.phase = Phase::Closing;
            out.push(Effect::Close(id));
        }
    }
}

fn is_storage(stopped: &Stopped) -> bool {
    stopped.why == StopCause::Storage
}

fn node_lost(host: &str, attempt: Attempt) -> Failure {
    Failure {
        cause: Cause::NodeLost,
        message: format!("the worker on {host} was lost each time that it ran this task alone"),
        traceback: String::new(),
        stdout: String::new(),
        stderr: String::new(),
        host: host.to_owned(),
        pid: 0,
        attempt,
    }
}
