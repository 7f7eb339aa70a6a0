//! The pool's templates: one process for each job whose modules are to be preloaded, asked for copies as
//! `core::preload` decides.
//!
//! Invariant: a child's ends are dropped when its request is answered for nobody, so a copy that nobody wants ends.

use std::{os::unix::net::UnixStream as StdStream, sync::Arc};

use actix::{Addr, AsyncContext, Context, Handler, Message};
use bytes::Bytes;
use nix::{sys::signal::Signal, unistd::Pid};
use shared::{
    codec::{CodecError, FrameReader, FrameWriter, Limits},
    id::JobId,
    inject,
    job::{FunctionSpec, JobSpec, Work},
    wire::child::{FromTemplate, ToTemplate},
};
use tokio::{net::UnixStream, task::JoinSet};

use crate::{
    actors::{pool::Pool, said::Happened},
    core::{
        Life, ProcessEvent,
        event::How,
        preload::{PATIENCE, Preload, Step, Told},
    },
    launch::{Ends, LaunchError, fork},
    process::{event::Ticket, procfs::Process},
};

/// What there is of a job's template.
pub struct Preloading {
    spec: Arc<JobSpec>,
    decides: Preload,
    template: Option<Template>,
}

/// One that runs.
struct Template {
    ticket: Ticket,
    socket: StdStream,
    /// Our ends of the child that it was asked for.
    ends: Option<(u64, Ends)>,
    _carriers: JoinSet<()>,
}

/// A template has said something, or, with nothing, that it says nothing more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Heard {
    job: JobId,
    ticket: Ticket,
    told: Option<Told>,
}

impl Preloading {
    /// Nothing, so far.
    pub fn new(spec: Arc<JobSpec>) -> Preloading {
        Preloading { spec, decides: Preload::default(), template: None }
    }

    fn function(&self) -> &FunctionSpec {
        match &self.spec.work {
            Work::Function(function) => function,
            Work::Command(_) => unreachable!("commands import nothing"),
        }
    }
}

impl Pool {
    /// Has something about a job's template decided, and done.
    pub(super) fn told(&mut self, job: JobId, told: Told, ctx: &mut Context<Pool>) {
        let Some(preloading) = self.preloading.get_mut(&job) else { return };
        let mut steps = Vec::new();
        preloading.decides.on(told, &mut steps);
        for step in steps {
            self.take(job, step, ctx);
        }
        if let Some(preloading) = self.preloading.get_mut(&job)
            && let Some(template) = &mut preloading.template
        {
            template.ends.take_if(|(number, _)| !preloading.decides.asks(*number));
        }
    }

    fn take(&mut self, job: JobId, step: Step, ctx: &mut Context<Pool>) {
        let Some(preloading) = self.preloading.get_mut(&job) else { return };
        match step {
            Step::Start => {
                if let Err(error) = self.start_template(job, ctx) {
                    self.told(job, Told::Lost(error.to_string()), ctx);
                }
            }
            Step::Fork(number) => {
                let Some(template) = &mut preloading.template else { return };
                match fork(&template.socket, number) {
                    Ok(ends) => {
                        template.ends = Some((number, ends));
                        ctx.run_later(PATIENCE, move |pool, ctx| pool.told(job, Told::Late(number), ctx));
                    }
                    // It is gone, and another follows when that is heard of.
                    Err(error) if error.is_hung_up() => {}
                    // It was not even asked, which comes to the same.
                    Err(error) => {
                        let said = FromTemplate::NotForked { number, why: error.to_string() };
                        self.told(job, Told::Said(said), ctx);
                    }
                }
            }
            Step::Adopt { life, pid, started } => {
                let ends = preloading.template.as_mut().and_then(|template| template.ends.take());
                let Some((_, ends)) = ends else { return self.report_end(life, How::Lost) };
                let spec = Arc::clone(&preloading.spec);
                let load = self.load(&spec, self.preloading[&job].function());
                let process = Process::new(Pid::from_raw(pid), started);
                let launched = self.launcher().adopt(ends, process);
                self.begin(life, launched, Some(load));
            }
            Step::Execute(life) => {
                let preloading = &self.preloading[&job];
                let launched = self.launcher().child(job, preloading.function());
                let load = self.load(&preloading.spec, preloading.function());
                self.begin(life, launched, Some(load));
            }
            Step::Refuse(life, message, traceback) => {
                self.node.do_send(Happened(life, ProcessEvent::Unloadable { message, traceback }));
                self.report_end(life, How::Exited(0));
            }
            Step::Fail(life, why) => self.report_end(life, How::NotStarted(why)),
            Step::Lose(life) => self.report_end(life, How::Signalled(Signal::SIGKILL as i32)),
            Step::Withdraw(life) => self.report_end(life, How::Withdrawn),
            Step::Kill => self.kill_template(job),
            Step::Say(what) => tracing::warn!(%job, "{what}"),
        }
    }

