//! For tests: a parent whose children do what they are told, and a log of what happens on one line.

use std::{rc::Rc, sync::mpsc as threads};

use actix::{Handler, Message, MessageResult, ResponseActFuture, System, WrapFuture as _};
use tokio::sync::oneshot;

use super::*;
use crate::supervision::Restart::Permanent;

/// The slot of a child that never stops by itself, and of one that is a parent: of one child, with no restart.
pub(super) const STUBBORN: u32 = 100;
pub(super) const NESTED: u32 = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Panic,
    Fail,
    Stop,
    Terminate,
}

#[derive(Clone)]
struct Log {
    lines: mpsc::UnboundedSender<String>,
    drops: Rc<std::cell::Cell<bool>>,
}

impl Log {
    fn line(&self, line: String) {
        let _nobody_reads_any_more = self.lines.send(line.replace(' ', "_"));
    }
}

/// A child.
struct Puppet {
    slot: u32,
    count: u32,
    log: Log,
}

impl Drop for Puppet {
    fn drop(&mut self) {
        if self.log.drops.get() {
            self.log.line(format!("{}-", self.slot));
        }
    }
}

impl Actor for Puppet {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.log.line(format!("{}+", self.slot));
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        if self.slot == STUBBORN { Running::Continue } else { Running::Stop }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Tell(u32, Deed);

impl Handler<Tell> for Puppet {
    type Result = ();

    fn handle(&mut self, Tell(_, deed): Tell, ctx: &mut Context<Self>) {
        match deed {
            Deed::Panic => panic!("boom"),
            Deed::Fail => fail(ctx, "sorry"),
            Deed::Stop => ctx.stop(),
            Deed::Terminate => ctx.terminate(),
        }
    }
}

#[derive(Message)]
#[rtype(result = "u32")]
struct Count(u32);

impl Handler<Count> for Puppet {
    type Result = u32;

    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u32 {
        self.count += 1;
        self.count
    }
}

/// Starts a thread that holds the actor's token until its sender is dropped.
#[derive(Message)]
#[rtype(result = "()")]
struct Haunt(threads::Receiver<()>);

impl Handler<Haunt> for Puppet {
    type Result = ();

    fn handle(&mut self, Haunt(told): Haunt, _: &mut Context<Self>) {
        let token = token();
        self.log.line(format!("{}#", self.slot));
        std::thread::spawn(move || {
            let _dropped = told.recv();
            drop(token);
        });
    }
}

/// A parent.
pub(super) struct Troupe {
    pub(super) family: Family<u32>,
    pub(super) forgiving: bool,
    slot: Option<u32>,
    puppets: HashMap<u32, Addr<Puppet>>,
    nested: Option<Addr<Troupe>>,
    log: Log,
}

impl Troupe {
    fn new(slot: Option<u32>, family: Family<u32>, log: Log) -> Troupe {
        Troupe { family, forgiving: false, slot, puppets: HashMap::new(), nested: None, log }
    }

    pub(super) fn forget(&mut self, slot: u32) {
        self.puppets.remove(&slot);
    }

    pub(super) fn adopt(&mut self, slot: u32) -> bool {
        let log = self.log.clone();
        let puppet = self.family.spawn_temporary(slot, move |_| Puppet { slot, count: 0, log });
        puppet.is_some_and(|puppet| self.puppets.insert(slot, puppet).is_none())
    }
}

impl Actor for Troupe {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(slot) = self.slot {
            self.log.line(format!("{slot}+"));
        }
        self.start_children(ctx);
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_children(ctx)
    }
}

impl Parent for Troupe {
    type Slot = u32;

    fn family(&mut self) -> &mut Family<u32> {
        &mut self.family
    }

    fn start_child(&mut self, slot: u32, _: &mut Context<Self>) {
        let log = self.log.clone();
        if slot == NESTED {
            let policy = Policy::new(crate::supervision::Strategy::OneForOne).limit(0, GRACE);
            let family = Family::new("nested", policy).child(NESTED + 1, Permanent);
            self.nested = Some(self.family.spawn(slot, move |_| Troupe::new(Some(slot), family, log)));
        } else {
            self.puppets.insert(slot, self.family.spawn(slot, move |_| Puppet { slot, count: 0, log }));
        }
    }

    fn child_ended(&mut self, slot: u32, exit: &Exit, _: &mut Context<Self>) {
        if self.slot.is_none() {
            self.log.line(format!("{slot}:{exit}"));
            self.puppets.remove(&slot);
        }
    }

    fn escalate(&mut self, reason: String, ctx: &mut Context<Self>) {
        if !self.forgiving {
            fail(ctx, reason);
        }
    }
}

