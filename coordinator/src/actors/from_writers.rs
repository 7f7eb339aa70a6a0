//! What the writers of jobs answer to the coordinator.

use actix::{Context, Handler};
use bytes::Bytes;
use shared::{
    id::JobId,
    job::Existing,
    shape::ValueShape,
    task_set::TaskSet,
    wire::client::{Stopped, ToClient},
};

use crate::{
    actors::{checkpointer::JobAnswered, coordinator::Coordinator, desk::Opening},
    core::event::Event,
    writer::Answer,
};

impl Coordinator {
    fn answered(&mut self, id: JobId, answer: Answer) {
        let Some(desk) = self.desks.get_mut(&id) else { return };
        match answer {
            Answer::Opened(shape) => self.opened(id, TaskSet::default(), &shape),
            Answer::NeedsTasks if desk.complete => desk.scan(),
            Answer::NeedsTasks => {
                desk.opening = Opening::NeedsTasks;
                self.go_on_stopping(id);
            }
            Answer::Known(piece) => self.tell_known(id, piece),
            Answer::Scanned(values, shape) => self.opened(id, values, &shape),
            Answer::Stored => {
                desk.keys_stored = true;
                if !self.core.objects.lacks(id) {
                    self.to_client(id, ToClient::Stored(id), Bytes::new());
                }
            }
            Answer::Note(text) => {
                tracing::info!(job = %id, "{text}");
                self.to_all(id, &ToClient::Note(text));
            }
            Answer::Durable(upto) => self.on(Event::Durable { job: id, upto }),
            Answer::StopKept => self.to_followers(id, &ToClient::Stopping(id)),
            Answer::Closed => self.closed(id),
            Answer::Ended(summary) => self.ended(id, *summary),
            Answer::Failed(stopped) => self.fail_job(id, stopped),
        }
    }

    /// The checkpoint is open and its values are known: the core can have the job.
    fn opened(&mut self, job: JobId, skipped: TaskSet, shape: &ValueShape) {
        // A restart goes on from the new file instead of setting it aside, too, and checks values as we do.
        if let Some(stored) = self.shelf.borrow_mut().jobs.get_mut(&job) {
            stored.spec.settle(shape);
        }
        let Some(desk) = self.desks.get_mut(&job) else { return };
        desk.opening = Opening::Open;
        let is_new = desk.spec.checkpoint.as_ref().is_some_and(|kept| kept.existing == Existing::SetAside);
        desk.spec.settle(shape);
        let (limits, batch_size, complete) = (desk.spec.limits.clone(), desk.spec.batch_size, desk.complete);
        let (count, bytes) = (desk.tasks().len(), desk.tasks().key_bytes());
        let behind = desk.untaken.is_too_much();
        if is_new {
            self.to_client(job, ToClient::SetAside(job), Bytes::new());
        }
        self.on(Event::JobOpened { job, limits, batch_size });
        self.on(Event::ObjectsLack { job, lack: self.core.objects.lacks(job) });
        self.on(Event::ClientBehind { job, behind });
        self.on(Event::TasksAdded { job, count, bytes, skipped });
        if complete {
            self.on(Event::TasksComplete(job));
        }
        self.go_on_stopping(job);
        self.hear_early();
    }

    /// Lets the core know of a job that ends before its checkpoint is open.
    pub(super) fn open_to_end(&mut self, job: JobId) {
        let Some(desk) = self.desks.get_mut(&job).filter(|desk| desk.opening != Opening::Open) else {
            return;
        };
        desk.opening = Opening::Open;
        let (limits, batch_size) = (desk.spec.limits.clone(), desk.spec.batch_size);
        self.on(Event::JobOpened { job, limits, batch_size });
    }

    pub(super) fn fail_job(&mut self, job: JobId, stopped: Stopped) {
        tracing::info!(%job, "a job cannot go on: {}", stopped.message);
        self.open_to_end(job);
        self.on(Event::JobFailed { job, stopped });
        self.hear_early();
    }
}

impl Handler<JobAnswered> for Coordinator {
    type Result = ();

    fn handle(&mut self, JobAnswered { job, answer }: JobAnswered, _: &mut Context<Self>) {
        self.answered(job, answer);
    }
}
