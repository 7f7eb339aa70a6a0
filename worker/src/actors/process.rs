//! Process: one life of a slot, a Python child or a command. It passes on what the child says, tells it what to do,
//! and reports its end once: when the keeper has reaped it and all that it said has been heard. What a short command
//! writes is read once, at its end, without a task and without the event loop.

use std::{os::unix::net::UnixStream as StdStream, sync::Arc, time::Duration};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};
use bytes::Bytes;
use nix::sys::signal::Signal;
use shared::{
    codec::{FrameReader, FrameWriter, Limits},
    inject,
    wire::child::{Load, ToChild},
};
use tokio::{net::UnixStream, sync::mpsc, task::JoinSet};

use crate::{
    actors::{
        carry::{Ask, mind_output, output, read_child, take, write_child},
        node::Node,
        said::{Happened, ProcessOrder},
    },
    core::{
        Life, ProcessEvent,
        command::Captured,
        event::{Ending, How, Toll},
    },
    launch::Launched,
    process::{
        attended::Attended,
        beacon::Beacon,
        event::Ticket,
        output::OutputPipe,
        spawner::{RequestError, Spawner},
    },
};

/// How long the other of two signs of an end may take: a child's socket may be held open by what it left behind.
const AFTERMATH: Duration = Duration::from_secs(1);

/// How long a command may run before its output is read as it comes.
const PATIENCE: Duration = Duration::from_millis(5);

/// The child has said something.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Heard(pub ProcessEvent);

/// The child says nothing more; why, if that is its fault.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Hushed(pub Option<String>);

/// All is known about the end.
#[derive(Message)]
#[rtype(result = "()")]
struct Settled(Captured, Captured);

/// See the module.
pub struct Process {
    life: Life,
    ticket: Ticket,
    node: Addr<Node>,
    spawner: Spawner,
    attended: Option<Attended>,
    /// What a copy of a template is told once the keeper has taken it over: until then it must start nothing.
    unsaid: Option<(StdStream, Load)>,
    /// Dropped, the child ends.
    words: Option<mpsc::UnboundedSender<(ToChild, Bytes)>>,
    beacon: Option<Arc<Beacon>>,
    gone: Option<(How, Toll)>,
    hushed: bool,
    settling: bool,
    asks: mpsc::Sender<Ask>,
    /// What is read only at the end, so far.
    unread: Option<(OutputPipe, OutputPipe, mpsc::Receiver<Ask>)>,
    carriers: JoinSet<()>,
}

impl Process {
    /// The actor of a process that the keeper was asked for; `load` is a child's first message.
    pub fn new(
        life: Life,
        launched: Launched,
        load: Option<Load>,
        node: Addr<Node>,
        spawner: Spawner,
        me: Addr<Process>,
    ) -> Process {
        let Launched { ticket, stdout, stderr, child, mark, attended } = launched;
        let (asks, asked) = mpsc::channel(1);
        let mut process = Process {
            life,
            ticket,
            node,
            spawner,
            attended,
            unsaid: None,
            words: None,
            beacon: None,
            gone: None,
            hushed: true,
            settling: false,
            asks,
            unread: Some((stdout, stderr, asked)),
            carriers: JoinSet::new(),
        };
        if let (Some((socket, beacon)), Some(load)) = (child, load) {
            process.read_output();
            process.beacon = Some(beacon);
            match mark {
                Some(_) => process.unsaid = Some((socket, load)),
                None => process.talk(socket, load, me),
            }
        }
        process
    }

    fn talk(&mut self, socket: StdStream, load: Load, me: Addr<Process>) {
        let socket = UnixStream::from_std(socket).expect("a fresh socket can be registered");
        let (incoming, outgoing) = socket.into_split();
        let (words, spoken) = mpsc::unbounded_channel();
        words.send((ToChild::Load(Box::new(load)), Bytes::new())).expect("its receiver is here");
        self.words = Some(words);
        self.hushed = false;
        let incoming = FrameReader::new(incoming, Limits::LOCAL);
        self.carriers.spawn_local(read_child(incoming, self.asks.clone(), me));
        let mut outgoing = FrameWriter::new(outgoing);
        outgoing.set_limits(Limits::LOCAL);
        self.carriers.spawn_local(write_child(outgoing, spoken));
    }

    fn read_output(&mut self) {
        if let Some((stdout, stderr, asked)) = self.unread.take() {
            self.carriers.spawn_local(mind_output(stdout, stderr, asked));
        }
    }

    fn withdraw(&mut self) {
        let asked = self.spawner.withdraw(self.ticket);
        self.check(asked, "withdrawn");
    }

