//! Checkpointer: owns the writer thread of one job, passes orders on and answers back.
//!
//! The thread holds the actor's token, so that a successor does not open the file before it has let go. A panic of the
//! thread ends the actor.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::mpsc,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use shared::{id::JobId, inject, job::JobSpec, supervision};

use crate::{
    actors::coordinator::Coordinator,
    writer::{Answer, Order, Writer},
};

/// Do this with the job's files.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Write(pub Order);

/// A writer has answered; `None`: its thread has panicked.
#[derive(Message)]
#[rtype(result = "()")]
struct Answered(Option<Answer>);

/// To the coordinator: the answer of a job's writer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct JobAnswered {
    pub job: JobId,
    pub answer: Answer,
}

/// See the module.
pub struct Checkpointer {
    job: JobId,
    orders: mpsc::Sender<Order>,
    coordinator: Addr<Coordinator>,
}

impl Checkpointer {
    /// Starts the job's writer.
    pub fn new(
        spec: JobSpec,
        dir: Option<PathBuf>,
        coordinator: Addr<Coordinator>,
        ctx: &mut Context<Checkpointer>,
    ) -> Checkpointer {
        let job = spec.id;
        let (orders, inbox) = mpsc::channel();
        let me = ctx.address();
        let token = supervision::token();
        let writing = move || {
            let answers = me.clone();
            let writer = Writer::new(spec, dir, move |answer| answers.do_send(Answered(Some(answer))));
            if catch_unwind(AssertUnwindSafe(|| writer.run(&inbox))).is_err() {
                me.do_send(Answered(None));
            }
            drop(token);
        };
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(writing);
        if let Err(error) = thread {
            supervision::fail(ctx, format!("failed to start the writer thread: {error}"));
        }
        Checkpointer { job, orders, coordinator }
    }
}

impl Actor for Checkpointer {
    type Context = Context<Self>;
}

impl Handler<Write> for Checkpointer {
    type Result = ();

    fn handle(&mut self, Write(order): Write, ctx: &mut Context<Self>) {
        inject::point("checkpointer");
        if self.orders.send(order).is_err() {
            supervision::fail(ctx, "its writer thread has ended");
        }
    }
}

impl Handler<Answered> for Checkpointer {
    type Result = ();

    fn handle(&mut self, Answered(answer): Answered, ctx: &mut Context<Self>) {
        match answer {
            Some(answer) => self.coordinator.do_send(JobAnswered { job: self.job, answer }),
            None => supervision::fail(ctx, "its writer thread has panicked"),
        }
    }
}
