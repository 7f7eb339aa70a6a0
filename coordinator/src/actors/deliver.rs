//! How results reach a job's client: each is told, and kept until the client has taken it over.

use bytes::Bytes;
use shared::{id::JobId, wire::client::ToClient};

use crate::{
    actors::{coordinator::Coordinator, desk::Undelivered},
    core::{event::Event, ticket::Ticket},
    untaken::Results,
    writer::Order,
};

impl Coordinator {
    /// Outcomes up to this ticket are durable.
    pub(super) fn deliver(&mut self, job: JobId, upto: Ticket) {
        let Some(desk) = self.desks.get_mut(&job) else { return };
        let was_behind = desk.untaken.is_too_much();
        let mut told = Vec::new();
        while let Some(due) = desk.undelivered.pop_front_if(|due| due.ticket <= upto) {
            if !due.results.tasks.is_empty() {
                desk.untaken.push(due.results.clone());
            }
            told.push(due);
        }
        let behind = !was_behind && desk.untaken.is_too_much();
        for Undelivered { results, failures, .. } in told {
            self.tell_results(job, results);
            for (task, failure) in failures {
                let failure = Box::new(failure);
                self.to_client(job, ToClient::Failed { job, task, failure }, Bytes::new());
            }
        }
        if behind {
            self.on(Event::ClientBehind { job, behind });
        }
    }

    fn tell_results(&self, job: JobId, Results { tasks, values }: Results) {
        if !tasks.is_empty() {
            self.to_client(job, ToClient::Results { job, values: tasks }, values);
        }
    }

    /// Tells a client that has come back what it was told, and has perhaps not heard.
    pub(super) fn tell_again(&mut self, job: JobId) {
        let again = self.desks.get_mut(&job).map(|desk| desk.untaken.again());
        again.into_iter().flatten().for_each(|results| self.tell_results(job, results));
    }

    /// A client has taken over results of a job.
    pub(super) fn taken(&mut self, job: JobId, bytes: u64) {
        let Some(desk) = self.desks.get_mut(&job) else { return };
        let was_behind = desk.untaken.is_too_much();
        desk.untaken.taken(bytes);
        if was_behind && !desk.untaken.is_too_much() {
            if std::mem::take(&mut desk.pauses) {
                desk.write(Order::Tell);
            }
            self.on(Event::ClientBehind { job, behind: false });
        }
        self.end_unless_owed(job);
    }

    /// A job's files are closed.
    pub(super) fn closed(&mut self, job: JobId) {
        if let Some(desk) = self.desks.get_mut(&job) {
            desk.closed = true;
        }
        self.end_unless_owed(job);
    }

    /// A job whose files are closed ends when its client has taken all over, or is not waited for any more: what it has
    /// not heard would be lost with the job.
    pub(super) fn end_unless_owed(&mut self, job: JobId) {
        if self.desks.get(&job).is_some_and(|desk| desk.closed && !desk.is_owed()) {
            self.on(Event::Closed(job));
        }
    }

    /// Nobody wants what a job has left for a client that is away.
    pub(super) fn wait_no_longer(&mut self, job: JobId) {
        if let Some(desk) = self.desks.get_mut(&job).filter(|desk| desk.client.is_none()) {
            desk.client_gone = None;
            self.end_unless_owed(job);
        }
    }

    /// Sends values that the checkpoint had before, as far as the client can take them. Nobody waits for one that is
    /// gone, nor the workers of an earlier life for its client: it asks again for what it has missed.
    pub(super) fn tell_known(&mut self, job: JobId, piece: Results) {
        let Some(desk) = self.desks.get_mut(&job) else { return };
        if desk.client.is_none() || desk.recovered {
            return desk.write(Order::Enough);
        }
        desk.untaken.push(piece.clone());
        desk.pauses = desk.untaken.is_too_much();
        if !desk.pauses {
            desk.write(Order::Tell);
        }
        self.tell_results(job, piece);
    }
}
