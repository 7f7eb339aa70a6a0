//! What the core asks for, carried out by the node: words for the coordinator, orders for the pool, lines for the log.

use std::{sync::Arc, time::Duration};

use actix::{ActorContext, AsyncContext, Context};
use bytes::Bytes;
use shared::{id::count, supervision, wire::worker::FromWorker};

use crate::{
    actors::{
        node::Node,
        said::{Order, ProcessOrder},
    },
    core::{Effect, command::shown, notice::Notice},
};

/// How long the last words may take on their way.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A payload that is smaller is copied, so that it does not hold the memory of the whole read that brought it.
const COPIED: usize = 16 << 10;

impl Node {
    pub(super) fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Node>) {
        match effect {
            Effect::Join(joined) => {
                self.say(FromWorker::Joined(joined), Bytes::new());
                for (report, payload) in self.reports.values() {
                    self.say(FromWorker::Report(report.clone()), payload.clone());
                }
            }
            Effect::Send(message) => self.say(message, Bytes::new()),
            Effect::Ask(ask, request, payload) => self.say(FromWorker::Ask { ask, request }, payload),
            Effect::Answer(life, answer, payload) => {
                self.order(Order::Process(life, ProcessOrder::Answer(answer, payload)));
            }
            Effect::Report(report, payload) => {
                let payload = if payload.len() < COPIED { Bytes::copy_from_slice(&payload) } else { payload };
                self.reports.insert(report.id, (report.clone(), payload.clone()));
                self.say(FromWorker::Report(report), payload);
            }
            Effect::Discard(report) => drop(self.reports.remove(&report)),
            Effect::ForgetBatch(batch) => self.keys.forget(batch),
            Effect::DropObject(object) => self.stock.drop(object),
            Effect::Start(life, job) => {
                if let Some(spec) = self.core.job(job) {
                    self.order(Order::Start(life, self.stock.placed(spec)));
                }
            }
            Effect::Run(life, run) => match self.keys.array(run.batch, &run.tasks) {
                Ok(keys) => {
                    let (first, count) = (run.first, count(&run.tasks));
                    self.order(Order::Process(life, ProcessOrder::Run { first, count, keys }));
                }
                Err(error) => supervision::fail(ctx, format!("keys of batch {}: {error}", run.batch)),
            },
            Effect::SetStop(life, at) => self.registry.set_stop(life, at),
            Effect::Execute(life, job, batch, task) => match (self.core.job(job), self.keys.one(batch, task))
            {
                (Some(spec), Ok(key)) => self.order(Order::Execute(life, Arc::clone(spec), key)),
                (_, Err(error)) => {
                    supervision::fail(ctx, format!("the key of task {task} of batch {batch}: {error}"))
                }
                (None, Ok(_)) => supervision::fail(ctx, format!("job {job} of batch {batch} is not known")),
            },
            Effect::Withdraw(life) => self.order(Order::Process(life, ProcessOrder::Withdraw)),
            Effect::Stop(life) => self.order(Order::Process(life, ProcessOrder::Stop)),
            Effect::Signal(life, number) => self.order(Order::Process(life, ProcessOrder::Signal(number))),
            Effect::Kill(life) => self.order(Order::Process(life, ProcessOrder::Kill)),
            Effect::Say(notice) => self.log(&notice),
            Effect::End => self.leave(ctx),
        }
    }

    pub(super) fn say(&self, message: FromWorker, payload: Bytes) {
        if let Some(outbox) = &self.outbox {
            // A connection that ends just now is heard of by `Down`; what matters is kept.
            let _ = outbox.send((message, payload));
        }
    }

    pub(super) fn order(&self, order: Order) {
        if let Some(pool) = &self.pool {
            pool.do_send(order);
        }
    }

    fn log(&self, notice: &Notice) {
        match notice {
            Notice::TaskStuck { batch, task, .. } => {
                let key = self.keys.one(*batch, *task).map(|key| shown(&key)).unwrap_or_default();
                tracing::warn!(key, "{notice}");
            }
            // The coordinator tells the client, who tells the user.
            Notice::MemoryFreed { .. } | Notice::JobUnloadable { .. } => tracing::info!("{notice}"),
            Notice::MemoryScarce { .. }
            | Notice::TaskSqueezed { .. }
            | Notice::TaskKilled { .. }
            | Notice::ProcessLost { .. }
            | Notice::MoreLost { .. }
            | Notice::ProtocolBroken { .. }
            | Notice::JobUnknown(_)
            | Notice::CommandsCutOff => tracing::warn!("{notice}"),
        }
    }

    /// The last words are in the outbox: ends when they are out.
    fn leave(&mut self, ctx: &mut Context<Node>) {
        self.leaving = true;
        match self.outbox.take() {
            Some(outbox) => {
                drop(outbox);
                ctx.run_later(LAST_WORDS, |_, ctx| ctx.stop());
            }
            None => ctx.stop(),
        }
    }
}
