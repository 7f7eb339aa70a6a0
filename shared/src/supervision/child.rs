//! Starts one actor as a supervised child, and is the parent's end of it. It knows no policy: see `family`.
//!
//! A child lives on its parent's arbiter, as a task of its own. Invariants: its end is reported exactly once, after
//! everything that holds its token is gone, or `Exit::Stuck` after `LINGER`. Whoever drops its handle ends it.

use std::{rc::Rc, time::Duration};

use actix::{Actor, Addr, AsyncContext as _, Context};
use tokio::{sync::oneshot, time::timeout};

use super::{
    Exit,
    brood::{Brood, Token},
    life::{Control, Factory, Life},
};

#[cfg(test)]
mod tests;

/// How long an ended actor's threads and jobs are waited for before it is reported as stuck.
pub const LINGER: Duration = Duration::from_secs(60);

/// How long to wait for what an actor that ended so has left behind, if at all.
pub(super) type Linger = fn(&Exit) -> Option<Duration>;

/// A running child. Dropping it kills the child.
pub struct Child<A: Actor> {
    addr: Addr<A>,
    handle: Handle,
}

impl<A: Actor<Context = Context<A>>> Child<A> {
    /// Starts an actor outside any family: a root, or an actor under test. The receiver hears its end. Inside an actor
    /// use a `Family`.
    pub fn start<F>(factory: F) -> (Child<A>, oneshot::Receiver<Exit>)
    where
        F: FnOnce(&mut Context<A>) -> A + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let report = move |exit| sender.send(exit).is_ok();
        (Child::start_under(None, |_| Some(LINGER), Box::new(factory), report), receiver)
    }

    /// `linger` tells how long to wait for the tokens, or to report without looking. `report` is called once, and says
    /// whether anybody heard.
    pub(super) fn start_under<R>(
        parent: Option<Token>,
        linger: Linger,
        factory: Factory<A>,
        report: R,
    ) -> Child<A>
    where
        R: FnOnce(Exit) -> bool + 'static,
    {
        let ctx = Context::new();
        let addr = ctx.address();
        let control = Rc::new(Control::default());
        let (brood, token) = Brood::new();
        control.token.replace(Some(token));
        let life = Life::new(control.clone(), ctx, addr.clone(), factory);
        #[expect(clippy::disallowed_methods, reason = "this is the supervision that the lint points to")]
        actix_rt::spawn(watch(life, control.clone(), brood, linger, report, parent));
        Child { addr, handle: Handle(control) }
    }

    pub fn addr(&self) -> &Addr<A> {
        &self.addr
    }

    /// Asks the child to stop: after the mail that was sent before, through `stopping` and `stopped`. If it is still
    /// there after `grace`, it is killed.
    pub fn stop(&self, grace: Duration) {
        self.handle.stop(grace);
    }

    /// Ends the child at its next turn, before any mail, and without its hooks.
    pub fn kill(&self) {
        self.handle.kill();
    }

    /// The exit code that it chose by `set_exit_code`, or 0.
    pub fn exit_code(&self) -> i32 {
        self.handle.0.code.get()
    }

    pub(super) fn into_parts(self) -> (Addr<A>, Handle) {
        (self.addr, self.handle)
    }
}

/// The parent's hold on a child of any type. Dropping it kills the child.
pub(super) struct Handle(Rc<Control>);

impl Handle {
    pub(super) fn stop(&self, grace: Duration) {
        self.0.stop.set(Some(grace));
        self.0.wake();
    }

    pub(super) fn kill(&self) {
        self.0.kill.set(true);
        self.0.wake();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The child's task: its life, then the wait for its brood, then the report.
async fn watch<A, R>(
    life: Life<A>,
    control: Rc<Control>,
    mut brood: Brood,
    linger: Linger,
    report: R,
    parent: Option<Token>,
) where
    A: Actor<Context = Context<A>>,
    R: FnOnce(Exit) -> bool,
{
    let mut exit = life.await;
    control.token.take();
    let stuck = match linger(&exit) {
        Some(bound) => control.stuck.get() || timeout(bound, brood.gone()).await.is_err(),
        None => false,
    };
    if stuck {
        exit = Exit::Stuck(exit.to_string());
    }
    if !report(exit) && stuck {
        std::mem::forget(parent); // the parent is gone and did not hear it: then it is stuck as well
    }
}
