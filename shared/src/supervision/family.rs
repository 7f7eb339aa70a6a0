//! The children of one parent actor, run by a policy: what a parent embeds, and the trait that it implements.
//!
//! The parent says which children there are and how each is built; `tree` decides; this carries the decisions out. It
//! keeps no child's address: the parent does. Invariants: a parent does not end in order before its children have,
//! in reverse order of their start; the clock of supervision is read here and nowhere else.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorContext as _, ActorStreamExt as _, Addr, AsyncContext as _, Context, Running, SpawnHandle,
    WrapStream as _,
};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::{
    Exit,
    child::{Child, Handle, LINGER},
    life::{Control, fail},
    policy::{Policy, Restart},
    token,
    tree::{LifeId, Order, Tree, Verdict},
};

#[cfg(test)]
mod cast;
#[cfg(test)]
mod tests;

/// How long a child may take to stop unless its parent says otherwise.
pub const GRACE: Duration = Duration::from_secs(5);

/// The name of a child within its family: a closed enum of the parent, `Session(u64)` and the like included.
pub trait Slot: Copy + Eq + Hash + Debug + 'static {}
impl<S: Copy + Eq + Hash + Debug + 'static> Slot for S {}

/// An actor with children. Its `started` calls `start_children`, its `stopping` returns `stop_children`.
pub trait Parent: Actor<Context = Context<Self>> {
    type Slot: Slot;

    fn family(&mut self) -> &mut Family<Self::Slot>;

    /// Builds the slot's child by `self.family.spawn(slot, factory)`, every time anew, and keeps its address.
    fn start_child(&mut self, slot: Self::Slot, ctx: &mut Context<Self>);

    /// A child has ended, and everything of it is gone. It may be started again right after this.
    fn child_ended(&mut self, _slot: Self::Slot, _exit: &Exit, _ctx: &mut Context<Self>) {}

    /// All children are gone because one failed too often. The parent stops after this, whatever it does here.
    fn escalate(&mut self, reason: String, ctx: &mut Context<Self>) {
        fail(ctx, reason);
    }

    /// For `Actor::started`: starts the declared children in order.
    fn start_children(&mut self, ctx: &mut Context<Self>) {
        let family = self.family();
        let mut reports = family.inbox.take().expect("start_children is called once, by started");
        let mut orders = Vec::new();
        family.tree.begin(now(), &mut orders);
        let reports = futures_util::stream::poll_fn(move |cx| reports.poll_recv(cx));
        ctx.spawn(reports.into_actor(self).map(|report, parent, ctx| hear(parent, report, ctx)).finish());
        obey(self, orders, ctx);
    }

    /// For `Actor::stopping`: goes on until the children have ended in reverse order, then stops.
    fn stop_children(&mut self, ctx: &mut Context<Self>) -> Running {
        let mut orders = Vec::new();
        self.family().tree.end(now(), &mut orders);
        obey(self, orders, ctx);
        if self.family().tree.is_over() { Running::Stop } else { Running::Continue }
    }

    /// Adds a child that is started by `start_child`: at once, or after the declared ones if they are being restarted.
    fn add_child(&mut self, slot: Self::Slot, restart: Restart, ctx: &mut Context<Self>) {
        let mut orders = Vec::new();
        self.family().tree.add(slot, restart, now(), &mut orders);
        obey(self, orders, ctx);
    }

    /// Stops a child for good, within its grace time. `child_ended` follows.
    fn stop_child(&mut self, slot: Self::Slot, ctx: &mut Context<Self>) {
        let mut orders = Vec::new();
        self.family().tree.stop(slot, now(), &mut orders);
        obey(self, orders, ctx);
    }
}

/// The children of a parent. Dropping it kills them.
pub struct Family<S: Slot> {
    name: &'static str,
    tree: Tree<S>,
    graces: HashMap<S, Duration>,
    handles: HashMap<S, Handle>,
    starting: Option<(S, LifeId)>,
    reports: mpsc::UnboundedSender<Report<S>>,
    inbox: Option<mpsc::UnboundedReceiver<Report<S>>>,
    alarm: Option<(Instant, SpawnHandle)>,
}

struct Report<S> {
    slot: S,
    life: LifeId,
    exit: Exit,
}

impl<S: Slot> Family<S> {
    /// An empty family; `parent` names it in the log.
    pub fn new(parent: &'static str, policy: Policy) -> Family<S> {
        let (reports, inbox) = mpsc::unbounded_channel();
        Family {
            name: parent,
            tree: Tree::new(policy),
            graces: HashMap::new(),
            handles: HashMap::new(),
            starting: None,
            reports,
            inbox: Some(inbox),
            alarm: None,
        }
    }

    /// Declares a child; the order of declaration is the order of starting.
    pub fn child(mut self, slot: S, restart: Restart) -> Family<S> {
        self.tree.declare(slot, restart);
        self
    }