impl Handler<Tell> for Troupe {
    type Result = ();

    fn handle(&mut self, Tell(slot, deed): Tell, _: &mut Context<Self>) {
        match &self.nested {
            Some(nested) => nested.do_send(Tell(NESTED + 1, deed)),
            None => self.puppets[&slot].do_send(Tell(slot, deed)),
        }
    }
}

impl Handler<Haunt> for Troupe {
    type Result = ();

    fn handle(&mut self, haunt: Haunt, _: &mut Context<Self>) {
        match &self.nested {
            Some(nested) => nested.do_send(haunt),
            None => self.puppets[&(NESTED + 1)].do_send(haunt),
        }
    }
}

impl Handler<Count> for Troupe {
    type Result = ResponseActFuture<Self, u32>;

    fn handle(&mut self, count: Count, _: &mut Context<Self>) -> Self::Result {
        let counted = self.puppets[&count.0].send(count);
        Box::pin(async { counted.await.unwrap() }.into_actor(self))
    }
}

/// Does anything inside the parent.
struct Ask<R>(Box<Question<R>>);
type Question<R> = dyn FnOnce(&mut Troupe, &mut Context<Troupe>) -> R + Send;

impl<R: 'static> Message for Ask<R> {
    type Result = R;
}

impl<R: 'static> Handler<Ask<R>> for Troupe {
    type Result = MessageResult<Ask<R>>;

    fn handle(&mut self, Ask(what): Ask<R>, ctx: &mut Context<Self>) -> Self::Result {
        MessageResult(what(self, ctx))
    }
}

/// A running parent, and what happened so far.
pub(super) struct Scene {
    parent: Child<Troupe>,
    end: Option<oneshot::Receiver<Exit>>,
    lines: mpsc::UnboundedReceiver<String>,
    log: Log,
}

/// Plays a scene under a paused clock, with these declared children.
pub(super) fn scene<F: Future>(policy: Policy, declared: &[(u32, Restart)], play: impl FnOnce(Scene) -> F) {
    let family = Family::new("troupe", policy);
    let family = declared.iter().fold(family, |family, (slot, restart)| family.child(*slot, *restart));
    let clock =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(clock).block_on(async move {
        let (sender, lines) = mpsc::unbounded_channel();
        let log = Log { lines: sender, drops: Rc::default() };
        let kept = log.clone();
        let (parent, end) = Child::start(move |_| Troupe::new(None, family, kept));
        play(Scene { parent, end: Some(end), lines, log }).await;
    });
}

impl Scene {
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Troupe, &mut Context<Troupe>) -> R + Send + 'static,
    ) -> R {
        self.parent.addr().send(Ask(Box::new(what))).await.expect("the parent lives")
    }

    pub(super) async fn adopt(&self, slot: u32) {
        assert!(self.ask(move |troupe, _| troupe.adopt(slot)).await);
    }

    pub(super) async fn tell(&self, slot: u32, deed: Deed) {
        self.parent.addr().send(Tell(slot, deed)).await.expect("the parent lives");
    }

    pub(super) async fn count(&self, slot: u32) -> u32 {
        self.parent.addr().send(Count(slot)).await.expect("the parent lives")
    }

    /// Lets the nested parent's child start a thread that ends when what is returned is dropped.
    pub(super) async fn haunt_nested(&mut self) -> threads::Sender<()> {
        let (sender, receiver) = threads::channel();
        self.parent.addr().do_send(Haunt(receiver));
        self.expect("201#").await;
        sender
    }

    pub(super) async fn stop(&self) {
        self.ask(|_, ctx| ctx.stop()).await;
    }

    pub(super) fn watch_drops(&self) {
        self.log.drops.set(true);
    }

    /// Waits for the next event, the parent's end being the last one.
    pub(super) async fn next(&mut self) -> String {
        let end = self.end.as_mut().expect("nothing comes after the parent's end");
        let next = async {
            tokio::select! {
                biased;
                Some(line) = self.lines.recv() => line,
                exit = end => format!("parent:{}", exit.expect("reported exactly once")).replace(' ', "_"),
            }
        };
        // The clock is virtual: this long is at once, if nothing else is going to happen.
        let patience = Duration::from_secs(3600);
        let next = tokio::time::timeout(patience, next).await.unwrap_or_else(|_| "(nothing)".to_owned());
        if next.starts_with("parent:") {
            self.end = None;
        }
        next
    }

    pub(super) async fn expect(&mut self, wanted: &str) {
        for wanted in wanted.split(' ') {
            assert_eq!(self.next().await, wanted);
        }
    }
}
