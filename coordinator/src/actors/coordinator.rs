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
    job::JobSpec,
    supervision::{self, Exit, Family, Parent, Policy, Strategy},
    wire::{
        Hello,
        client::{FromClient, StopCause, Stopped, ToClient},
        worker::{FromWorker, Joined, Report, Status, ToWorker},
    },
};

use crate::{
    actors::{
        checkpointer::{Checkpointer, JobAnswered},
        desk::{Desk, Opening},
        said::{Arrived, ClientSaid, SessionId, SessionSilent, WorkerSaid},
        session::{Out, Outbox, Session},
    },
    config::Config,
    core::{
        Core,
        event::{Event, Reported},
    },
    shelf::{Shelf, Stored},
    writer::{Answer, Order},
};

/// How often time is told to the core, and progress to clients.
const TICK: Duration = Duration::from_millis(100);
/// How long an attached job waits for its client to come back.
pub const CLIENT_GRACE: Duration = Duration::from_secs(30);

/// The children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Child {
    Checkpointer(JobId),
    Session(SessionId),
}

/// A connected peer.
pub struct Peer {
    pub hello: Hello,
    pub outbox: Outbox,
    /// What a worker said it is.
    pub worker: Option<WorkerId>,
    /// Jobs that a worker was told of on this connection.
    pub told: HashSet<JobId>,
    pub status: Option<Status>,
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
    /// Checkpointers whose job has ended.
    pub(super) ended: Vec<Child>,
    sessions: u64,
    me: Addr<Coordinator>,
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
            ended: Vec::new(),
            sessions: 0,
            me,
        }
    }

    fn recover(&mut self) -> std::io::Result<()> {
        let (epoch, workers) = self.shelf.borrow_mut().next_epoch()?;
        self.core = Core::new(epoch, workers, Instant::now() + self.config.lease);
        let jobs: Vec<JobId> = self
            .shelf
            .borrow()
            .jobs
            .values()
            .filter(|job| job.summary.is_none())
            .map(|job| job.spec.id)
            .collect();
        for job in jobs {
            tracing::info!(%job, "going on with a job");
            self.open_desk(job);
        }
        Ok(())
    }

    /// Starts the checkpointer of a job that is on the shelf.
    fn open_desk(&mut self, id: JobId) {
        let shelf = self.shelf.borrow();
        let Some(stored) = shelf.jobs.get(&id) else { return };
        let (spec, dir, me) = (stored.spec.clone(), shelf.job_dir(id), self.me.clone());
        let start = {
            let spec = spec.clone();
            move |ctx: &mut Context<Checkpointer>| Checkpointer::new(spec, dir, me, ctx)
        };
        if let Some(checkpointer) = self.family.spawn_temporary(Child::Checkpointer(id), start) {
            let mut desk = Desk::new(spec, stored.tasks.clone(), stored.complete, checkpointer);
            desk.client_gone = Some(Instant::now());
            self.desks.insert(id, desk);
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
        let client = self.desks.get(&job).and_then(|desk| desk.client);
        if let Some(peer) = client.and_then(|session| self.peers.get(&session)) {
            let _ = peer.outbox.send(Out::Client(message, payload));
        }
    }

    pub(super) fn to_worker(&mut self, worker: WorkerId, message: ToWorker, payload: Bytes) {
        let session = self.workers.get(&worker);
        if let Some(peer) = session.and_then(|session| self.peers.get_mut(session)) {
            let _ = peer.outbox.send(Out::Worker(message, payload));
        }
    }

    fn submitted(&mut self, session: SessionId, spec: JobSpec) {
        let id = spec.id;
        let (known, summary) = {
            let mut shelf = self.shelf.borrow_mut();
            let stored = shelf.jobs.entry(id).or_insert_with(|| Stored::new(spec));
            (stored.received, stored.summary.clone())
        };
        if !self.desks.contains_key(&id) && summary.is_none() {
            tracing::info!(job = %id, "a job has come");
            self.open_desk(id);
        }
        let Some(peer) = self.peers.get(&session) else { return };
        let _ = peer.outbox.send(Out::Client(ToClient::Accepted { job: id, known }, Bytes::new()));
        if let Some(summary) = summary {
            let _ = peer.outbox.send(Out::Client(ToClient::Finished(Box::new(summary)), Bytes::new()));
        } else if let Some(desk) = self.desks.get_mut(&id) {
            (desk.client, desk.client_gone, desk.unread) = (Some(session), None, 0);
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
        if let Some(stored) = self.shelf.borrow_mut().jobs.get_mut(&id) {
            stored.received += u64::from(count);
        }
        if open {
            self.on(Event::TasksAdded {
                job: id,
                count: new.len(),
                bytes: keys.len() as u64,
                skipped: Vec::new(),
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

    fn answered(&mut self, id: JobId, answer: Answer) {
        let Some(desk) = self.desks.get_mut(&id) else { return };
        match answer {
            Answer::Opened => self.opened(id, Vec::new()),
            Answer::NeedsTasks if desk.complete => desk.scan(),
            Answer::NeedsTasks => desk.opening = Opening::NeedsTasks,
            Answer::Scanned(values) => self.opened(id, values),
            Answer::Stored => self.to_client(id, ToClient::Stored(id), Bytes::new()),
            Answer::Note(text) => {
                tracing::info!(job = %id, "{text}");
                self.to_client(id, ToClient::Note(text), Bytes::new());
            }
            Answer::Durable(upto) => self.on(Event::Durable { job: id, upto }),
            Answer::Closed => self.on(Event::Closed(id)),
            Answer::Failed(stopped) => self.fail_job(id, stopped),
        }
    }

    /// The checkpoint is open and its values are known: the core can have the job.
    fn opened(&mut self, job: JobId, skipped: Vec<TaskRange>) {
        let Some(desk) = self.desks.get_mut(&job) else { return };
        desk.opening = Opening::Open;
        let (limits, batch_size, complete) = (desk.spec.limits.clone(), desk.spec.batch_size, desk.complete);
        let (count, bytes) = (desk.tasks().len(), desk.tasks().all_keys().len() as u64);
        self.on(Event::JobOpened { job, limits, batch_size });
        self.on(Event::TasksAdded { job, count, bytes, skipped });
        if complete {
            self.on(Event::TasksComplete(job));
        }
    }

    fn fail_job(&mut self, job: JobId, stopped: Stopped) {
        tracing::error!(%job, "{}", stopped.message);
        let Some(desk) = self.desks.get(&job) else { return };
        if desk.opening != Opening::Open {
            self.opened(job, Vec::new());
        }
        self.on(Event::JobFailed { job, stopped });
    }

    fn worker_joined(&mut self, session: SessionId, joined: Joined) {
        let Joined { worker, slots, holds } = joined;
        if let Some(old) = self.workers.insert(worker, session).filter(|old| *old != session) {
            self.peers.remove(&old);
            self.family.kill(Child::Session(old));
        }
        let Some(peer) = self.peers.get_mut(&session) else { return };
        peer.worker = Some(worker);
        let host = peer.hello.host.clone();
        tracing::info!(%worker, host, slots, holds = holds.len(), "a worker has joined");
        self.shelf.borrow_mut().worker_here(worker, true);
        self.on(Event::WorkerJoined { worker, host, slots, holds });
    }

    fn worker_said(&mut self, session: SessionId, said: FromWorker, payload: Bytes) {
        if let FromWorker::Joined(joined) = said {
            return self.worker_joined(session, joined);
        }
        let Some(worker) = self.peers.get(&session).and_then(|peer| peer.worker) else { return };
        match said {
            FromWorker::Report(report) => self.reported(worker, report, payload),
            FromWorker::Returned { batch, tasks } => self.on(Event::Returned { worker, batch, tasks }),
            FromWorker::Unloadable { job, message, traceback } => {
                tracing::warn!(%worker, %job, message, traceback, "a worker cannot load the function");
                self.on(Event::Unloadable { worker, job, message });
            }
            FromWorker::Status(status) => {
                if let Some(peer) = self.peers.get_mut(&session) {
                    peer.status = Some(status);
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

    fn client_said(&mut self, session: SessionId, said: FromClient, payload: &Bytes) {
        match said {
            FromClient::Submit(spec) => self.submitted(session, *spec),
            FromClient::Tasks { job, count } => self.tasks_came(job, count, payload),
            FromClient::TasksEnd { job, total } => self.tasks_ended(job, total),
            FromClient::Cancel { job, now } => self.on(Event::JobCancelled { job, now }),
            FromClient::Taken { job, bytes } => {
                let Some(desk) = self.desks.get_mut(&job) else { return };
                let was_behind = desk.is_behind();
                desk.unread = desk.unread.saturating_sub(bytes);
                if was_behind && !desk.is_behind() {
                    self.on(Event::ClientBehind { job, behind: false });
                }
            }
            FromClient::Heartbeat => {}
        }
    }

    fn session_ended(&mut self, session: SessionId) {
        let Some(peer) = self.peers.remove(&session) else { return };
        for desk in self.desks.values_mut().filter(|desk| desk.client == Some(session)) {
            (desk.client, desk.client_gone) = (None, Some(Instant::now()));
        }
        if let Some(worker) = peer.worker.filter(|worker| self.workers.get(worker) == Some(&session)) {
            self.workers.remove(&worker);
            tracing::warn!(%worker, host = peer.hello.host, "lost the connection to a worker");
            self.on(Event::WorkerAway(worker));
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        for child in std::mem::take(&mut self.ended) {
            self.stop_child(child, ctx);
        }
        self.on(Event::Tick);
        let left = |desk: &Desk| desk.client_gone.is_some_and(|since| since.elapsed() >= CLIENT_GRACE);
        let abandoned: Vec<JobId> = self
            .desks
            .iter_mut()
            .filter(|(_, desk)| !desk.spec.detached && left(desk))
            .map(|(job, desk)| (desk.client_gone = None, *job).1)
            .collect();
        for job in abandoned {
            tracing::warn!(%job, "its client has not come back; stopping the job");
            self.on(Event::JobCancelled { job, now: true });
        }
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
            Child::Checkpointer(job) if self.desks.contains_key(&job) => {
                // What it had not synced is known to the workers alone: begin again from what is durable.
                supervision::fail(ctx, format!("the checkpointer of job {job} ended: {exit}"));
            }
            Child::Checkpointer(_) => {}
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
            let peer = Peer { hello, outbox, worker: None, told: HashSet::new(), status: None };
            self.peers.insert(id, peer);
        }
    }
}

impl Handler<WorkerSaid> for Coordinator {
    type Result = ();

    fn handle(&mut self, WorkerSaid { session, said, payload }: WorkerSaid, _: &mut Context<Self>) {
        inject::point("coordinator");
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

impl Handler<JobAnswered> for Coordinator {
    type Result = ();

    fn handle(&mut self, JobAnswered { job, answer }: JobAnswered, _: &mut Context<Self>) {
        self.answered(job, answer);
    }
}
