//! A job's desk: everything about one job that the core does not need to know.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use actix::Addr;
use bytes::Bytes;
use shared::{id::TaskIndex, job::JobSpec, outcome::Failure, tasks::TaskList, wire::client::Progress};

use crate::{
    actors::{checkpointer::Checkpointer, clerk::Do, said::SessionId},
    core::ticket::Ticket,
    untaken::{Results, Untaken},
    writer::Order,
};

/// How far the job's checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The writer has not answered yet.
    Asked,
    /// There is one; it is read when all tasks are known.
    NeedsTasks,
    /// It is being read.
    Scanning,
    /// The core has the job.
    Open,
}

/// Outcomes that the client gets when they are durable.
pub struct Undelivered {
    pub ticket: Ticket,
    pub results: Results,
    pub failures: Vec<(TaskIndex, Failure)>,
}

/// See the module.
pub struct Desk {
    pub spec: JobSpec,
    pub opening: Opening,
    pub complete: bool,
    /// It was on the shelf when this coordinator began: workers may hold tasks and outcomes of it.
    pub recovered: bool,
    pub client: Option<SessionId>,
    pub client_gone: Option<Instant>,
    /// Others who are told of it.
    pub followers: BTreeSet<SessionId>,
    pub told: Option<Progress>,
    pub undelivered: VecDeque<Undelivered>,
    pub untaken: Untaken,
    /// The client has too much to read for being told more of what its checkpoint had.
    pub pauses: bool,
    /// Its client was told something of the workers.
    pub remarked: bool,
    /// All its keys are durable.
    pub keys_stored: bool,
    /// Its files are closed.
    pub closed: bool,
    tasks: Arc<RwLock<TaskList>>,
    checkpointer: Addr<Checkpointer>,
}

impl Desk {
    /// A desk for a job whose checkpointer has just been started.
    pub fn new(
        spec: JobSpec,
        tasks: Arc<RwLock<TaskList>>,
        complete: bool,
        checkpointer: Addr<Checkpointer>,
    ) -> Desk {
        Desk {
            spec,
            opening: Opening::Asked,
            complete,
            recovered: false,
            client: None,
            client_gone: None,
            followers: BTreeSet::new(),
            told: None,
            undelivered: VecDeque::new(),
            untaken: Untaken::default(),
            pauses: false,
            remarked: false,
            keys_stored: false,
            closed: false,
            tasks,
            checkpointer,
        }
    }

    /// The job's tasks.
    pub fn tasks(&self) -> RwLockReadGuard<'_, TaskList> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job's tasks, to add some.
    pub fn tasks_mut(&mut self) -> RwLockWriteGuard<'_, TaskList> {
        self.tasks.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task's key.
    pub fn key(&self, task: TaskIndex) -> Bytes {
        Bytes::copy_from_slice(self.tasks().key(task))
    }

    /// Gives the writer an order.
    pub fn write(&self, order: Order) {
        self.checkpointer.do_send(Do(order));
    }

    /// Has the checkpoint read, now that all tasks are known.
    pub fn scan(&mut self) {
        self.opening = Opening::Scanning;
        self.write(Order::Scan(Arc::clone(&self.tasks)));
    }

    /// Whether it has waited so long for a client that it needs. A detached job does until all of its tasks are here, and
    /// any while it `lacks` something that its client alone has, or has nothing left but to be taken over; an attached one
    /// may go on for somebody else who follows it, unless its client alone can take its values.
    pub fn is_abandoned(&self, grace: Duration, lacks: bool) -> bool {
        let is_followed = !self.followers.is_empty() && !self.spec.wants_results;
        let is_needed = !self.complete || lacks || self.closed || (!self.spec.detached && !is_followed);
        is_needed && self.client_gone.is_some_and(|since| since.elapsed() >= grace)
    }

    /// Somebody does not follow it any more: one that went on for them waits for its client from now on.
    pub fn left(&mut self, session: SessionId, lacks: bool) {
        let is_followed = self.complete && !lacks && !self.spec.wants_results;
        if self.followers.remove(&session) && is_followed && self.client.is_none() {
            self.client_gone = Some(Instant::now());
        }
    }

    /// Whether it has ended but for its client, who has not taken all over and is waited for.
    pub fn is_owed(&self) -> bool {
        !self.untaken.is_empty() && (self.client.is_some() || self.client_gone.is_some())
    }
}

#[cfg(test)]
mod tests {
    use actix::{AsyncContext, Context};
    use shared::{
        id::JobId,
        job::{CommandSpec, Work},
    };

    use super::*;

    const GRACE: Duration = Duration::from_secs(3600);

    /// A job that somebody follows, and whose client has been gone for the grace.
    fn followed(wants_results: bool, complete: bool) -> Desk {
        let work = Work::Command(CommandSpec::default());
        let spec = JobSpec { wants_results, ..JobSpec::new(JobId(1), work) };
        let mut desk = Desk::new(spec, Arc::default(), complete, Context::new().address());
        desk.client_gone = Instant::now().checked_sub(GRACE);
        assert!(desk.client_gone.is_some());
        desk.followers.insert(SessionId(1));
        desk
    }

    #[test]
    fn reproduces_a_job_that_lived_on_by_followers_who_could_not_keep_it() {
        for (wants_results, complete, lacks) in
            [(true, true, false), (false, false, false), (false, true, true)]
        {
            let mut desk = followed(wants_results, complete);
            assert!(desk.is_abandoned(GRACE, lacks));
            desk.left(SessionId(1), lacks);
            assert!(desk.is_abandoned(GRACE, lacks), "{wants_results} {complete} {lacks}");
        }
    }

    #[test]
    fn a_job_that_was_followed_waits_for_its_client_from_when_that_ends() {
        let mut desk = followed(false, true);
        assert!(!desk.is_abandoned(GRACE, false));
        desk.left(SessionId(1), false);
        assert!(!desk.is_abandoned(GRACE, false) && desk.is_abandoned(Duration::ZERO, false));
    }
}
