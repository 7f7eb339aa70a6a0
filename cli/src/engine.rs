//! The engine of `maniple run`: coordinator, node and client in one process, under one root.
//!
//! The root fails as a whole: whatever in it cannot be mended by its own family ends the process with exit code 70,
//! and the same command goes on from the checkpoint.

use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Running, fut::wrap_future,
};
use coordinator::{Root, shelf::Shelf};
use shared::{
    door::{Doorway, door},
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Child {
    Coordinator,
    Node,
}

/// What an engine is started with.
pub struct Engine {
    family: Family<Child>,
    running: Option<Addr<Node>>,
    prepared: Option<Prepared>,
    coordinator: coordinator::Config,
    node: worker::Config,
    signals: mpsc::Sender<i32>,
    heard: Option<mpsc::Receiver<i32>>,
}

impl Engine {
    /// Runs a job to its end; returns the exit code.
    pub fn run(prepared: Prepared, processes: u16, end: EngineEnd) -> u8 {
        supervision::run("engine", move |ctx| Engine::new(prepared, processes, end, ctx)) as u8
    }

    fn new(prepared: Prepared, slots: u16, end: EngineEnd, ctx: &mut Context<Engine>) -> Engine {
        let (door, doorway): (_, Doorway) = door();
        let (signals, heard) = mpsc::channel(SIGNALS);
        let node = worker::Config {
            slots,
            endpoint: Endpoint::Door(door),
            python: None,
            grace: prepared.grace(),
            alarms: Some(ctx.address().recipient()),
            keeping: Keeping::new(end).expect("the keeper's socket can be watched"),
        };
        let coordinator =
            coordinator::Config { doorway: Some(doorway), network: None, state_dir: None, lease: LEASE };
        Engine {
            family: Family::new("engine", Policy::new(Strategy::OneForOne).limit(0, LEASE))
                .child(Child::Coordinator, Restart::Permanent)
                .child(Child::Node, Restart::Transient),
            running: None,
            prepared: Some(prepared),
            coordinator,
            node,
            signals,
            heard: Some(heard),
        }
    }
}

impl Actor for Engine {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start_children(ctx);
        let prepared = self.prepared.take().expect("an engine is started once");
        let heard = self.heard.take().expect("an engine is started once");
        let job = prepared.follow(self.node.endpoint.clone(), heard);
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
        ctx.spawn(wrap_future::<_, Engine>(job).map(end));
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
