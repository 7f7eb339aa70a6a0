//! Root: the top of the coordinator's tree. It holds the shelf, so that a restarted coordinator finds its jobs.
//!
//! Rest-for-one: a listener cannot outlive the coordinator that it hands connections to.

use std::{cell::RefCell, rc::Rc};

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Running, fut::wrap_future};
use shared::supervision::{self, Family, Parent, Policy, Restart, Strategy};
use tokio::sync::mpsc;

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
    signals: Option<mpsc::Receiver<i32>>,
}

impl Root {
    /// A coordinator with its jobs.
    #[must_use]
    pub fn new(config: Config, shelf: Shelf) -> Root {
        let family = Family::new("coordinator root", Policy::new(Strategy::RestForOne))
            .child(Child::Coordinator, Restart::Permanent)
            .child(Child::Listener, Restart::Permanent);
        Root { family, config, shelf: Rc::new(RefCell::new(shelf)), coordinator: None, signals: None }
    }

    /// Ends in order at the first of these signals.
    #[must_use]
    pub fn obeying(self, signals: mpsc::Receiver<i32>) -> Root {
        Root { signals: Some(signals), ..self }
    }
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start_children(ctx);
        if let Some(mut signals) = self.signals.take() {
            let stop = |number: Option<i32>, _: &mut Root, ctx: &mut Context<Root>| {
                if let Some(number) = number {
                    tracing::info!(signal = number, "ending in order");
                    supervision::set_exit_code(128 + number);
                    ctx.stop();
                }
            };
            ctx.spawn(wrap_future::<_, Root>(async move { signals.recv().await }).map(stop));
        }
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_children(ctx)
    }
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
