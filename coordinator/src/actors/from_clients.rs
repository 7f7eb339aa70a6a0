//! What clients say to the coordinator.

use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::{
    id::JobId,
    job::JobSpec,
    task_set::TaskSet,
    wire::{
        client::{FromClient, StopCause, Stopped, ToClient},
        worker::ToWorker,
    },
};

use crate::{
    actors::{coordinator::Coordinator, desk::Opening, said::SessionId, session::Out},
    core::{event::Event, objects},
    shelf::Stored,
    writer::Order,
};

/// The time that running tasks have whose client says itself when it is over.
const UNLIMITED: Duration = Duration::from_secs(1_000_000_000);

impl Coordinator {
    pub(super) fn client_said(&mut self, session: SessionId, said: FromClient, payload: &Bytes) {
        match said {
            FromClient::Submit(spec) => self.submitted(session, *spec),
            FromClient::Tasks { job, count } if self.follows(session, job) => {
                self.tasks_came(job, count, payload)
            }
            FromClient::TasksEnd { job, total } if self.follows(session, job) => self.tasks_ended(job, total),
            FromClient::Piece { job, object, at } if self.follows(session, job) => {
                let len = payload.len() as u64;
                self.objects(objects::Event::Came { job, object, at, len }, payload.clone());
            }
            FromClient::Taken { job, bytes } if self.follows(session, job) => self.taken(job, bytes),
            // Said before the client came back by another connection, where it has said it again, or is told again.
            FromClient::Tasks { .. }
            | FromClient::TasksEnd { .. }
            | FromClient::Piece { .. }
            | FromClient::Taken { .. } => {}
            FromClient::Cancel { job, now: true, .. } => {
                self.cancel(job, Duration::ZERO);
                self.wait_no_longer(job);
            }
            FromClient::Cancel { job, grace_ms, .. } => {
                self.cancel(job, grace_ms.map_or(UNLIMITED, Duration::from_millis).min(UNLIMITED));
            }
            FromClient::Signal { job, number } => self.signal(job, number),
            FromClient::Ask { ask, request } => {
                let (answer, payload) = self.core.kv.answer(request, payload);
                self.to_session(session, ToClient::Answered { ask, answer }, payload);
            }
            FromClient::Watch(on) => self.watch(session, on),
            FromClient::Attach(job) => self.attach(session, job),
            FromClient::List => self.list(session),
            FromClient::Heartbeat => {}
        }
    }

    fn follows(&self, session: SessionId, job: JobId) -> bool {
        self.desks.get(&job).is_some_and(|desk| desk.client == Some(session))
    }

    fn submitted(&mut self, session: SessionId, spec: JobSpec) {
        let id = spec.id;
        let (known, summary) = {
            let mut shelf = self.shelf.borrow_mut();
            match shelf.end_of(id) {
                Some(end) => (end.received, Some(end.summary.clone())),
                None => (shelf.jobs.entry(id).or_insert_with(|| Stored::new(spec)).received, None),
            }
        };
        if !self.desks.contains_key(&id) && summary.is_none() {
            tracing::info!(job = %id, "a job has come");
            self.open_desk(id, false);
        }
        let Some(peer) = self.peers.get(&session) else { return };
        let _ = peer.outbox.send(Out::Client(ToClient::Accepted { job: id, known }, Bytes::new()));
        if let Some(summary) = summary {
            let _ = peer.outbox.send(Out::Client(ToClient::Finished(Box::new(summary)), Bytes::new()));
        } else if let Some(desk) = self.desks.get_mut(&id) {
            (desk.client, desk.client_gone) = (Some(session), None);
            self.tell_again(id);
            self.objects(objects::Event::ClientHere(id), Bytes::new());
        }
    }

    fn tasks_came(&mut self, id: JobId, count: u32, keys: &Bytes) {
        let Some(desk) = self.desks.get_mut(&id) else { return };
        let extended = desk.tasks_mut().extend(keys);
        let Ok(new) = extended else {
            let message = "the client sent malformed task keys".to_owned();
            return self.fail_job(id, Stopped { why: StopCause::Internal, message });
        };
        desk.write(Order::Keys(keys.clone()));
        let open = desk.opening == Opening::Open;
        let mut shelf = self.shelf.borrow_mut();
        let outlives_us = shelf.job_dir(id).is_none();
        let received = shelf.jobs.get_mut(&id).map(|stored| {
            stored.received += u64::from(count);
            stored.received
        });
        drop(shelf);
        if let Some(count) = received.filter(|_| outlives_us) {
            self.to_client(id, ToClient::Kept { job: id, count }, Bytes::new());
        }
        if open {
            self.on(Event::TasksAdded {
                job: id,
                count: new.len(),
                bytes: keys.len() as u64,
                skipped: TaskSet::default(),
            });
        }
    }

    fn tasks_ended(&mut self, id: JobId, total: u64) {
        let received = self.shelf.borrow().jobs.get(&id).map_or(0, |stored| stored.received);
        let Some(desk) = self.desks.get_mut(&id) else { return };
        if received != total {
            let message = format!("{received} of {total} tasks arrived");
            return self.fail_job(id, Stopped { why: StopCause::Internal, message });
        }
        desk.complete = true;
        desk.write(Order::KeysComplete(total));
        if let Some(stored) = self.shelf.borrow_mut().jobs.get_mut(&id) {
            stored.complete = true;
        }
        match desk.opening {
            Opening::Open => self.on(Event::TasksComplete(id)),
            Opening::NeedsTasks => desk.scan(),
            Opening::Asked | Opening::Scanning => {}
        }
    }

    /// Whoever runs something of the job knows it.
    fn signal(&self, job: JobId, number: i32) {
        for peer in self.peers.values().filter(|peer| peer.told.contains(&job)) {
            let _ = peer.outbox.send(Out::Worker(ToWorker::Signal { job, number }, Bytes::new()));
        }
    }

    /// Has a job stopped, and that kept; what runs may take so long.
    pub(super) fn cancel(&mut self, job: JobId, grace: Duration) {
        let Some(desk) = self.desks.get(&job) else { return };
        let (now, mut shelf) = (Instant::now(), self.shelf.borrow_mut());
        let Some(stored) = shelf.jobs.get_mut(&job) else { return };
        let by = stored.stop_by.map_or(now + grace, |earlier| earlier.min(now + grace));
        stored.stop_by = Some(by);
        desk.write(Order::Stop(by.saturating_duration_since(now)));
        drop(shelf);
        self.go_on_stopping(job);
    }

    /// Stops a job that is to, in this life or since an earlier one. Of one that is not open yet nothing can run.
    pub(super) fn go_on_stopping(&mut self, job: JobId) {
        let Some(by) = self.shelf.borrow().jobs.get(&job).and_then(|stored| stored.stop_by) else { return };
        let is_open = self.desks.get(&job).is_some_and(|desk| desk.opening == Opening::Open);
        self.open_to_end(job);
        self.on(Event::JobCancelled { job, by: if is_open { by } else { Instant::now() } });
        self.hear_early();
    }
}
