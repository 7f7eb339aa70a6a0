//! Root: the top of the coordinator's tree. It holds the shelf, so that a restarted coordinator finds its jobs.
//!
//! Rest-for-one: a listener cannot outlive the coordinator that it hands connections to.

use std::{cell::RefCell, io, rc::Rc};

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Running, fut::wrap_future};
use shared::supervision::{self, Family, Parent, Policy, Restart, Strategy};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    actors::{coordinator::Coordinator, listener::Listener},
    config::Config,
    shelf::Shelf,
};

/// The children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Child {
    Coordinator,
    Listener,
}

/// See the module.
pub struct Root {
    family: Family<Child>,
    config: Config,
    shelf: Rc<RefCell<Shelf>>,
    coordinator: Option<Addr<Coordinator>>,
}

impl Root {
    /// A coordinator with its jobs.
    #[must_use]
    pub fn new(config: Config, shelf: Shelf) -> Root {
        let family = Family::new("coordinator root", Policy::new(Strategy::RestForOne))
            .child(Child::Coordinator, Restart::Permanent)
            .child(Child::Listener, Restart::Permanent);
        Root { family, config, shelf: Rc::new(RefCell::new(shelf)), coordinator: None }
    }
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start_children(ctx);
        if self.config.signals {
            let stop = |number: io::Result<i32>, _: &mut Root, ctx: &mut Context<Root>| match number {
                Ok(number) => {
                    tracing::info!(signal = number, "ending in order");
                    supervision::set_exit_code(128 + number);
                    ctx.stop();
                }
                Err(error) => supervision::fail(ctx, format!("failed to listen for signals: {error}")),
            };
            ctx.spawn(wrap_future::<_, Root>(first_signal()).map(stop));
        }
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_children(ctx)
    }
}

/// The number of the first signal that asks for the end.
async fn first_signal() -> io::Result<i32> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
        _ = hangup.recv() => SignalKind::hangup(),
    }
    .as_raw_value())
}

impl Parent for Root {
    type Slot = Child;

    fn family(&mut self) -> &mut Family<Child> {
        &mut self.family
    }

    fn start_child(&mut self, slot: Child, _: &mut Context<Self>) {
        let config = self.config.clone();
        match slot {
            Child::Coordinator => {
                let shelf = Rc::clone(&self.shelf);
                let start =
                    move |ctx: &mut Context<Coordinator>| Coordinator::new(config, shelf, ctx.address());
                self.coordinator = Some(self.family.spawn(slot, start));
            }
            Child::Listener => {
                let coordinator = self.coordinator.clone().expect("the coordinator is started first");
                self.family.spawn(slot, |ctx| Listener::new(config, coordinator, ctx));
            }
        }
    }
}
