//! Clerk: owns a thread that may wait for the disk, and passes orders on to it; what the thread has to say goes straight
//! to the coordinator. A checkpointer is one, and the storekeeper.
//!
//! The thread holds the actor's token, so that a successor opens no file before it has let go. A panic of the thread
//! ends the actor.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, Sender},
};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use shared::{inject, supervision};

/// Do this.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Do<O>(pub O);

/// The thread has panicked.
#[derive(Message)]
#[rtype(result = "()")]
struct Panicked;

/// See the module.
pub struct Clerk<O> {
    name: &'static str,
    orders: Sender<O>,
}

impl<O: Send + Unpin + 'static> Clerk<O> {
    /// A clerk whose thread does this `work` until nobody can give any more orders.
    pub fn new(
        name: &'static str,
        work: impl FnOnce(&Receiver<O>) + Send + 'static,
        ctx: &mut Context<Clerk<O>>,
    ) -> Clerk<O> {
        let (orders, inbox) = mpsc::channel();
        let me = ctx.address();
        let token = supervision::token();
        let working = move || {
            if catch_unwind(AssertUnwindSafe(|| work(&inbox))).is_err() {
                me.do_send(Panicked);
            }
            drop(token);
        };
        if let Err(error) = std::thread::Builder::new().name(name.into()).spawn(working) {
            supervision::fail(ctx, format!("failed to start its thread: {error}"));
        }
        Clerk { name, orders }
    }
}

impl<O: Unpin + 'static> Actor for Clerk<O> {
    type Context = Context<Self>;
}

impl<O: Send + Unpin + 'static> Handler<Do<O>> for Clerk<O> {
    type Result = ();

    fn handle(&mut self, Do(order): Do<O>, ctx: &mut Context<Self>) {
        inject::point(self.name);
        if self.orders.send(order).is_err() {
            supervision::fail(ctx, "its thread has ended");
        }
    }
}

impl<O: Unpin + 'static> Handler<Panicked> for Clerk<O> {
    type Result = ();

    fn handle(&mut self, _: Panicked, ctx: &mut Context<Self>) {
        supervision::fail(ctx, "its thread has panicked");
    }
}
