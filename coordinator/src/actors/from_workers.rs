//! What workers say to the coordinator.

use bytes::Bytes;
use shared::{
    id::{JobId, WorkerId},
    wire::{
        child::Difference,
        client::ToClient,
        worker::{FromWorker, Joined, Report, ToWorker},
    },
};

use crate::{
    actors::{
        coordinator::{Child, Coordinator},
        desk::Opening,
        said::{SessionId, WorkerSaid},
    },
    core::{
        event::{Event, Reported},
        objects,
    },
};

impl Coordinator {
    pub(super) fn worker_said(&mut self, session: SessionId, said: FromWorker, payload: Bytes) {
        if let FromWorker::Joined(joined) = said {
            return self.worker_joined(session, joined);
        }
        let Some(worker) = self.peers.get(&session).and_then(|peer| peer.worker) else { return };
        match said {
            FromWorker::Report(report) => self.reported(worker, report, payload),
            FromWorker::Returned { batch, tasks } => self.on(Event::Returned { worker, batch, tasks }),
            FromWorker::Began { job, task, pid } => {
                self.to_client(job, ToClient::Began { job, task, pid }, Bytes::new());
            }
            FromWorker::Unloadable { job, message, traceback } => {
                tracing::info!(%worker, %job, message, traceback, "a worker cannot load the function");
                let host = self.host_of(session);
                let remark = format!("the worker on {host} takes no part in the job: {message}");
                self.on(Event::Unloadable { worker, job, message });
                if self.core.is_running(job) {
                    self.remark(job, remark);
                }
            }
            FromWorker::Differs { job, packages } => {
                let host = self.host_of(session);
                let each = packages.iter().map(|Difference { package, caller, child }| {
                    format!("{package} is {caller} here and {child} on {host}")
                });
                let told = each.collect::<Vec<_>>().join(", ");
                self.remark(job, format!("{told}: tasks may fail there, or give other values"));
            }
            FromWorker::Ask { ask, request } => {
                let (answer, payload) = self.core.kv.answer(request, &payload);
                self.to_worker(worker, ToWorker::Answered { ask, answer }, payload);
            }
            FromWorker::Fetch { object, at, most } => {
                self.objects(objects::Event::Asked { worker, object, at, most }, Bytes::new());
            }
            FromWorker::Status(status) => {
                if let Some(peer) = self.peers.get_mut(&session) {
                    peer.status = Some(status);
                }
                if let Some(peer) = self.peers.get(&session) {
                    self.tell_watchers(peer);
                }
            }
            FromWorker::Leaving => {
                self.workers.remove(&worker);
                tracing::info!(%worker, "a worker leaves");
                self.on(Event::WorkerLost(worker));
            }
            FromWorker::Joined(_) | FromWorker::Heartbeat => {}
        }
    }

    fn host_of(&self, session: SessionId) -> String {
        self.peers.get(&session).map(|peer| peer.hello.host.clone()).unwrap_or_default()
    }

    /// Tells the job's client what it should know of the workers, once: others are mostly like the first.
    fn remark(&mut self, job: JobId, text: String) {
        let Some(desk) = self.desks.get_mut(&job) else { return };
        tracing::warn!(%job, "{text}");
        if desk.client.is_some() && !std::mem::replace(&mut desk.remarked, true) {
            self.to_all(job, &ToClient::Remark { job, text });
        }
    }

    fn worker_joined(&mut self, session: SessionId, joined: Joined) {
        let Joined { worker, slots, holds, jobs } = joined;
        // What was on its way to it by another connection will not arrive.
        self.objects(objects::Event::WorkerGone(worker), Bytes::new());
        if let Some(old) = self.workers.insert(worker, session).filter(|old| *old != session) {
            self.peers.remove(&old);
            self.family.kill(Child::Session(old));
        }
        let Some(peer) = self.peers.get_mut(&session) else { return };
        (peer.worker, peer.slots) = (Some(worker), slots);
        let host = peer.hello.host.clone();
        let (known, ended): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| self.desks.contains_key(job));
        peer.told = known.into_iter().collect();
        for job in ended {
            self.to_worker(worker, ToWorker::JobEnded(job), Bytes::new());
        }
        tracing::info!(%worker, host, slots, holds = holds.len(), "a worker has joined");
        self.shelf.borrow_mut().worker_here(worker, true);
        self.on(Event::WorkerJoined { worker, host, slots, holds });
    }

    fn reported(&mut self, worker: WorkerId, report: Report, payload: Bytes) {
        let Report { id, batch, job, values, failures, busy_us } = report;
        let bytes = payload.len() as u64;
        self.arriving = Some((values.clone(), payload));
        self.on(Event::Reported(Reported {
            worker,
            report: id,
            batch,
            job,
            values,
            bytes,
            failures,
            busy_us,
        }));
        self.arriving = None;
    }

    pub(super) fn is_recovering(&self) -> bool {
        self.desks.values().any(|desk| desk.recovered && desk.opening != Opening::Open)
    }

    pub(super) fn hear_early(&mut self) {
        if !self.is_recovering() {
            for WorkerSaid { session, said, payload } in std::mem::take(&mut self.early) {
                self.worker_said(session, said, payload);
            }
        }
    }
}
