//! Node: the root of a worker's tree. It holds the core, the reports that no coordinator has acknowledged, and the
//! keys of the batches that are held; it turns mail into events and has the effects carried out.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Running, SpawnHandle};
use bytes::Bytes;
use shared::{
    endpoint::host_name,
    id::{ReportId, WorkerId},
    inject,
    outcome::leaves_no_time,
    supervision::{self, Exit, Family, Parent, Policy, Restart, Strategy},
    wire::worker::{FromWorker, Report, Status, ToWorker},
};
use tokio::task::JoinSet;

use crate::{
    actors::{
        link::Link,
        monitor::Monitor,
        pool::Pool,
        said::{Alarm, Happened, Kept, Linked, Observed, Order, Outbox, PoolReady, Shutdown, Watch},
    },
    config::{Config, LEASE},
    core::{Core, Event, Settings, event::Memory, keys::Keys},
    launch::end_strays,
    process::event::KeeperEvent,
    registry::Registry,
    stock::Stock,
};

/// A silence that is none of the monitor's pauses: somebody has stopped us (Ctrl-Z), or the machine had no time.
const PAUSE: Duration = Duration::from_millis(750);

/// The exit code of a worker that its coordinator does not let in.
const REFUSED: i32 = 5;

/// The children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Child {
    Monitor,
    Link,
    Pool,
}

/// See the module.
pub struct Node {
    family: Family<Child>,
    pub(super) config: Config,
    pub(super) core: Core,
    pub(super) keys: Keys,
    pub(super) stock: Stock,
    /// What no coordinator has acknowledged.
    pub(super) reports: BTreeMap<ReportId, (Report, Bytes)>,
    pub(super) registry: Registry,
    pub(super) pool: Option<Addr<Pool>>,
    monitor: Option<Addr<Monitor>>,
    pub(super) outbox: Option<Outbox>,
    watch: Watch,
    alarm: Option<(Instant, SpawnHandle)>,
    /// All is said; only the connection's end is waited for.
    pub(super) leaving: bool,
    carriers: JoinSet<()>,
    /// When something was heard last: while tasks run, of their processes.
    last_turn: Instant,
}

impl Node {
    /// A node that has nothing yet. Its factory runs inside its own task, so ids may be drawn here.
    #[must_use]
    pub fn new(config: Config) -> Node {
        let worker = WorkerId(getrandom::u64().expect("the system has random numbers"));
        let settings = Settings { worker, host: host_name(), slots: config.slots, lease: LEASE };
        let family = Family::new("node", Policy::new(Strategy::OneForOne))
            .child(Child::Monitor, Restart::Permanent)
            .child(Child::Link, Restart::Permanent)
            .child(Child::Pool, Restart::Permanent);
        Node {
            family,
            config,
            core: Core::new(settings),
            keys: Keys::default(),
            stock: Stock::default(),
            reports: BTreeMap::new(),
            registry: Registry::default(),
            pool: None,
            monitor: None,
            outbox: None,
            watch: Watch { time: false, memory: false },
            alarm: None,
            leaving: false,
            carriers: JoinSet::new(),
            last_turn: Instant::now(),
        }
    }

    /// Tells the core, and has done what it asks for.
    fn on(&mut self, event: Event, ctx: &mut Context<Node>) {
        let mut effects = Vec::new();
        let now = Instant::now();
        let lasted = now.saturating_duration_since(std::mem::replace(&mut self.last_turn, now));
        if lasted >= PAUSE {
            self.core.on(Event::Paused(lasted), now, &mut effects);
        }
        self.core.on(event, now, &mut effects);
        for effect in effects {
            self.carry_out(effect, ctx);
        }
        self.set_alarm(ctx);
    }

