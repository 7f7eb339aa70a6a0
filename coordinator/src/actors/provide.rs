//! How the coordinator hands objects on: what its core decides of them is carried out by the storekeeper and the peers.

use std::time::Duration;

use bytes::Bytes;
use shared::{
    id::{JobId, ObjectId},
    job::JobSpec,
    wire::{
        client::{StopCause, Stopped, ToClient},
        worker::ToWorker,
    },
};

use crate::{
    actors::{
        clerk::Do,
        coordinator::{Child, Coordinator},
        storekeeper::{Storekeeper, storekeeper},
    },
    core::{
        event,
        objects::{Effect, Event},
    },
    depot::{self, Answer, Order},
};

impl Coordinator {
    /// A job has come that may need objects, or one of an earlier life is gone on with.
    pub(super) fn provide(&mut self, spec: &JobSpec, recovered: bool) {
        if !spec.objects.iter().any(|object| object.is_remote()) {
            return;
        }
        self.open_depot();
        let state = self.config.state_dir.as_deref().filter(|_| recovered);
        let kept = depot::kept(state, &spec.objects);
        self.objects(Event::Needed { job: spec.id, objects: spec.objects.clone(), kept }, Bytes::new());
    }

    pub(super) fn open_depot(&mut self) {
        if self.storekeeper.is_some() {
            return;
        }
        let shelf = self.shelf.borrow();
        let objects = shelf.jobs.values().flat_map(|job| &job.spec.objects);
        let wanted = objects.map(|object| object.id).collect();
        let (state, me) = (self.config.state_dir.clone(), self.me.clone());
        drop(shelf);
        let start = move |ctx: &mut actix::Context<Storekeeper>| storekeeper(state, wanted, me, ctx);
        self.storekeeper = self.family.spawn_temporary(Child::Storekeeper, start);
    }

    /// Tells the core of an object, and carries out what it asks for; `piece` is what has come with it.
    pub(super) fn objects(&mut self, event: Event, piece: Bytes) {
        let mut effects = Vec::new();
        self.core.objects.on(event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Ask { job, object, at, most } => {
                    self.to_client(job, ToClient::Fetch { job, object, at, most }, Bytes::new());
                }
                Effect::Write { object, at } => self.store(Order::Write(object, at, piece.clone())),
                Effect::Seal { object, crc } => self.store(Order::Seal(object, crc)),
                Effect::Ready(job) => self.provided(job),
                Effect::Stop(job, stopped) => self.fail_job(job, stopped),
                Effect::Send { worker, object, at, len } => self.store(Order::Read(worker, object, at, len)),
                Effect::Drop(object) => self.store(Order::Drop(object)),
            }
        }
    }

    /// All that the job needs is here.
    fn provided(&mut self, job: JobId) {
        tracing::info!(%job, "all that its tasks share is here");
        self.on(event::Event::ObjectsLack { job, lack: false });
        if self.desks.get(&job).is_some_and(|desk| desk.keys_stored) {
            self.to_client(job, ToClient::Stored(job), Bytes::new());
        }
    }

    /// A job's client does not come back: nobody is left to take over its results, or to be asked for what it may lack.
    pub(super) fn abandon(&mut self, job: JobId) {
        tracing::warn!(%job, "its client has not come back; stopping the job");
        self.end_unless_owed(job);
        if !self.core.objects.lacks(job) {
            return self.cancel(job, Duration::ZERO);
        }
        let message =
            "its client has gone before it had sent all that the tasks share; submit it again".to_owned();
        self.fail_job(job, Stopped { why: StopCause::Input, message });
    }

    fn store(&self, order: Order) {
        if let Some(storekeeper) = &self.storekeeper {
            storekeeper.do_send(Do(order));
        }
    }

    pub(super) fn stored(&mut self, answer: Answer) {
        match answer {
            Answer::Written(object, upto) => self.objects(Event::Written { object, upto }, Bytes::new()),
            Answer::Sealed(object) => self.objects(Event::Sealed(object), Bytes::new()),
            Answer::Read(worker, object, at, piece) => {
                self.to_worker(worker, ToWorker::Piece { object, at }, piece);
            }
            Answer::Failed(object, stopped) => self.object_failed(object, stopped),
        }
    }

    fn object_failed(&mut self, object: ObjectId, stopped: Stopped) {
        tracing::warn!(%object, "{}", stopped.message);
        self.objects(Event::Failed { object, stopped }, Bytes::new());
    }
}
