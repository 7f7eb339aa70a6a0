//! Checkpointer: the [clerk](Clerk) with the files of one job.

use std::path::PathBuf;

use actix::{Addr, Context, Message};
use shared::{id::JobId, job::JobSpec};

use crate::{
    actors::{clerk::Clerk, coordinator::Coordinator},
    writer::{Answer, Order, Writer},
};

/// See the module.
pub type Checkpointer = Clerk<Order>;

/// To the coordinator: the answer of a job's writer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct JobAnswered {
    pub job: JobId,
    pub answer: Answer,
}

/// Starts the job's writer.
pub fn checkpointer(
    spec: JobSpec,
    dir: Option<PathBuf>,
    coordinator: Addr<Coordinator>,
    ctx: &mut Context<Checkpointer>,
) -> Checkpointer {
    let job = spec.id;
    let tell = move |answer| coordinator.do_send(JobAnswered { job, answer });
    Clerk::new("checkpointer", move |orders| Writer::new(spec, dir, tell).run(orders), ctx)
}