    fn set_alarm(&mut self, ctx: &mut Context<Node>) {
        let now = Instant::now();
        let Some(due) = self.core.wake_at(now) else { return };
        if self.alarm.as_ref().is_some_and(|(at, _)| *at <= due) {
            return;
        }
        if let Some((_, timer)) = self.alarm.take() {
            ctx.cancel_future(timer);
        }
        let wake = |node: &mut Node, ctx: &mut Context<Node>| {
            node.alarm = None;
            let (at, readings) = (Instant::now(), node.registry.look(false));
            node.on(Event::Sampled { at, readings }, ctx);
            node.on(Event::Woken, ctx);
        };
        self.alarm = Some((due, ctx.run_later(due.saturating_duration_since(now), wake)));
    }

    fn told(&mut self, said: ToWorker, payload: Bytes, ctx: &mut Context<Node>) {
        let event = match said {
            ToWorker::Job(spec) => {
                self.stock.expect(&spec.objects);
                Event::JobDescribed(Arc::from(spec))
            }
            ToWorker::JobEnded(job) => {
                self.order(Order::Forget(job));
                Event::JobEnded(job)
            }
            ToWorker::Run(batch) => {
                self.keys.insert(&batch, payload);
                Event::Granted(batch)
            }
            ToWorker::Recall(batches) => {
                let (at, readings) = (Instant::now(), self.registry.look(false));
                self.on(Event::Sampled { at, readings }, ctx);
                Event::Recalled(batches)
            }
            ToWorker::Drop(batches) => Event::Dropped(batches),
            ToWorker::Forget(reports) => Event::Acknowledged(reports),
            ToWorker::Answered { ask, answer } => Event::Answered { ask, answer, payload },
            ToWorker::Piece { object, at } => match self.stock.add(object, at, &payload) {
                Ok(Some(have)) => Event::ObjectGrew { object, have },
                // Of an object that nobody needs any more.
                Ok(None) => return,
                Err(message) => Event::ObjectFailed { object, message },
            },
            ToWorker::Signal { job, number } => Event::SignalAsked { job, number },
            ToWorker::Heartbeat => return,
            ToWorker::Shutdown => Event::ShutdownAsked { grace: self.config.grace },
        };
        self.on(event, ctx);
        let (time, memory) = self.core.watches();
        let watch = Watch { time, memory };
        if watch != self.watch {
            self.watch = watch;
            if let Some(monitor) = &self.monitor {
                monitor.do_send(watch);
            }
        }
    }

    fn alarmed(&mut self, alarm: Alarm, ctx: &mut Context<Node>) {
        match (&self.config.alarms, alarm) {
            (Some(recipient), alarm) => recipient.do_send(alarm),
            (None, Alarm::Signal(number)) => {
                tracing::info!(signal = number, "ending in order; once more: at once");
                supervision::set_exit_code(128 + number);
                let grace = if leaves_no_time(number) { Duration::ZERO } else { self.config.grace };
                self.on(Event::ShutdownAsked { grace }, ctx);
            }
            (None, Alarm::KeeperLost) => {
                tracing::error!("the keeper died, and with it all processes; the node ends");
                supervision::set_exit_code(supervision::INTERNAL_ERROR);
                self.on(Event::ShutdownAsked { grace: Duration::ZERO }, ctx);
            }
        }
    }
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (events, me) = (self.config.keeping.events.clone(), ctx.address());
        self.carriers.spawn_local(async move {
            let mut events = events.lock().await;
            while let Some(event) = events.next().await {
                if me.send(Kept(event)).await.is_err() {
                    return;
                }
            }
        });
        self.start_children(ctx);
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_children(ctx)
    }
}

impl Parent for Node {
    type Slot = Child;

    fn family(&mut self) -> &mut Family<Child> {
        &mut self.family
    }

    fn start_child(&mut self, slot: Child, ctx: &mut Context<Self>) {
        let (config, me, registry) = (self.config.clone(), ctx.address(), self.registry.clone());
        let watch = self.watch;
        match slot {
            Child::Monitor => {
                self.monitor = Some(self.family.spawn(slot, move |_| Monitor::new(registry, me, watch)));
            }
            Child::Link => {
                self.family.spawn(slot, move |_| Link::new(config.endpoint, me));
            }
            Child::Pool => {
                self.pool = Some(self.family.spawn(slot, move |_| Pool::new(config, me, registry)));
            }
        }
    }