    fn kill(&mut self) {
        if self.gone.is_none() {
            let asked = self.spawner.kill_tree(self.ticket);
            self.check(asked, "killed");
        }
    }

    fn signal(&mut self, number: i32) {
        let Ok(signal) = Signal::try_from(number) else {
            return tracing::warn!(number, "no such signal");
        };
        if let Some(attended) = self.attended.as_mut().filter(|_| self.gone.is_none()) {
            attended.signal(signal);
        }
        if signal == Signal::SIGKILL {
            self.kill();
        }
    }

    /// Without a keeper there is no process any more, either: the node is told by `Lost`.
    fn check(&self, asked: Result<(), RequestError>, what: &str) {
        if let Err(error) = asked {
            tracing::debug!(slot = %self.life.slot, %error, "failed to have a process {what}");
        }
    }

    /// When both signs of the end are there, gets the last output.
    fn settle(&mut self, ctx: &mut Context<Process>) {
        if self.hushed && self.gone.is_some() && !self.settling {
            self.settling = true;
            if let Some((mut stdout, mut stderr, _)) = self.unread.take() {
                return self.report_end(take(&mut stdout), take(&mut stderr), ctx);
            }
            let (asks, me) = (self.asks.clone(), ctx.address());
            self.carriers.spawn_local(async move {
                let (stdout, stderr) = output(&asks).await;
                me.do_send(Settled(stdout, stderr));
            });
        }
    }

    fn report_end(&mut self, stdout: Captured, stderr: Captured, ctx: &mut Context<Process>) {
        let (how, toll) = self.gone.take().expect("it has settled after its end");
        let running = self.beacon.as_ref().and_then(|beacon| beacon.running()).unwrap_or(0);
        self.node
            .do_send(Happened(self.life, ProcessEvent::Ended(Ending { how, running, stdout, stderr, toll })));
        ctx.stop();
    }
}

impl Actor for Process {
    type Context = Context<Self>;
}

impl Handler<ProcessOrder> for Process {
    type Result = ();

    fn handle(&mut self, order: ProcessOrder, ctx: &mut Context<Self>) {
        inject::point("process");
        match order {
            ProcessOrder::Run { first, count, keys } => {
                if let Some(words) = &self.words {
                    // A child that cannot be told is ending: its end gives the run back.
                    let _ = words.send((ToChild::Run { first, count }, keys));
                }
            }
            ProcessOrder::Answer(answer, payload) => {
                if let Some(words) = &self.words {
                    // A child that cannot be told is ending.
                    let _ = words.send((ToChild::Answered(answer), payload));
                }
            }
            ProcessOrder::Stop => (self.words, self.unsaid) = (None, None),
            ProcessOrder::Begun { pid } => {
                if let Some((socket, load)) = self.unsaid.take() {
                    self.talk(socket, load, ctx.address());
                }
                if let Some(attended) = &mut self.attended {
                    attended.began(pid);
                }
                if self.unread.is_some() {
                    ctx.run_later(PATIENCE, |process, _| process.read_output());
                }
            }
            ProcessOrder::Withdraw => self.withdraw(),
            ProcessOrder::Signal(number) => self.signal(number),
            ProcessOrder::Kill => self.kill(),
            ProcessOrder::Gone(how, toll) => {
                if let Some(attended) = &self.attended {
                    attended.sweep();
                }
                self.gone = Some((how, toll));
                let give_up = |process: &mut Process, ctx: &mut Context<Process>| {
                    process.hushed = true;
                    process.settle(ctx);
                };
                if !self.hushed {
                    ctx.run_later(AFTERMATH, give_up);
                }
                self.settle(ctx);
            }
        }
    }
}

impl Handler<Heard> for Process {
    type Result = ();

    fn handle(&mut self, Heard(event): Heard, _: &mut Context<Self>) {
        inject::point("process");
        if !self.settling {
            self.node.do_send(Happened(self.life, event));
        }
    }
}

impl Handler<Hushed> for Process {
    type Result = ();

    fn handle(&mut self, Hushed(why): Hushed, ctx: &mut Context<Self>) {
        self.hushed = true;
        if let Some(why) = why {
            tracing::warn!(slot = %self.life.slot, why, "a process speaks nonsense and is ended");
            self.kill();
        } else if self.gone.is_none() {
            // It has closed its socket, so it is about to end; if it is not, it is of no use.
            ctx.run_later(AFTERMATH, |process, _| process.kill());
        }
        self.settle(ctx);
    }
}

impl Handler<Settled> for Process {
    type Result = ();

    fn handle(&mut self, Settled(stdout, stderr): Settled, ctx: &mut Context<Self>) {
        self.report_end(stdout, stderr, ctx);
    }
}
