//! Storekeeper: owns the thread of the depot, passes orders on and answers back. A panic of the thread ends the actor.
//!
//! The thread holds the actor's token, so that a successor's depot begins after it has let go.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::mpsc,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use shared::{id::ObjectId, inject, supervision};

use crate::{
    actors::coordinator::Coordinator,
    depot::{Answer, Depot, Order},
};

/// Do this with an object.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Store(pub Order);

/// The thread has panicked.
#[derive(Message)]
#[rtype(result = "()")]
struct Panicked;

/// To the coordinator: the depot has answered.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stored(pub Answer);

/// See the module.
pub struct Storekeeper {
    orders: mpsc::Sender<Order>,
}

impl Storekeeper {
    /// Opens the depot, which keeps of an earlier life's objects these.
    pub fn new(
        state: Option<PathBuf>,
        wanted: BTreeSet<ObjectId>,
        coordinator: Addr<Coordinator>,
        ctx: &mut Context<Storekeeper>,
    ) -> Storekeeper {
        let (orders, inbox) = mpsc::channel();
        let me = ctx.address();
        let token = supervision::token();
        let storing = move || {
            let serve = || {
                let mut depot = Depot::new(state.as_deref(), &wanted);
                inbox.iter().filter_map(|order| depot.carry_out(order)).for_each(|answer| {
                    coordinator.do_send(Stored(answer));
                });
            };
            if catch_unwind(AssertUnwindSafe(serve)).is_err() {
                me.do_send(Panicked);
            }
            drop(token);
        };
        if let Err(error) = std::thread::Builder::new().name("depot".into()).spawn(storing) {
            supervision::fail(ctx, format!("failed to start the thread of the depot: {error}"));
        }
        Storekeeper { orders }
    }
}

impl Actor for Storekeeper {
    type Context = Context<Self>;
}

impl Handler<Store> for Storekeeper {
    type Result = ();

    fn handle(&mut self, Store(order): Store, ctx: &mut Context<Self>) {
        inject::point("storekeeper");
        if self.orders.send(order).is_err() {
            supervision::fail(ctx, "the thread of the depot has ended");
        }
    }
}

impl Handler<Panicked> for Storekeeper {
    type Result = ();

    fn handle(&mut self, _: Panicked, ctx: &mut Context<Self>) {
        supervision::fail(ctx, "the thread of the depot has panicked");
    }
}
