//! An engine: coordinator and node in one process, under one root, and whoever has work for them: a client here, or a
//! caller at the other end of a socket.
//!
//! The root fails as a whole: whatever in it cannot be mended by its own family ends the process with exit code 70,
//! and the same command goes on from the checkpoint.

use std::{io, os::unix::net::UnixStream, time::Duration};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Running, fut::wrap_future,
};
use coordinator::{Root, config::CLIENT_GRACE, shelf::Shelf};
use shared::{
    door::{Door, Doorway, door},
    endpoint::Endpoint,
    supervision::{self, Exit, Family, Parent, Policy, Restart, Strategy},
};
use tokio::sync::mpsc;
use worker::{Alarm, Keeping, Node, Shutdown, process::keeper::EngineEnd};

use crate::{fault::Fault, job::Prepared, output, signals::SIGKILL};

/// How long a silent part of this process is waited for. It is long, because only a stopped process is silent.
const LEASE: Duration = Duration::from_secs(60);
/// Signals that may wait for the client.
const SIGNALS: usize = 8;
/// Bytes that are carried at once between a caller and the coordinator, each way.
const CARRIED: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Child {
    Coordinator,
    Node,
}

/// Who has work for an engine; it ends with them.
pub enum For {
    /// A client of one job.
    Job(Box<Prepared>),
    /// A client elsewhere, which speaks the protocol itself over this socket.
    Caller(UnixStream),
}

impl For {
    fn grace(&self) -> Duration {
        match self {
            For::Job(prepared) => prepared.grace(),
            For::Caller(_) => Duration::ZERO,
        }
    }

    async fn serve(self, door: Door, signals: mpsc::Receiver<i32>) -> Result<u8, Fault> {
        match self {
            For::Job(prepared) => prepared.follow(Endpoint::Door(door), signals).await,
            For::Caller(socket) => connect(socket, &door, signals).await.map_err(|error| {
                Fault::internal(format!("lost the process that this engine is for: {error}"))
            }),
        }
    }
}

/// Lets a caller in, and waits until it is gone.
async fn connect(socket: UnixStream, door: &Door, mut signals: mpsc::Receiver<i32>) -> io::Result<u8> {
    socket.set_nonblocking(true)?;
    let mut caller = tokio::net::UnixStream::from_std(socket)?;
    let mut session = door.connect().await?;
    tokio::select! {
        // However that ends, one of the two is gone.
        _ = tokio::io::copy_bidirectional_with_sizes(&mut caller, &mut session, CARRIED, CARRIED) => Ok(0),
        Some(signal) = signals.recv() => Ok(128 + signal as u8),
    }
}

/// See the module.
pub struct Engine {
    family: Family<Child>,
    running: Option<Addr<Node>>,
    served: Option<(For, Door, mpsc::Receiver<i32>)>,
    coordinator: coordinator::Config,
    node: worker::Config,
    signals: mpsc::Sender<i32>,
}

impl Engine {
    /// Runs until whoever it is for is served; returns the exit code.
    pub fn run(served: For, processes: u16, end: EngineEnd) -> u8 {
        supervision::run("engine", move |ctx| Engine::new(served, processes, end, ctx)) as u8
    }

    fn new(served: For, slots: u16, end: EngineEnd, ctx: &mut Context<Engine>) -> Engine {
        let (door, doorway): (_, Doorway) = door();
        let (signals, heard) = mpsc::channel(SIGNALS);
        let node = worker::Config {
            slots,
            endpoint: Endpoint::Door(door.clone()),
            python: None,
            grace: served.grace(),
            alarms: Some(ctx.address().recipient()),
            keeping: Keeping::new(end).expect("the keeper's socket can be watched"),
        };
        let coordinator = coordinator::Config {
            doorway: Some(doorway),
            network: None,
            state_dir: None,
            lease: LEASE,
            client_grace: CLIENT_GRACE,
        };
        Engine {
            family: Family::new("engine", Policy::new(Strategy::OneForOne).limit(0, LEASE))
                .child(Child::Coordinator, Restart::Permanent)
                .child(Child::Node, Restart::Transient),
            running: None,
            served: Some((served, door, heard)),
            coordinator,
            node,
            signals,
        }
    }
}

impl Actor for Engine {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start_children(ctx);
        let (served, door, heard) = self.served.take().expect("an engine is started once");
        let service = served.serve(door, heard);
        let end = |ended: Result<u8, Fault>, engine: &mut Engine, _: &mut Context<Engine>| {
            let code = ended.unwrap_or_else(|fault| {
                output::say(&format!("maniple: error: {fault}"));
                fault.code
            });
            supervision::set_exit_code(i32::from(code));
            // The node takes its leave first; its end is the engine's.
            if let Some(node) = &engine.running {
                node.do_send(Shutdown { grace: Duration::ZERO });
            }
        };
        ctx.spawn(wrap_future::<_, Engine>(service).map(end));
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_children(ctx)
    }
}

impl Parent for Engine {
    type Slot = Child;

    fn family(&mut self) -> &mut Family<Child> {
        &mut self.family
    }

    fn start_child(&mut self, slot: Child, _: &mut Context<Self>) {
        match slot {
            Child::Coordinator => {
                let config = self.coordinator.clone();
                self.family.spawn(slot, |_| Root::new(config, Shelf::in_memory()));
            }
            Child::Node => {
                let config = self.node.clone();
                self.running = Some(self.family.spawn(slot, |_| Node::new(config)));
            }
        }
    }

    fn child_ended(&mut self, slot: Child, exit: &Exit, ctx: &mut Context<Self>) {
        if exit.is_orderly() {
            ctx.stop();
        } else {
            output::say(&format!("maniple: error: the {slot:?} of this engine ended: {exit}"));
        }
    }
}

impl Handler<Alarm> for Engine {
    type Result = ();

    fn handle(&mut self, alarm: Alarm, _: &mut Context<Self>) {
        let number = match alarm {
            Alarm::Signal(number) => number,
            Alarm::KeeperLost => {
                output::say(
                    "maniple: error: the keeper was killed, and with it all processes that ran tasks",
                );
                SIGKILL
            }
        };
        // A full channel means that nobody has heard the others yet.
        let _ = self.signals.try_send(number);
    }
}
