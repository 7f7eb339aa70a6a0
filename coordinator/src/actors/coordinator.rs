//! Coordinator: turns mail into events for the core, and has its effects carried out.
//!
//! It holds the core, a desk per job, and the way to each peer. It does not decide: what a message means for a job is
//! the core's business, how an effect is carried out is in `carry_out`.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Running};
use bytes::Bytes;
use shared::{
    id::{Epoch, JobId, TaskRange, WorkerId},
    inject,
    supervision::{self, Exit, Family, Parent, Policy, Strategy},
    wire::{
        Hello,
        client::ToClient,
        worker::{Status, ToWorker},
    },
};

use crate::{
    actors::{
        checkpointer::{Checkpointer, checkpointer},
        desk::Desk,
        said::{Arrived, ClientSaid, SessionId, SessionSilent, WorkerSaid},
        session::{Out, Outbox, Session},
        storekeeper::{Stored, Storekeeper},
    },
    config::Config,
    core::{Core, event::Event, objects},
    depot,
    shelf::Shelf,
    writer::Order,
};

/// How often time is told to the core, and progress to clients.
const TICK: Duration = Duration::from_millis(100);

/// The children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Child {
    Checkpointer(JobId),
    Session(SessionId),
    Storekeeper,
}

/// A connected peer.
pub struct Peer {
    pub hello: Hello,
    pub outbox: Outbox,
    /// What a worker said it is.
    pub worker: Option<WorkerId>,
    /// Jobs that a worker has been told of, and not yet of their end.
    pub told: HashSet<JobId>,
    /// How many processes a worker said it runs, and how it is.
    pub slots: u16,
    pub status: Option<Status>,
    /// How often a client has asked to watch the workers.
    pub watches: u32,
}

/// See the module.
pub struct Coordinator {
    pub(super) family: Family<Child>,
    pub(super) config: Config,
    pub(super) shelf: Rc<RefCell<Shelf>>,
    pub(super) core: Core,
    pub(super) desks: BTreeMap<JobId, Desk>,
    pub(super) peers: HashMap<SessionId, Peer>,
    pub(super) workers: HashMap<WorkerId, SessionId>,
    /// The report that is being handled: its tasks and its values.
    pub(super) arriving: Option<(Vec<TaskRange>, Bytes)>,
    /// What workers said before every recovered job was open: until then its outcomes would be strangers' ones.
    pub(super) early: Vec<WorkerSaid>,
    /// Who has the bytes of objects, once a job needs one.
    pub(super) storekeeper: Option<Addr<Storekeeper>>,
    /// Checkpointers whose job has ended.
    pub(super) ended: Vec<Child>,
    sessions: u64,
    pub(super) me: Addr<Coordinator>,
}

impl Coordinator {
    /// A coordinator that recovers from this shelf.
    pub fn new(config: Config, shelf: Rc<RefCell<Shelf>>, me: Addr<Coordinator>) -> Coordinator {
        Coordinator {
            family: Family::new("coordinator", Policy::new(Strategy::OneForOne)),
            config,
            shelf,
            core: Core::new(Epoch(0), [], Instant::now()),
            desks: BTreeMap::new(),
            peers: HashMap::new(),
            workers: HashMap::new(),
            arriving: None,
            early: Vec::new(),
            storekeeper: None,
            ended: Vec::new(),
            sessions: 0,
            me,
        }
    }

    fn recover(&mut self) -> std::io::Result<()> {
        let (epoch, workers) = self.shelf.borrow_mut().next_epoch()?;
        self.core = Core::new(epoch, workers, Instant::now() + self.config.lease);
        let jobs: Vec<JobId> = self.shelf.borrow().jobs.keys().copied().collect();
        if self.config.state_dir.as_deref().is_some_and(|state| depot::below(state).exists()) {
            self.open_depot();
        }
        for job in jobs {
            tracing::info!(%job, "going on with a job");
            self.open_desk(job, true);
        }
        Ok(())
    }

    /// Starts the checkpointer of a job that is on the shelf.
    pub(super) fn open_desk(&mut self, id: JobId, recovered: bool) {
        let shelf = self.shelf.borrow();
        let Some(stored) = shelf.jobs.get(&id) else { return };
        let (spec, dir, me) = (stored.spec.clone(), shelf.job_dir(id), self.me.clone());
        let start = {
            let spec = spec.clone();
            move |ctx: &mut Context<Checkpointer>| checkpointer(spec, dir, me, ctx)
        };
        if let Some(checkpointer) = self.family.spawn_temporary(Child::Checkpointer(id), start) {
            let mut desk = Desk::new(spec.clone(), stored.tasks.clone(), stored.complete, checkpointer);
            (desk.client_gone, desk.recovered) = (Some(Instant::now()), recovered);
            self.desks.insert(id, desk);
            drop(shelf);
            self.provide(&spec, recovered);
        }
    }