    /// Gives this slot another grace time than `GRACE`. A child with children needs more than all of theirs.
    pub fn grace(mut self, slot: S, grace: Duration) -> Family<S> {
        self.graces.insert(slot, grace);
        self
    }

    /// Starts the slot's child; only to be called by `start_child`, for the slot that it was given. The factory runs
    /// in the child's own task, soon after.
    pub fn spawn<A, F>(&mut self, slot: S, factory: F) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce(&mut Context<A>) -> A + 'static,
    {
        match self.starting.take() {
            Some((asked, life)) if asked == slot => self.start(slot, life, factory),
            other => panic!("start_child was asked for {other:?} and spawned {slot:?}"),
        }
    }

    /// Starts a temporary child at any time, with whatever its factory holds: a session with its connection. None if
    /// the family is ending.
    pub fn spawn_temporary<A, F>(&mut self, slot: S, factory: F) -> Option<Addr<A>>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce(&mut Context<A>) -> A + 'static,
    {
        let life = self.tree.adopt(slot)?;
        Some(self.start(slot, life, factory))
    }

    /// Kills a child at once. What follows is decided as if it had crashed.
    pub fn kill(&mut self, slot: S) {
        if let Some(handle) = self.handles.get(&slot) {
            handle.kill();
        }
    }

    fn start<A, F>(&mut self, slot: S, life: LifeId, factory: F) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce(&mut Context<A>) -> A + 'static,
    {
        let reports = self.reports.clone();
        let report = move |exit| reports.send(Report { slot, life, exit }).is_ok();
        let child = Child::start_under(Some(token()), |_| Some(LINGER), Box::new(factory), report);
        let (addr, handle) = child.into_parts();
        self.handles.insert(slot, handle);
        addr
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Decides on a reported end.
fn hear<P: Parent>(parent: &mut P, report: Report<P::Slot>, ctx: &mut Context<P>) {
    let Report { slot, life, exit } = report;
    let family = parent.family();
    let mut orders = Vec::new();
    let verdict = family.tree.exited(slot, life, &exit, now(), &mut orders);
    let name = family.name;
    match &verdict {
        Verdict::Stale => return,
        Verdict::Restarting { nth, delay } => {
            warn!(parent = name, child = ?slot, exit = exit.to_string(), restart = nth, ?delay, "a child ended, it will be restarted");
        }
        Verdict::Escalating => {
            error!(parent = name, child = ?slot, exit = exit.to_string(), "a child ended, its parent gives up")
        }
        Verdict::Left | Verdict::Expected if exit.is_orderly() => {
            debug!(parent = name, child = ?slot, "a child stopped");
        }
        Verdict::Left => {
            warn!(parent = name, child = ?slot, exit = exit.to_string(), "a child ended, it will not be restarted")
        }
        Verdict::Expected => {
            warn!(parent = name, child = ?slot, exit = exit.to_string(), "a child did not stop in order")
        }
    }
    family.handles.remove(&slot);
    if let (Exit::Stuck(_), Some(control)) = (&exit, Control::current()) {
        control.stuck.set(true);
    }
    parent.child_ended(slot, &exit, ctx);
    obey(parent, orders, ctx);
}

/// Carries orders out, and sees to it that time is heard of when the next child is due.
fn obey<P: Parent>(parent: &mut P, orders: Vec<Order<P::Slot>>, ctx: &mut Context<P>) {
    for order in orders {
        let family = parent.family();
        match order {
            Order::Start(slot, life) => {
                info!(parent = family.name, child = ?slot, ?life, "starting a child");
                family.starting = Some((slot, life));
                parent.start_child(slot, ctx);
                assert!(parent.family().starting.is_none(), "start_child({slot:?}) spawned no child");
            }
            Order::Stop(slot) => {
                let grace = family.graces.get(&slot).copied().unwrap_or(GRACE);
                family.handles.get(&slot).expect("a child that is up has a handle").stop(grace);
            }
            Order::Escalate(reason) => {
                error!(parent = family.name, reason, "all children were ended");
                parent.escalate(reason, ctx);
                ctx.stop();
            }
            Order::Done => ctx.stop(),
        }
    }
    set_alarm(parent.family(), ctx);
}

fn set_alarm<P: Parent>(family: &mut Family<P::Slot>, ctx: &mut Context<P>) {
    let now = now();
    let due = family.tree.next_due(now);
    if due == family.alarm.map(|(at, _)| at) {
        return;
    }
    if let Some((_, timer)) = family.alarm.take() {
        ctx.cancel_future(timer);
    }
    family.alarm = due.map(|at| {
        let timer = ctx.run_later(at - now, |parent, ctx| {
            let family = parent.family();
            family.alarm = None;
            let mut orders = Vec::new();
            family.tree.wake(self::now(), &mut orders);
            obey(parent, orders, ctx);
        });
        (at, timer)
    });
}
