//! Link: the connection to the coordinator. It dials, again and again; what it hears goes to the node, what the node
//! puts into the outbox goes out, and in between the link itself shows signs of life.
//!
//! A lost connection is an event, not a crash. It keeps nothing: what has to survive a connection stays with the node.

use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use shared::{
    codec::Frame,
    endpoint::{Connected, Endpoint, EndpointError, hello},
    inject, supervision,
    wire::{Role, worker::ToWorker},
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    actors::{
        carry::{read_coordinator, write_coordinator},
        node::Node,
        said::Linked,
    },
    config::LEASE,
};

/// The waits between attempts to connect: doubled each time, with up to a half more at random.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The way to the coordinator is found.
#[derive(Message)]
#[rtype(result = "()")]
struct Reached(Result<Box<Connected>, String>);

/// A frame has come.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Heard(pub Frame);

/// A connection has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ended {
    /// Which one.
    pub life: u64,
    /// One line; `None`: in order, because the node has left.
    pub why: Option<String>,
}

/// See the module.
pub struct Link {
    endpoint: Endpoint,
    node: Addr<Node>,
    /// Counts connections.
    life: u64,
    address: String,
    carriers: JoinSet<()>,
}

impl Link {
    /// A link that will dial.
    pub fn new(endpoint: Endpoint, node: Addr<Node>) -> Link {
        Link { endpoint, node, life: 0, address: String::new(), carriers: JoinSet::new() }
    }

    fn dial(&mut self, ctx: &mut Context<Link>) {
        self.life += 1;
        self.carriers.shutdown_now();
        self.carriers.spawn_local(dial(self.endpoint.clone(), ctx.address()));
    }
}

/// Ends tasks without waiting for them.
trait ShutdownNow {
    fn shutdown_now(&mut self);
}

impl ShutdownNow for JoinSet<()> {
    fn shutdown_now(&mut self) {
        self.abort_all();
        self.detach_all();
    }
}

async fn dial(endpoint: Endpoint, link: Addr<Link>) {
    let (mut wait, longest) = BACKOFF;
    let mut told = false;
    loop {
        match endpoint.connect(&hello(Role::Worker), LEASE).await {
            Ok(connected) => return link.do_send(Reached(Ok(Box::new(connected)))),
            Err(EndpointError::Refused(why)) => return link.do_send(Reached(Err(why))),
            Err(EndpointError::Unreachable(why)) => {
                if !told {
                    tracing::warn!("no coordinator yet: {why}; trying again");
                    told = true;
                }
            }
        }
        tokio::time::sleep(wait + jitter(wait / 2)).await;
        wait = (wait * 2).min(longest);
    }
}

/// Anything from nothing to `most`, so that the workers of a cluster do not all knock at once.
fn jitter(most: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(0);
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

impl Actor for Link {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.dial(ctx);
    }
}

impl Handler<Reached> for Link {
    type Result = ();

    fn handle(&mut self, Reached(reached): Reached, ctx: &mut Context<Self>) {
        inject::point("link");
        match reached {
            Err(why) => self.node.do_send(Linked::Refused(why)),
            Ok(connected) => {
                let Connected { incoming, outgoing, lease, address } = *connected;
                tracing::info!("connected to the coordinator at {address}");
                self.address = address;
                let (outbox, inbox) = mpsc::unbounded_channel();
                let (me, life) = (ctx.address(), self.life);
                self.carriers.spawn_local(read_coordinator(incoming, lease, me.clone(), life));
                self.carriers.spawn_local(write_coordinator(outgoing, inbox, lease, me, life));
                self.node.do_send(Linked::Up { outbox, lease });
            }
        }
    }
}

impl Handler<Heard> for Link {
    type Result = ();

    fn handle(&mut self, Heard(frame): Heard, ctx: &mut Context<Self>) {
        inject::point("link");
        match frame.message() {
            Ok(ToWorker::Heartbeat) => {}
            Ok(said) => self.node.do_send(Linked::Told(said, frame.payload)),
            Err(error) => supervision::fail(ctx, format!("the coordinator speaks nonsense: {error}")),
        }
    }
}

impl Handler<Ended> for Link {
    type Result = ();

    fn handle(&mut self, Ended { life, why }: Ended, ctx: &mut Context<Self>) {
        if life != self.life {
            return;
        }
        self.node.do_send(Linked::Down);
        if let Some(why) = why {
            tracing::warn!("lost the coordinator at {}: {why}; reconnecting", self.address);
            self.dial(ctx);
        }
    }
}