    /// Tells the core, and carries out what it asks for.
    pub(super) fn on(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.core.on(event, Instant::now(), &mut effects);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    pub(super) fn to_client(&self, job: JobId, message: ToClient, payload: Bytes) {
        if let Some(client) = self.desks.get(&job).and_then(|desk| desk.client) {
            self.to_session(client, message, payload);
        }
    }

    pub(super) fn to_session(&self, session: SessionId, message: ToClient, payload: Bytes) {
        if let Some(peer) = self.peers.get(&session) {
            let _ = peer.outbox.send(Out::Client(message, payload));
        }
    }

    pub(super) fn to_worker(&self, worker: WorkerId, message: ToWorker, payload: Bytes) {
        let session = self.workers.get(&worker);
        if let Some(peer) = session.and_then(|session| self.peers.get(session)) {
            let _ = peer.outbox.send(Out::Worker(message, payload));
        }
    }

    fn session_ended(&mut self, session: SessionId) {
        let Some(mut peer) = self.peers.remove(&session) else { return };
        let mut left = Vec::new();
        for (job, desk) in self.desks.iter_mut().filter(|(_, desk)| desk.client == Some(session)) {
            (desk.client, desk.client_gone) = (None, Some(Instant::now()));
            if std::mem::take(&mut desk.pauses) {
                desk.write(Order::Enough);
            }
            left.push(*job);
        }
        for job in left {
            self.objects(objects::Event::ClientGone(job), Bytes::new());
        }
        self.left(session);
        if let Some(worker) = peer.worker {
            self.objects(objects::Event::WorkerGone(worker), Bytes::new());
        }
        if let Some(worker) = peer.worker.filter(|worker| self.workers.get(worker) == Some(&session)) {
            self.workers.remove(&worker);
            tracing::warn!(%worker, host = peer.hello.host, "lost the connection to a worker");
            self.on(Event::WorkerAway(worker));
        }
        peer.status = None;
        self.tell_watchers(&peer);
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        for child in std::mem::take(&mut self.ended) {
            self.stop_child(child, ctx);
        }
        self.on(Event::Tick);
        let grace = self.config.client_grace;
        let abandoned: Vec<JobId> = self
            .desks
            .iter_mut()
            .filter(|(job, desk)| desk.is_abandoned(grace, self.core.objects.lacks(**job)))
            .map(|(job, desk)| (desk.client_gone = None, *job).1)
            .collect();
        abandoned.into_iter().for_each(|job| self.abandon(job));
        self.tell_progress();
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start_children(ctx);
        if let Err(error) = self.recover() {
            return supervision::fail(
                ctx,
                format!("failed to begin a new epoch in the state directory: {error}"),
            );
        }
        ctx.run_interval(TICK, Coordinator::tick);
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        // From now on it is we who hang up.
        self.peers.clear();
        self.storekeeper = None;
        self.stop_children(ctx)
    }
}

impl Parent for Coordinator {
    type Slot = Child;

    fn family(&mut self) -> &mut Family<Child> {
        &mut self.family
    }

    fn start_child(&mut self, slot: Child, _: &mut Context<Self>) {
        unreachable!("{slot:?} is temporary");
    }

    fn child_ended(&mut self, slot: Child, exit: &Exit, ctx: &mut Context<Self>) {
        match slot {
            Child::Session(session) => self.session_ended(session),
            // All of us end, and were asked to.
            Child::Checkpointer(_) | Child::Storekeeper if exit.is_orderly() => {}
            Child::Checkpointer(job) if self.desks.contains_key(&job) => {
                // What it had not synced is known to the workers alone: begin again from what is durable.
                supervision::fail(ctx, format!("the checkpointer of job {job} ended: {exit}"));
            }
            Child::Checkpointer(_) => {}
            Child::Storekeeper if self.storekeeper.is_some() => {
                // What it had not sealed is asked for again by the next coordinator.
                supervision::fail(ctx, format!("the storekeeper ended: {exit}"));
            }
            Child::Storekeeper => {}
        }
    }
}

impl Handler<Arrived> for Coordinator {
    type Result = ();

    fn handle(&mut self, Arrived(connection): Arrived, _: &mut Context<Self>) {
        inject::point("coordinator");
        self.sessions += 1;
        let id = SessionId(self.sessions);
        let hello = connection.peer.clone();
        let (outbox, inbox) = tokio::sync::mpsc::unbounded_channel();
        let (lease, me) = (self.config.lease, self.me.clone());
        let start = move |_: &mut Context<Session>| Session::new(id, connection, inbox, lease, me);
        if self.family.spawn_temporary(Child::Session(id), start).is_some() {
            let (told, status) = (HashSet::new(), None);
            let peer = Peer { hello, outbox, worker: None, told, slots: 0, status, watches: 0 };
            self.peers.insert(id, peer);
        }
    }
}

impl Handler<WorkerSaid> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: WorkerSaid, _: &mut Context<Self>) {
        inject::point("coordinator");
        if self.is_recovering() {
            return self.early.push(message);
        }
        let WorkerSaid { session, said, payload } = message;
        self.worker_said(session, said, payload);
    }
}

impl Handler<ClientSaid> for Coordinator {
    type Result = ();

    fn handle(&mut self, ClientSaid { session, said, payload }: ClientSaid, _: &mut Context<Self>) {
        inject::point("coordinator");
        self.client_said(session, said, &payload);
    }
}

impl Handler<SessionSilent> for Coordinator {
    type Result = ();

    fn handle(&mut self, SessionSilent(session): SessionSilent, _: &mut Context<Self>) {
        if let Some(worker) = self.peers.get(&session).and_then(|peer| peer.worker) {
            tracing::warn!(%worker, "a worker was silent for its whole lease; its tasks go to others");
            self.workers.remove(&worker);
            self.on(Event::WorkerLost(worker));
        }
    }
}

impl Handler<Stored> for Coordinator {
    type Result = ();

    fn handle(&mut self, Stored(answer): Stored, _: &mut Context<Self>) {
        self.stored(answer);
    }
}