    fn child_ended(&mut self, slot: Child, _: &Exit, ctx: &mut Context<Self>) {
        match slot {
            Child::Monitor => self.monitor = None,
            Child::Link => {
                self.outbox = None;
                self.on(Event::Disconnected, ctx);
            }
            Child::Pool => {
                self.pool = None;
                self.on(Event::PoolLost, ctx);
            }
        }
    }
}

impl Handler<Kept> for Node {
    type Result = ();

    fn handle(&mut self, Kept(event): Kept, ctx: &mut Context<Self>) {
        inject::point("node");
        match event {
            KeeperEvent::Signal(signal) => self.alarmed(Alarm::Signal(signal as i32), ctx),
            KeeperEvent::Lost => {
                self.config.keeping.owner.iter().for_each(end_strays);
                // Nobody will tell how the processes ended, so that is not waited for.
                self.on(Event::PoolLost, ctx);
                self.alarmed(Alarm::KeeperLost, ctx);
            }
            event @ (KeeperEvent::Spawned { .. }
            | KeeperEvent::SpawnFailed { .. }
            | KeeperEvent::Exited { .. }
            | KeeperEvent::AllEnded { .. }) => {
                if let Some(pool) = &self.pool {
                    pool.do_send(Kept(event));
                }
            }
        }
    }
}

impl Handler<Linked> for Node {
    type Result = ();

    fn handle(&mut self, linked: Linked, ctx: &mut Context<Self>) {
        inject::point("node");
        match linked {
            Linked::Up { .. } if self.leaving => {}
            Linked::Up { outbox, lease } => {
                self.outbox = Some(outbox);
                self.core.set_lease(lease);
                self.on(Event::Connected, ctx);
            }
            Linked::Told(said, payload) => self.told(said, payload, ctx),
            Linked::Down if self.leaving => ctx.stop(),
            Linked::Down => {
                self.outbox = None;
                self.on(Event::Disconnected, ctx);
            }
            Linked::Refused(why) => {
                tracing::error!("{why}");
                supervision::set_exit_code(REFUSED);
                ctx.stop();
            }
        }
    }
}

impl Handler<PoolReady> for Node {
    type Result = ();

    fn handle(&mut self, _: PoolReady, ctx: &mut Context<Self>) {
        inject::point("node");
        self.on(Event::PoolStarted, ctx);
    }
}

impl Handler<Happened> for Node {
    type Result = ();

    fn handle(&mut self, Happened(life, event): Happened, ctx: &mut Context<Self>) {
        inject::point("node");
        self.on(Event::Process(life, event), ctx);
    }
}

impl Handler<Observed> for Node {
    type Result = ();

    fn handle(&mut self, observed: Observed, ctx: &mut Context<Self>) {
        inject::point("node");
        match observed {
            Observed::Processes { at, readings } => self.on(Event::Sampled { at, readings }, ctx),
            Observed::Machine { cpu_percent, used, total, pool, oom_kills, detail } => {
                let pool_memory = pool.iter().map(|(_, memory)| memory).sum();
                self.on(Event::MemoryRead(Memory { used, total, pool, oom_kills }), ctx);
                let busy = self.core.busy();
                let (memory_used, memory_total) = (used, total);
                let detail = Some(detail);
                let status = Status { busy, cpu_percent, memory_used, memory_total, pool_memory, detail };
                self.say(FromWorker::Status(status), Bytes::new());
            }
        }
    }
}

impl Handler<Shutdown> for Node {
    type Result = ();

    fn handle(&mut self, Shutdown { grace }: Shutdown, ctx: &mut Context<Self>) {
        inject::point("node");
        self.on(Event::ShutdownAsked { grace }, ctx);
    }
}
