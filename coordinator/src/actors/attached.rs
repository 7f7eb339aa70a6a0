//! Clients that are told of jobs which others have submitted. They decide nothing about a job but whether it is waited for.

use std::time::{Instant, UNIX_EPOCH};

use bytes::Bytes;
use shared::{
    id::JobId,
    wire::client::{Listed, Progress, Stopped, ToClient},
};

use crate::{
    actors::{coordinator::Coordinator, said::SessionId, session::Out},
    shelf::Stored,
};

/// How many characters of a job's work, and of why it was stopped, are told.
const TOLD: usize = 200;
/// How many bytes a list of jobs may have, roughly: a message has 1 MiB. The latest ones are told.
const LIST: usize = 512 << 10;
/// What a job in it takes besides its texts.
const ENTRY: usize = 400;

impl Coordinator {
    pub(super) fn attach(&mut self, session: SessionId, job: JobId) {
        let found =
            self.shelf.borrow().jobs.get(&job).map(|stored| (self.listed(stored), stored.summary.clone()));
        let Some((listed, summary)) = found else { return self.to_session(session, ToClient::Unknown(job)) };
        self.to_session(session, ToClient::Attached(Box::new(listed)));
        if let Some(summary) = summary {
            return self.to_session(session, ToClient::Finished(Box::new(summary)));
        }
        if let Some(desk) = self.desks.get_mut(&job) {
            tracing::info!(%job, "another client follows a job");
            desk.followers.insert(session);
            // So that all are told how far it is, with the next tick.
            desk.told = None;
        }
    }

    pub(super) fn list(&self, session: SessionId) {
        let shelf = self.shelf.borrow();
        let mut jobs: Vec<&Stored> = shelf.jobs.values().collect();
        jobs.sort_by_key(|stored| std::cmp::Reverse(stored.began));
        let mut room = LIST;
        let fits = |listed: &Listed| {
            let path = listed.checkpoint.as_ref().map_or(0, |path| path.name().as_os_str().len());
            let message = listed.stopped.as_ref().map_or(0, |stopped| stopped.message.len());
            let left = room.checked_sub(ENTRY + listed.work.len() + message + path);
            room = left.unwrap_or(0);
            left.is_some()
        };
        let mut listed: Vec<Listed> =
            jobs.into_iter().map(|stored| self.listed(stored)).take_while(fits).collect();
        listed.reverse();
        self.to_session(session, ToClient::Jobs(listed));
    }

    /// A connection is gone: whom it has followed is left alone from now on, if by its client, too.
    pub(super) fn left(&mut self, session: SessionId) {
        for desk in self.desks.values_mut() {
            if desk.followers.remove(&session) && desk.client.is_none() {
                desk.client_gone = Some(Instant::now());
            }
        }
    }

    /// Tells a job's client and whoever else follows it.
    pub(super) fn to_all(&self, job: JobId, message: &ToClient) {
        self.to_client(job, message.clone(), Bytes::new());
        for session in self.desks.get(&job).into_iter().flat_map(|desk| &desk.followers) {
            self.to_session(*session, message.clone());
        }
    }

    fn to_session(&self, session: SessionId, message: ToClient) {
        if let Some(peer) = self.peers.get(&session) {
            let _ = peer.outbox.send(Out::Client(message, Bytes::new()));
        }
    }

    fn listed(&self, stored: &Stored) -> Listed {
        let Stored { spec, summary, .. } = stored;
        let known = || self.core.progress(spec.id);
        let begun = || Progress { tasks: stored.received, complete: stored.complete, ..Progress::default() };
        let progress = summary.as_ref().map(|summary| summary.progress).or_else(known).unwrap_or_else(begun);
        Listed {
            job: spec.id,
            work: told(&spec.work.identity()),
            checkpoint: spec.checkpoint.as_ref().map(|kept| kept.path.clone()),
            began: stored.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            detached: spec.detached,
            followed: self.desks.get(&spec.id).is_some_and(|desk| desk.client.is_some()),
            wants_results: spec.wants_results,
            progress,
            ended: summary.is_some(),
            stopped: summary
                .as_ref()
                .and_then(|summary| summary.stopped.as_ref())
                .map(|stopped| Stopped { why: stopped.why, message: told(&stopped.message) }),
        }
    }
}

fn told(text: &str) -> String {
    text.chars().take(TOLD).collect()
}
