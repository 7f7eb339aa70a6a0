//! One supervisor for every actor of the project: a child's end, in whatever way, reaches its parent exactly once, and
//! a policy decides what follows. Built on actix's public API, in place of its `Supervisor`.
//!
//! - [`exit`]: how a life ended - [`policy`], [`tree`]: what follows, as pure decisions
//! - [`life`]: one life as a future - [`brood`]: what it leaves behind - [`child`]: one child - [`family`]: a parent's
//! - [`root`]: the top of the tree, where an end becomes the process's exit code
//!
//! It deliberately offers no second arbiter (children live on their parent's) and no stable address across restarts:
//! only the parent keeps a child's address, and mail in a dead child's box is lost.
//!
//! ```
//! use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Running};
//! use shared::supervision::{self, Exit, Family, Parent, Policy, Restart, Strategy};
//!
//! struct Worker;
//! impl Actor for Worker { type Context = Context<Self>; }
//!
//! #[derive(Message)]
//! #[rtype(result = "()")]
//! struct Work(&'static str);
//!
//! impl Handler<Work> for Worker {
//!     type Result = ();
//!     fn handle(&mut self, Work(kind): Work, ctx: &mut Context<Self>) {
//!         match kind { "bad" => panic!("bad work"), _ => supervision::fail(ctx, "the disk is full") }
//!     }
//! }
//!
//! #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
//! enum Slot { Worker, Session(u64) }
//!
//! struct Node { family: Family<Slot>, worker: Option<Addr<Worker>>, ends: Vec<Exit> }
//!
//! impl Node {
//!     fn new() -> Node {
//!         let family = Family::new("node", Policy::new(Strategy::RestForOne)).child(Slot::Worker, Restart::Permanent);
//!         Node { family, worker: None, ends: Vec::new() }
//!     }
//! }
//!
//! impl Actor for Node {
//!     type Context = Context<Self>;
//!     fn started(&mut self, ctx: &mut Context<Self>) {
//!         self.start_children(ctx);
//!         self.family.spawn_temporary(Slot::Session(7), |_| Worker).expect("not ending").do_send(Work("last"));
//!     }
//!     fn stopping(&mut self, ctx: &mut Context<Self>) -> Running { self.stop_children(ctx) }
//! }
//!
//! impl Parent for Node {
//!     type Slot = Slot;
//!     fn family(&mut self) -> &mut Family<Slot> { &mut self.family }
//!     fn start_child(&mut self, slot: Slot, _: &mut Context<Self>) {
//!         match slot {
//!             Slot::Worker => {
//!                 let worker = self.family.spawn(slot, |_| Worker);
//!                 if self.ends.is_empty() { worker.do_send(Work("bad")) } // its second life is spared
//!                 self.worker = Some(worker);
//!             }
//!             Slot::Session(_) => unreachable!("sessions are temporary"),
//!         }
//!     }
//!     fn child_ended(&mut self, _: Slot, exit: &Exit, ctx: &mut Context<Self>) {
//!         self.ends.push(exit.clone());
//!         if self.ends.len() == 2 { supervision::set_exit_code(3); actix::ActorContext::stop(ctx) }
//!     }
//! }
//!
//! assert_eq!(supervision::run("node", |_| Node::new()), 3);
//! ```

pub mod brood;
pub mod child;
pub mod exit;
pub mod family;
pub mod life;
pub mod policy;
pub mod root;
pub mod tree;

pub use brood::Token;
pub use child::Child;
pub use exit::Exit;
pub use family::{Family, Parent};
pub use life::{fail, set_exit_code, token};
pub use policy::{Backoff, Limit, Policy, Restart, Strategy};
pub use root::{INTERNAL_ERROR, install_panic_hook, run};
