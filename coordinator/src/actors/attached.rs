//! Clients that are told of jobs which others have submitted. They decide nothing about a job but whether it is waited for.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use shared::{
    id::JobId,
    wire::client::{Listed, Progress, Stopped, ToClient},
};

use crate::{
    actors::{coordinator::Coordinator, said::SessionId},
    ended::{Card, End},
    shelf::Stored,
};

/// How many characters are told of why a job was stopped.
const TOLD: usize = 200;
/// How many bytes a list of jobs may have, roughly: a message has 1 MiB. The latest ones are told.
const LIST: usize = 512 << 10;
/// What a job in it takes besides its texts.
const ENTRY: usize = 400;

impl Coordinator {
    pub(super) fn attach(&mut self, session: SessionId, job: JobId) {
        let shelf = self.shelf.borrow();
        let open = shelf.jobs.get(&job).map(|stored| (self.open(stored), None));
        let ended = || shelf.end_of(job).map(|end| (over(job, end), Some(end.summary.clone())));
        let Some((listed, summary)) = open.or_else(ended) else {
            return self.to_session(session, ToClient::Unknown(job), Bytes::new());
        };
        drop(shelf);
        self.to_session(session, ToClient::Attached(Box::new(listed)), Bytes::new());
        if let Some(summary) = summary {
            return self.to_session(session, ToClient::Finished(Box::new(summary)), Bytes::new());
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
        let open = shelf.jobs.values().map(|stored| self.open(stored));
        let mut jobs: Vec<Listed> = open.chain(shelf.ends().map(|(job, end)| over(job, end))).collect();
        jobs.sort_by_key(|listed| std::cmp::Reverse(listed.began));
        let mut room = LIST;
        jobs.retain(|listed| {
            let path = listed.checkpoint.as_ref().map_or(0, |path| path.name().as_os_str().len());
            let message = listed.stopped.as_ref().map_or(0, |stopped| stopped.message.len());
            let left = room.checked_sub(ENTRY + listed.work.len() + message + path);
            room = left.unwrap_or(0);
            left.is_some()
        });
        jobs.reverse();
        self.to_session(session, ToClient::Jobs(jobs), Bytes::new());
    }

    /// A connection is gone: whom it has followed is left alone from now on, if by its client, too.
    pub(super) fn left(&mut self, session: SessionId) {
        for (job, desk) in &mut self.desks {
            desk.left(session, self.core.objects.lacks(*job));
        }
    }

    /// Tells a job's client and whoever else follows it.
    pub(super) fn to_all(&self, job: JobId, message: &ToClient) {
        self.to_client(job, message.clone(), Bytes::new());
        self.to_followers(job, message);
    }

    /// Tells whoever else follows it.
    pub(super) fn to_followers(&self, job: JobId, message: &ToClient) {
        for session in self.desks.get(&job).into_iter().flat_map(|desk| &desk.followers) {
            self.to_session(*session, message.clone(), Bytes::new());
        }
    }

    fn open(&self, stored: &Stored) -> Listed {
        let job = stored.spec.id;
        let begun = || Progress { tasks: stored.received, complete: stored.complete, ..Progress::default() };
        let progress = self.core.progress(job).unwrap_or_else(begun);
        let followed = self.desks.get(&job).is_some_and(|desk| desk.client.is_some());
        Listed { followed, ..listed(job, &Card::of(&stored.spec, stored.began), progress) }
    }
}

fn over(job: JobId, end: &End) -> Listed {
    let cut = |message: &str| message.chars().take(TOLD).collect();
    let stopped = end.summary.stopped.as_ref();
    let stopped = stopped.map(|stopped| Stopped { why: stopped.why, message: cut(&stopped.message) });
    Listed { ended: true, stopped, ..listed(job, &end.card, end.summary.progress) }
}

fn listed(job: JobId, card: &Card, progress: Progress) -> Listed {
    Listed {
        job,
        work: card.work.clone(),
        checkpoint: card.checkpoint.clone(),
        began: card.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        detached: card.detached,
        followed: false,
        wants_results: card.wants_results,
        progress,
        ended: false,
        stopped: None,
    }
}
