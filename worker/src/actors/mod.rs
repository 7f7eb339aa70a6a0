//! The actors of a node: they turn mail into events for the core, and effects into mail, bytes and processes.
//!
//! [`node`] is the root of the tree (`carry_out`: what its core asks for). Its children, one for one: [`monitor`],
//! [`link`], [`pool`] (`preload`: its templates); the pool's are the [`process`]es, one actor per life of a slot, never
//! restarted. [`said`] holds what they say to each other, [`carry`]
//! the plain tasks that move bytes for them. All live on one arbiter.

pub mod carry;
mod carry_out;
pub mod link;
pub mod monitor;
pub mod node;
pub mod pool;
mod preload;
pub mod process;
pub mod said;
