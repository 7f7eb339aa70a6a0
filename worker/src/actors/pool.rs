//! Pool: the processes of a node. It starts them, hands each what is meant for it, and hears from the keeper of their
//! ends. A fresh pool first has everything ended that an earlier one may have left.
//!
//! Its children are temporary: a slot's next life is the core's to decide. Invariant: every life that was ordered is
//! reported as ended, by its own actor, or by the pool if the actor is lost.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Running};
use bytes::Bytes;
use shared::{
    endpoint::Endpoint,
    id::JobId,
    inject,
    job::{CommandSpec, FunctionSpec, JobSpec, Work},
    supervision::{self, Exit, Family, Parent, Policy, Strategy},
    wire::child::Load,
};

use crate::{
    actors::{
        node::Node,
        preload::Preloading,
        process::Process,
        said::{Happened, Kept, Order, PoolReady, ProcessOrder},
    },
    config::Config,
    core::{
        Life, ProcessEvent,
        command::{Captured, Template},
        event::{Ending, How, Toll},
        preload::Told,
    },
    launch::{LaunchError, Launched, Launcher},
    machine::oom_kills,
    process::event::{ExitStatus, KeeperEvent, SpawnStage, Ticket},
    registry::Registry,
};

/// A value larger than this does not fit into a frame on the network, nor into one of a checkpoint.
const VALUE_LIMIT: u64 = 60 << 20;
/// The same for a value that goes to a client of this machine, and to nobody else.
const LOCAL_VALUE_LIMIT: u64 = 1 << 30;

/// So many lost process actors within the time are the pool's own fault.
const LOST_ACTORS: (usize, Duration) = (5, Duration::from_secs(60));

/// See the module.
pub struct Pool {
    family: Family<Life>,
    pub(super) config: Config,
    pub(super) node: Addr<Node>,
    registry: Registry,
    launcher: Option<Launcher>,
    templates: HashMap<JobId, Rc<Template>>,
    pub(super) preloading: HashMap<JobId, Preloading>,
    processes: HashMap<Life, Addr<Process>>,
    tickets: HashMap<Ticket, Life>,
    lost: VecDeque<Instant>,
}

impl Pool {
    /// A pool without processes.
    pub fn new(config: Config, node: Addr<Node>, registry: Registry) -> Pool {
        Pool {
            family: Family::new("pool", Policy::new(Strategy::OneForOne)),
            config,
            node,
            registry,
            launcher: None,
            templates: HashMap::new(),
            preloading: HashMap::new(),
            processes: HashMap::new(),
            tickets: HashMap::new(),
            lost: VecDeque::new(),
        }
    }

    fn open(&mut self) -> Result<(), LaunchError> {
        let keeping = &self.config.keeping;
        self.launcher = Some(Launcher::new(keeping, self.config.python.clone())?);
        self.registry.clear();
        Ok(keeping.spawner.end_all()?)
    }

    pub(super) fn launcher(&self) -> &Launcher {
        self.launcher.as_ref().expect("a pool that started has a launcher")
    }

    fn execute(
        &mut self,
        life: Life,
        spec: &JobSpec,
        command: &CommandSpec,
        key: &Bytes,
    ) -> Result<Launched, LaunchError> {
        let fresh = || Rc::new(Template::new(command));
        let template = Rc::clone(self.templates.entry(spec.id).or_insert_with(fresh));
        self.launcher().command(life.slot, spec.id, command, &template, key)
    }

    fn start(&mut self, life: Life, spec: &Arc<JobSpec>, key: &Bytes, ctx: &mut Context<Pool>) {
        match &spec.work {
            Work::Function(function) if !function.preload.is_empty() => {
                self.preloading.entry(spec.id).or_insert_with(|| Preloading::new(Arc::clone(spec)));
                self.told(spec.id, Told::Wanted(life), ctx);
            }
            Work::Function(function) => {
                let launched = self.launcher().child(spec.id, function);
                self.begin(life, launched, Some(self.load(spec, function)));
            }
            Work::Command(command) => {
                let launched = self.execute(life, spec, command, key);
                self.begin(life, launched, None);
            }
        }
    }

    /// What a child is told first.
    pub(super) fn load(&self, spec: &JobSpec, function: &FunctionSpec) -> Load {
        Load {
            module: function.module.clone(),
            function: function.function.clone(),
            path: function.path.clone(),
            pickled: function.pickled.clone(),
            version: function.version.clone(),
            packages: function.packages.clone(),
            mark: None,
            memory: spec.limits.memory,
            value_limit: match (&self.config.endpoint, &spec.checkpoint) {
                (Endpoint::Door(_), None) => LOCAL_VALUE_LIMIT,
                (Endpoint::Door(_) | Endpoint::Network { .. }, _) => VALUE_LIMIT,
            },
            shape: spec.checkpoint.as_ref().map(|spec| spec.shape.clone()).unwrap_or_default(),
            objects: spec.objects.clone(),
        }
    }

