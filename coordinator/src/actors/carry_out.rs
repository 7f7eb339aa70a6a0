//! How the coordinator carries out what its core asks for.

use bytes::Bytes;
use shared::{
    id::{JobId, WorkerId},
    wire::{
        client::{StopCause, Stopped, Summary, ToClient},
        worker::{Batch, ToWorker},
    },
};

use crate::{
    actors::{
        coordinator::{Child, Coordinator},
        desk::Undelivered,
        session::Out,
    },
    core::{
        effect::{Effect, Record},
        event::Event,
        objects,
    },
    select::select,
    untaken::Results,
    writer::{Order, Recording},
};

/// Longest key that is told in a summary.
const TOLD_KEY: usize = 1 << 10;

/// A key as a summary tells it: a long one only by its length, so that the message stays below its limit.
fn told_key(key: Bytes) -> Bytes {
    if key.len() <= TOLD_KEY {
        return key;
    }
    let text = format!("(a key of {} bytes)", key.len());
    rmp_serde::to_vec(&text).expect("memory").into()
}

impl Coordinator {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Grant { worker, batch } => self.grant(worker, batch),
            Effect::Recall { worker, batches } => {
                self.to_worker(worker, ToWorker::Recall(batches), Bytes::new())
            }
            Effect::Drop { worker, batches } => self.to_worker(worker, ToWorker::Drop(batches), Bytes::new()),
            Effect::Forget { worker, reports } => {
                self.to_worker(worker, ToWorker::Forget(reports), Bytes::new())
            }
            Effect::Strike(worker) => self.shelf.borrow_mut().worker_here(worker, false),
            Effect::Record(record) => self.record(record),
            Effect::Deliver { job, ticket } => self.deliver(job, ticket),
            Effect::Close(job) => {
                if let Some(desk) = self.desks.get(&job) {
                    desk.write(Order::Close);
                }
            }
            Effect::Finish { job, summary } => self.finish(job, *summary),
        }
    }

    fn grant(&mut self, worker: WorkerId, batch: Batch) {
        let Some(desk) = self.desks.get(&batch.job) else { return };
        let keys = desk.tasks().keys(&batch.tasks);
        let Some(peer) = self.workers.get(&worker).and_then(|session| self.peers.get_mut(session)) else {
            return;
        };
        if peer.told.insert(batch.job) {
            let _ = peer.outbox.send(Out::Worker(ToWorker::Job(Box::new(desk.spec.clone())), Bytes::new()));
        }
        let _ = peer.outbox.send(Out::Worker(ToWorker::Run(batch), keys));
    }

    fn record(&mut self, record: Record) {
        let Record { job, ticket, source: _, values, attempts, failures } = record;
        let Some(desk) = self.desks.get_mut(&job) else { return };
        let payload = match &self.arriving {
            Some((reported, payload)) if !values.is_empty() => select(payload, reported, &values),
            _ => Ok(Bytes::new()),
        };
        let Ok(payload) = payload else {
            let message =
                "a worker reported values that are not MessagePack; is it of another version?".to_owned();
            return self.on(Event::JobFailed { job, stopped: Stopped { why: StopCause::Internal, message } });
        };
        let keys = desk.tasks().keys(&values);
        let told = failures.iter().map(|(task, failure)| (desk.key(*task), failure.clone())).collect();
        let count = shared::id::count(&values);
        let recording = Recording { ticket, count, keys, values: payload.clone(), attempts, failures: told };
        desk.write(Order::Record(recording));
        let (tasks, values) =
            if desk.spec.wants_results { (values, payload) } else { (Vec::new(), Bytes::new()) };
        let failures = if desk.spec.wants_failures { failures } else { Vec::new() };
        if !tasks.is_empty() || !failures.is_empty() {
            desk.undelivered.push_back(Undelivered { ticket, results: Results { tasks, values }, failures });
        }
    }

    /// Nothing is left to do but to keep how it ended.
    fn finish(&self, job: JobId, mut summary: Summary) {
        let Some(desk) = self.desks.get(&job) else { return };
        summary.groups = self.core.failures(job, |task| told_key(desk.key(task)));
        desk.write(Order::Ended(Box::new(summary)));
    }

    pub(super) fn ended(&mut self, job: JobId, mut summary: Summary) {
        tracing::info!(%job, done = summary.progress.done, failed = summary.progress.failed, "a job has ended");
        summary.progress.busy = self.busy();
        self.to_all(job, &ToClient::Finished(Box::new(summary.clone())));
        self.shelf.borrow_mut().end(job, summary);
        self.desks.remove(&job);
        self.core.remove(job);
        for peer in self.peers.values_mut() {
            if peer.told.remove(&job) {
                let _ = peer.outbox.send(Out::Worker(ToWorker::JobEnded(job), Bytes::new()));
            }
        }
        self.ended.push(Child::Checkpointer(job));
        self.objects(objects::Event::JobEnded(job), Bytes::new());
    }

    pub(super) fn tell_progress(&mut self) {
        let busy = self.busy();
        let jobs: Vec<JobId> = self.desks.keys().copied().collect();
        for job in jobs {
            let Some(mut progress) = self.core.progress(job) else { continue };
            (progress.job, progress.busy) = (Some(job), busy);
            let Some(desk) = self.desks.get_mut(&job) else { continue };
            let is_heard = desk.client.is_some() || !desk.followers.is_empty();
            if desk.told != Some(progress) && is_heard {
                desk.told = Some(progress);
                self.to_all(job, &ToClient::Progress(progress));
            }
        }
    }

    fn busy(&self) -> u32 {
        self.peers.values().filter_map(|peer| peer.status.as_ref()).map(|status| u32::from(status.busy)).sum()
    }
}
