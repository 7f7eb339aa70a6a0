//! One life of one actor as a future that ends with its `Exit`: built by its factory inside the future, polled by hand,
//! every panic caught. It does not know who listens, nor what follows.
//!
//! Invariants: the factory, every handler, hook and future of the actor, and its `Drop`, run inside `caught`. After a
//! panic or a kill no hook runs on the broken actor: actix would call `stopping` and `stopped` (even `started`) while
//! it drops the context, so `Tamed` terminates it first. `stop` takes effect after the mail that was sent before it,
//! unless the actor is in a `ctx.wait`.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context as Waiting, Poll, Waker},
    time::Duration,
};

use actix::{Actor, ActorContext as _, Addr, Context, dev::ContextFut};
use tokio::time::{Sleep, sleep};

use super::{Exit, brood::Token};

thread_local! {
    /// The life that is being polled on this thread.
    static CURRENT: RefCell<Option<Rc<Control>>> = const { RefCell::new(None) };
}

/// What a life shares with the handle of its child and with the code that runs in it.
#[derive(Default)]
pub(super) struct Control {
    pub(super) kill: Cell<bool>,
    /// A stop that was asked for and not yet passed on, with its grace time.
    pub(super) stop: Cell<Option<Duration>>,
    /// The exit code that a root chose.
    pub(super) code: Cell<i32>,
    /// A child of this one was stuck: so is this one when it ends.
    pub(super) stuck: Cell<bool>,
    pub(super) token: RefCell<Option<Token>>,
    failure: RefCell<Option<String>>,
    waker: RefCell<Option<Waker>>,
}

impl Control {
    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// The life inside which the caller runs, if it runs in one.
    pub(super) fn current() -> Option<Rc<Control>> {
        CURRENT.with_borrow(Option::clone)
    }

    fn expect_current() -> Rc<Control> {
        Control::current()
            .expect("not inside a supervised actor: start it by supervision::{run, Child, Family}")
    }
}

/// Ends the calling actor with an error: it stops as by `ctx.stop()`, its parent hears `Exit::Failed(why)`. The first
/// reason counts.
///
/// # Panics
/// Outside a supervised actor, as do `token` and `set_exit_code`.
pub fn fail<A: Actor<Context = Context<A>>>(ctx: &mut Context<A>, why: impl fmt::Display) {
    Control::expect_current().failure.borrow_mut().get_or_insert_with(|| why.to_string());
    ctx.stop();
}

/// A token of the calling actor: its end is not reported, and so it is not started again, before this is dropped. Take
/// one into every thread or blocking job that must not overlap with the actor's next life.
pub fn token() -> Token {
    let token = Control::expect_current().token.borrow().clone();
    token.expect("a life's own token is taken away only after its actor is gone")
}

/// What the process exits with if the calling actor is its root and stops in order.
pub fn set_exit_code(code: i32) {
    Control::expect_current().code.set(code);
}

pub(super) type Factory<A> = Box<dyn FnOnce(&mut Context<A>) -> A>;

enum Body<A: Actor<Context = Context<A>>> {
    Unborn(Context<A>, Factory<A>),
    Alive(Tamed<A>),
    Gone,
}

/// A context that runs no hook when it is dropped.
struct Tamed<A: Actor<Context = Context<A>>>(ContextFut<A, Context<A>>);

impl<A: Actor<Context = Context<A>>> Drop for Tamed<A> {
    fn drop(&mut self) {
        self.0.ctx().terminate();
    }
}

/// The future of one life.
pub(super) struct Life<A: Actor<Context = Context<A>>> {
    control: Rc<Control>,
    body: Body<A>,
    grace: Option<Pin<Box<Sleep>>>,
    /// Without an address in someone's hands actix would take the actor for unneeded and stop it.
    _anchor: Addr<A>,
}

impl<A: Actor<Context = Context<A>>> Life<A> {
    pub(super) fn new(
        control: Rc<Control>,
        ctx: Context<A>,
        anchor: Addr<A>,
        factory: Factory<A>,
    ) -> Life<A> {
        Life { control, body: Body::Unborn(ctx, factory), grace: None, _anchor: anchor }
    }

    fn advance(&mut self, cx: &mut Waiting<'_>) -> Poll<Exit> {
        if self.control.kill.get() {
            return Poll::Ready(self.ended(Exit::Killed));
        }
        let stop = self.control.stop.take();
        if let Body::Unborn(..) = self.body {
            match caught(|| self.bear()) {
                Ok(()) => {}
                Err(text) => return Poll::Ready(Exit::Panicked(text)),
            }
        }
        let mut polled = self.poll_actor(cx);
        if let (Poll::Pending, Some(grace), Body::Alive(actor)) = (&polled, stop, &mut self.body) {
            actor.0.ctx().stop();
            self.grace = Some(Box::pin(sleep(grace)));
            polled = self.poll_actor(cx);
        }
        let out_of_grace = |grace: &mut Pin<Box<Sleep>>| grace.as_mut().poll(cx).is_ready();
        if polled.is_pending() && self.grace.as_mut().is_some_and(out_of_grace) {
            return Poll::Ready(self.ended(Exit::Killed));
        }
        polled
    }

    fn bear(&mut self) {
        if let Body::Unborn(mut ctx, factory) = std::mem::replace(&mut self.body, Body::Gone) {
            let actor = factory(&mut ctx);
            self.body = Body::Alive(Tamed(ctx.into_future(actor)));
        }
    }

    fn poll_actor(&mut self, cx: &mut Waiting<'_>) -> Poll<Exit> {
        let Body::Alive(actor) = &mut self.body else { unreachable!("a life is polled only before its end") };
        match caught(|| Pin::new(&mut actor.0).poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(self.ended(Exit::Stopped)),
            Err(text) => Poll::Ready(Exit::Panicked(text)),
        }
    }

    /// A reason that the actor gave itself tells more than how it went from there.
    fn ended(&self, otherwise: Exit) -> Exit {
        self.control.failure.take().map_or(otherwise, Exit::Failed)
    }
}

impl<A: Actor<Context = Context<A>>> Future for Life<A> {
    type Output = Exit;

    fn poll(self: Pin<&mut Self>, cx: &mut Waiting<'_>) -> Poll<Exit> {
        let this = self.get_mut();
        this.control.waker.replace(Some(cx.waker().clone()));
        let _entered = Entered::enter(&this.control);
        let Poll::Ready(exit) = this.advance(cx) else { return Poll::Pending };
        let body = std::mem::replace(&mut this.body, Body::Gone);
        Poll::Ready(match (caught(|| drop(body)), exit) {
            (_, Exit::Panicked(first)) => Exit::Panicked(first),
            (Err(text), _) => Exit::Panicked(text),
            (Ok(()), exit) => exit,
        })
    }
}

/// Makes a life the current one for as long as it is held.
struct Entered(Option<Rc<Control>>);

impl Entered {
    fn enter(control: &Rc<Control>) -> Entered {
        Entered(CURRENT.replace(Some(control.clone())))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Runs `body`; a panic becomes its text.
fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(text)
}

fn text(panic: Box<dyn Any + Send>) -> String {
    match panic
        .downcast::<&str>()
        .map(|text| text.to_string())
        .or_else(|p| p.downcast::<String>().map(|s| *s))
    {
        Ok(text) => text,
        Err(other) => {
            std::mem::forget(other); // its drop might panic again
            "(a panic whose payload is not text)".to_owned()
        }
    }
}