    /// A process was asked for: it gets its actor.
    pub(super) fn begin(&mut self, life: Life, launched: Result<Launched, LaunchError>, load: Option<Load>) {
        let launched = match launched {
            Ok(launched) => launched,
            Err(error) => return self.report_end(life, How::NotStarted(error.to_string())),
        };
        let load = load.map(|load| Load { mark: launched.mark.clone(), ..load });
        let beacon = launched.child.as_ref().map(|(_, beacon)| Arc::clone(beacon));
        self.registry.insert(life, beacon);
        self.tickets.insert(launched.ticket, life);
        let (node, spawner) = (self.node.clone(), self.config.keeping.spawner.clone());
        let start = move |ctx: &mut Context<Process>| {
            Process::new(life, launched, load, node, spawner, ctx.address())
        };
        if let Some(process) = self.family.spawn_temporary(life, start) {
            self.processes.insert(life, process);
        }
    }

    pub(super) fn report_end(&self, life: Life, how: How) {
        let (stdout, stderr, toll) = (Captured::default(), Captured::default(), Toll::default());
        let ending = Ending { how, running: 0, stdout, stderr, toll };
        self.node.do_send(Happened(life, ProcessEvent::Ended(ending)));
    }

    /// The keeper has reaped a process, or could not start it.
    fn gone(&mut self, ticket: Ticket, how: How, toll: Toll, ctx: &mut Context<Pool>) {
        let Some(life) = self.tickets.remove(&ticket) else { return self.template_gone(ticket, &how, ctx) };
        self.registry.remove(life);
        match self.processes.get(&life) {
            Some(process) => process.do_send(ProcessOrder::Gone(how, toll)),
            None => self.report_end(life, How::Lost),
        }
    }

    /// An actor ended otherwise than by reporting the end of its process.
    fn actor_lost(&mut self, life: Life, exit: &Exit, ctx: &mut Context<Pool>) {
        match self.tickets.iter().find(|(_, other)| **other == life) {
            // `gone` reports the end.
            Some((ticket, _)) => drop(self.config.keeping.spawner.kill_tree(*ticket)),
            None => self.report_end(life, How::Lost),
        }
        let now = Instant::now();
        self.lost.retain(|at| now.saturating_duration_since(*at) < LOST_ACTORS.1);
        self.lost.push_back(now);
        if self.lost.len() > LOST_ACTORS.0 {
            supervision::fail(ctx, format!("process actors are lost again and again, the last one {exit}"));
        }
    }
}

impl Actor for Pool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start_children(ctx);
        if let Err(error) = self.open() {
            supervision::fail(ctx, error);
        }
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_children(ctx)
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        // Without a keeper there is nothing left to be ended.
        let _ = self.config.keeping.spawner.end_all();
    }
}

impl Parent for Pool {
    type Slot = Life;

    fn family(&mut self) -> &mut Family<Life> {
        &mut self.family
    }

    fn start_child(&mut self, life: Life, _: &mut Context<Self>) {
        unreachable!("{life:?} is temporary");
    }

    fn child_ended(&mut self, life: Life, exit: &Exit, ctx: &mut Context<Self>) {
        self.processes.remove(&life);
        if !exit.is_orderly() {
            self.actor_lost(life, exit, ctx);
        }
    }
}

impl Handler<Order> for Pool {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Context<Self>) {
        inject::point("pool");
        match order {
            Order::Start(life, spec) => self.start(life, &spec, &Bytes::new(), ctx),
            Order::Execute(life, spec, key) => self.start(life, &spec, &key, ctx),
            Order::Process(life, order) => match self.processes.get(&life) {
                Some(process) => process.do_send(order),
                None => self.unwanted(life, ctx),
            },
            Order::Forget(job) => {
                self.templates.remove(&job);
                self.forget_preloading(job);
            }
        }
    }
}

impl Handler<Kept> for Pool {
    type Result = ();

    fn handle(&mut self, Kept(event): Kept, ctx: &mut Context<Self>) {
        inject::point("pool");
        match event {
            KeeperEvent::Spawned { ticket, pid } => {
                if let Some(life) = self.tickets.get(&ticket) {
                    let pid = pid.as_raw().cast_unsigned();
                    self.registry.spawned(*life, pid);
                    self.node.do_send(Happened(*life, ProcessEvent::Spawned { pid }));
                    if let Some(process) = self.processes.get(life) {
                        process.do_send(ProcessOrder::Begun { pid });
                    }
                }
            }
            KeeperEvent::SpawnFailed { ticket, failure } => {
                let why = failure.to_string();
                let how = if failure.stage == SpawnStage::Withdrawn {
                    How::Withdrawn
                } else if failure.is_lasting() {
                    How::NoProgram(why)
                } else {
                    How::NotStarted(why)
                };
                self.gone(ticket, how, Toll::default(), ctx);
            }
            KeeperEvent::Exited { ticket, exit, .. } => {
                let how = match exit.status {
                    ExitStatus::Code(code) => How::Exited(code),
                    ExitStatus::Signal { number, .. } => How::Signalled(number),
                };
                let is_kill = how == How::Signalled(libc::SIGKILL);
                let toll = Toll { peak: exit.max_rss, oom_kills: is_kill.then(oom_kills).flatten() };
                self.gone(ticket, how, toll, ctx);
            }
            KeeperEvent::AllEnded { left } => {
                if left > 0 {
                    tracing::error!(left, "processes of an earlier pool could not be killed");
                }
                self.node.do_send(PoolReady);
            }
            KeeperEvent::Signal(_) | KeeperEvent::Lost => {}
        }
    }
}