    fn start_template(&mut self, job: JobId, ctx: &mut Context<Pool>) -> Result<(), LaunchError> {
        let preloading = &self.preloading[&job];
        let function = preloading.function();
        let (ticket, socket) = self.launcher().template(job, function)?;
        let order = ToTemplate::Preload {
            names: function.preload.clone(),
            path: function.path.clone(),
            pickled: function.pickled.clone(),
            objects: preloading.spec.objects.clone(),
        };
        let mut carriers = JoinSet::new();
        carriers.spawn_local(talk(
            UnixStream::from_std(socket.try_clone()?)?,
            order,
            job,
            ticket,
            ctx.address(),
        ));
        if let Some(preloading) = self.preloading.get_mut(&job) {
            preloading.template = Some(Template { ticket, socket, ends: None, _carriers: carriers });
        }
        Ok(())
    }

    fn kill_template(&mut self, job: JobId) {
        if let Some(template) = self.preloading.get(&job).and_then(|one| one.template.as_ref()) {
            // Without a keeper there is no template, either.
            let _ = self.config.keeping.spawner.kill_tree(template.ticket);
        }
    }

    /// The keeper has reaped a template, or could not start it.
    pub(super) fn template_gone(&mut self, ticket: Ticket, how: &How, ctx: &mut Context<Pool>) {
        let is_its =
            |one: &Preloading| one.template.as_ref().is_some_and(|template| template.ticket == ticket);
        let Some((job, preloading)) = self.preloading.iter_mut().find(|(_, one)| is_its(one)) else { return };
        preloading.template = None;
        let job = *job;
        let told = match how {
            How::NoProgram(_) => Told::NoProgram,
            How::Exited(_)
            | How::Signalled(_)
            | How::Starved(_)
            | How::NotStarted(_)
            | How::Withdrawn
            | How::Lost => Told::Lost(how.to_string()),
        };
        self.told(job, told, ctx);
    }

    /// A child is not wanted any more, and may not have come about yet.
    pub(super) fn unwanted(&mut self, life: Life, ctx: &mut Context<Pool>) {
        let waits = |one: &Preloading| one.decides.lives().contains(&life);
        let job = self.preloading.iter().find(|(_, one)| waits(one)).map(|(job, _)| *job);
        if let Some(job) = job {
            self.told(job, Told::Unwanted(life), ctx);
        }
    }

    /// No child of this job is wanted any more.
    pub(super) fn forget_preloading(&mut self, job: JobId) {
        self.kill_template(job);
        if let Some(preloading) = self.preloading.remove(&job) {
            preloading.decides.lives().into_iter().for_each(|life| self.report_end(life, How::Withdrawn));
        }
    }
}

impl Handler<Heard> for Pool {
    type Result = ();

    fn handle(&mut self, Heard { job, ticket, told }: Heard, ctx: &mut Context<Self>) {
        inject::point("pool");
        let template = self.preloading.get(&job).and_then(|one| one.template.as_ref());
        if template.is_none_or(|template| template.ticket != ticket) {
            return;
        }
        match told {
            Some(told) => self.told(job, told, ctx),
            // It ends, or is of no use any more.
            None => self.kill_template(job),
        }
    }
}

/// Tells a template what to import, then carries what it says to the pool.
async fn talk(socket: UnixStream, order: ToTemplate, job: JobId, ticket: Ticket, pool: Addr<Pool>) {
    let (incoming, outgoing) = socket.into_split();
    let mut outgoing = FrameWriter::new(outgoing);
    outgoing.set_limits(Limits::LOCAL);
    let mut incoming = FrameReader::new(incoming, Limits::LOCAL);
    let told = async {
        outgoing.feed(&order, Bytes::new()).await?;
        outgoing.flush().await?;
        while let Some(frame) = incoming.next().await? {
            let told = Some(Told::Said(frame.message()?));
            if pool.send(Heard { job, ticket, told }).await.is_err() {
                break;
            }
        }
        Ok::<(), CodecError>(())
    };
    if let Err(error) = told.await {
        tracing::debug!(%job, %error, "a template cannot be talked to");
    }
    pool.do_send(Heard { job, ticket, told: None });
}
