//! Monitor: looks at the machine every second, and at the processes as often as their limits ask for.
//!
//! It decides nothing: the core does, from what is read here.

use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, SpawnHandle};
use shared::inject;

use crate::{
    actors::{
        node::Node,
        said::{Observed, Watch},
    },
    machine::{Load, Machine, oom_kills},
    registry::Registry,
};

/// How often processes are looked at whose tasks have limits.
const CLOSE: Duration = Duration::from_millis(50);

/// How often others are.
const LOOSE: Duration = Duration::from_millis(500);

/// How often the machine is.
const MACHINE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Monitor {
    registry: Registry,
    node: Addr<Node>,
    watch: Watch,
    next: Option<SpawnHandle>,
    /// `None`: the system does not say how it is.
    machine: Option<Machine>,
}

impl Monitor {
    /// A monitor of the processes in this registry.
    pub fn new(registry: Registry, node: Addr<Node>, watch: Watch) -> Monitor {
        Monitor { registry, node, watch, next: None, machine: Machine::new() }
    }

    fn look(&mut self, ctx: &mut Context<Monitor>) {
        inject::point("monitor");
        let at = Instant::now();
        let readings = self.registry.look(self.watch.memory);
        if !readings.is_empty() {
            self.node.do_send(Observed::Processes { at, readings });
        }
        let pause = if self.watch.time || self.watch.memory { CLOSE } else { LOOSE };
        self.next = Some(ctx.run_later(pause, Monitor::look));
    }

    fn look_at_machine(&mut self, _: &mut Context<Monitor>) {
        let Some(machine) = &mut self.machine else { return };
        let Load { cpu_percent, used, total } = machine.load();
        let readings = self.registry.look(true);
        let pool = readings.into_iter().filter_map(|reading| Some((reading.life, reading.memory?))).collect();
        let detail = Box::new(machine.detail(self.registry.pids()));
        self.node.do_send(Observed::Machine {
            cpu_percent,
            used,
            total,
            pool,
            oom_kills: oom_kills(),
            detail,
        });
    }
}

impl Actor for Monitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.look(ctx);
        self.look_at_machine(ctx);
        ctx.run_interval(MACHINE, Monitor::look_at_machine);
    }
}

impl Handler<Watch> for Monitor {
    type Result = ();

    fn handle(&mut self, watch: Watch, ctx: &mut Context<Self>) {
        inject::point("monitor");
        self.watch = watch;
        if let Some(next) = self.next.take() {
            ctx.cancel_future(next);
        }
        self.look(ctx);
    }
}
