//! Every way for a single child to end, and what reaches whoever started it.

use std::{cell::RefCell, rc::Rc, sync::mpsc};

use actix::{
    ActorContext as _, ActorFutureExt as _, Handler, Message, ResponseActFuture, Running, System,
    WrapFuture as _,
};
use tokio::time::Instant;

use super::*;
use crate::supervision::{fail, token};

/// Runs a test on an actix system whose clock moves on by itself when nothing else does.
fn paused<F: Future>(test: impl FnOnce() -> F) -> F::Output {
    let builder =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    // The clock is virtual: this long is at once, if nothing else is going to happen.
    let bounded = async { timeout(Duration::from_secs(3600), test()).await.expect("it goes on") };
    System::with_tokio_rt(builder).block_on(bounded)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nowhere,
    Constructor,
    Started,
    Handler,
    ActFuture,
    RunLater,
    Interval,
    Spawned,
    Waited,
    Stopping,
    Stopped,
    Drop,
}

/// Panics at its place; logs the hooks that ran.
struct Puppet {
    place: Place,
    log: Log,
}

type Log = Rc<RefCell<Vec<&'static str>>>;

impl Puppet {
    fn at(&self, place: Place, name: &'static str) {
        self.log.borrow_mut().push(name);
        assert!(self.place != place, "at {place:?}");
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.at(Place::Drop, "drop");
    }
}

impl Actor for Puppet {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.at(Place::Started, "started");
        let nap = Duration::from_millis(10);
        match self.place {
            Place::RunLater => _ = ctx.run_later(nap, |_, _| panic!("at RunLater")),
            Place::Interval => _ = ctx.run_interval(nap, |_, _| panic!("at Interval")),
            Place::Spawned => _ = ctx.spawn(async { panic!("at Spawned") }.into_actor(self)),
            Place::Waited => ctx.wait(async { panic!("at Waited") }.into_actor(self)),
            _ => {}
        }
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        self.at(Place::Stopping, "stopping");
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.at(Place::Stopped, "stopped");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Go;

impl Handler<Go> for Puppet {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Go, ctx: &mut Context<Self>) -> Self::Result {
        self.at(Place::Handler, "handle");
        match self.place {
            Place::ActFuture => Box::pin(async {}.into_actor(self).map(|_, _, _| panic!("at ActFuture"))),
            Place::Stopping | Place::Stopped | Place::Drop => {
                ctx.stop();
                Box::pin(async {}.into_actor(self))
            }
            _ => Box::pin(async {}.into_actor(self)),
        }
    }
}

fn puppet(place: Place) -> (Child<Puppet>, oneshot::Receiver<Exit>, Log) {
    let log = Log::default();
    let kept = log.clone();
    let (child, end) = Child::start(move |_| {
        kept.borrow_mut().push("new");
        assert!(place != Place::Constructor, "at Constructor");
        Puppet { place, log: kept }
    });
    (child, end, log)
}

#[test]
fn a_panic_anywhere_is_reported_with_its_text() {
    use Place::*;
    for place in [
        Constructor,
        Started,
        Handler,
        ActFuture,
        RunLater,
        Interval,
        Spawned,
        Waited,
        Stopping,
        Stopped,
        Drop,
    ] {
        let (exit, log) = paused(|| async {
            let (child, end, log) = puppet(place);
            child.addr().do_send(Go);
            (end.await.unwrap(), log)
        });
        assert_eq!(exit, Exit::Panicked(format!("at {place:?}")));
        if !matches!(place, Stopping | Stopped | Drop) {
            assert!(!log.borrow().contains(&"stopping"), "no hook runs on a broken actor: {place:?} {log:?}");
        }
    }
}

/// Panics in a handler, and again in every hook after it.
struct Rubble;

impl Drop for Rubble {
    fn drop(&mut self) {
        panic!("the second");
    }
}

impl Actor for Rubble {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Context<Self>) {
        panic!("the third");
    }
}

impl Handler<Go> for Rubble {
    type Result = ();

    fn handle(&mut self, _: Go, _: &mut Context<Self>) {
        panic!("the first");
    }
}

#[test]
fn the_first_of_several_panics_counts_and_the_process_lives_on() {
    let exit = paused(|| async {
        let (child, end) = Child::start(|_| Rubble);
        child.addr().do_send(Go);
        end.await.unwrap()
    });
    assert_eq!(exit, Exit::Panicked("the first".into()));
}

#[test]
fn a_panic_with_any_payload_is_told() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a payload that panics");
        }
    }
    let exit = paused(|| async {
        let (_child, end) = Child::<Puppet>::start(|_| std::panic::panic_any(Bomb));
        end.await.unwrap()
    });
    assert_eq!(exit, Exit::Panicked("(a panic whose payload is not text)".into()));
}

#[test]
fn stop_comes_after_the_mail_that_was_sent_before() {
    let (exit, log) = paused(|| async {
        let (child, end, log) = puppet(Place::Nowhere);
        child.addr().do_send(Go);
        child.addr().do_send(Go);
        child.stop(Duration::from_secs(1));
        (end.await.unwrap(), log)
    });
    assert_eq!(exit, Exit::Stopped);
    assert_eq!(*log.borrow(), ["new", "started", "handle", "handle", "stopping", "stopped", "drop"]);
}

#[test]
fn kill_overtakes_mail_and_runs_no_hook() {
    let (exit, log) = paused(|| async {
        let (child, end, log) = puppet(Place::Nowhere);
        child.addr().send(Go).await.unwrap();
        child.addr().do_send(Go);
        child.kill();
        (end.await.unwrap(), log)
    });
    assert_eq!(exit, Exit::Killed);
    assert_eq!(*log.borrow(), ["new", "started", "handle", "drop"]);
}

#[test]
fn a_child_killed_before_its_first_turn_was_never_made() {
    let (exit, log) = paused(|| async {
        let (child, end, log) = puppet(Place::Nowhere);
        child.kill();
        (end.await.unwrap(), log)
    });
    assert_eq!(exit, Exit::Killed);
    assert!(log.borrow().is_empty());
}

#[test]
fn dropping_the_handle_ends_a_child_whose_address_is_held() {
    let exit = paused(|| async {
        let (child, end, _log) = puppet(Place::Nowhere);
        let addr = child.addr().clone();
        addr.send(Go).await.unwrap();
        drop(child);
        (end.await.unwrap(), addr.connected())
    });
    assert_eq!(exit, (Exit::Killed, false));
}

/// Fails in its constructor, or never lets itself be stopped.
struct Mule {
    says: Option<&'static str>,
}

impl Actor for Mule {
    type Context = Context<Self>;

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        if self.says == Some("at once") { Running::Stop } else { Running::Continue }
    }
}

impl Handler<Go> for Mule {
    type Result = ();

    fn handle(&mut self, _: Go, ctx: &mut Context<Self>) {
        fail(ctx, self.says.unwrap());
        fail(ctx, "a later reason");
    }
}

#[test]
fn a_child_that_refuses_to_stop_is_killed_after_its_grace_time() {
    let (exit, took) = paused(|| async {
        let (child, end) = Child::start(|_| Mule { says: None });
        let asked = Instant::now();
        child.stop(Duration::from_secs(3));
        (end.await.unwrap(), asked.elapsed())
    });
    assert_eq!(exit, Exit::Killed);
    assert!((3000..3010).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn the_first_reason_that_an_actor_gives_is_reported_even_if_it_is_killed_then() {
    for says in ["at once", "later"] {
        let exit = paused(|| async {
            let (child, end) = Child::start(move |_| Mule { says: Some(says) });
            child.addr().send(Go).await.unwrap();
            child.kill();
            end.await.unwrap()
        });
        assert_eq!(exit, Exit::Failed(says.into()));
    }
}

#[test]
fn a_constructor_can_fail() {
    let exit = paused(|| async {
        let (_child, end) = Child::start(|ctx| {
            fail(ctx, "no such file");
            Mule { says: Some("at once") }
        });
        end.await.unwrap()
    });
    assert_eq!(exit, Exit::Failed("no such file".into()));
}

#[test]
#[should_panic(expected = "not inside a supervised actor")]
fn an_unsupervised_actor_cannot_fail() {
    paused(|| async { _ = puppet(Place::Constructor).1.await });
    fail(&mut Context::<Mule>::new(), "nobody would hear");
}

/// A child that is killed while a thread of it goes on until told.
async fn haunted() -> (oneshot::Receiver<Exit>, mpsc::Sender<()>) {
    let (sender, receiver) = mpsc::channel();
    let (child, end) = Child::start(move |_| {
        let token = token();
        std::thread::spawn(move || {
            let _told_or_dropped = receiver.recv();
            drop(token);
        });
        Mule { says: Some("at once") }
    });
    assert!(child.addr().send(Go).await.is_ok());
    (end, sender)
}

#[test]
fn an_end_is_reported_after_the_threads_that_hold_its_token() {
    let exit = System::new().block_on(async {
        let (mut end, thread) = haunted().await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(end.try_recv().is_err(), "the thread is still there");
        }
        drop(thread);
        end.await.unwrap()
    });
    assert_eq!(exit, Exit::Failed("at once".into()));
}

#[test]
fn a_thread_that_never_ends_makes_its_actor_stuck() {
    let (exit, took) = paused(|| async {
        let begin = Instant::now();
        let (end, _thread) = haunted().await;
        (end.await.unwrap(), begin.elapsed())
    });
    assert_eq!(exit, Exit::Stuck("failed: at once".into()));
    assert!(took >= LINGER, "{took:?}");
}

#[test]
fn a_stuck_child_that_nobody_hears_makes_its_parent_stuck() {
    for heard in [true, false] {
        let parent_is_stuck = paused(|| async {
            let (mut parents, token) = Brood::new();
            let (held, thread) = mpsc::channel::<()>();
            let factory = Box::new(move |ctx: &mut Context<Mule>| {
                let token = crate::supervision::token();
                std::thread::spawn(move || (thread.recv(), drop(token)));
                fail(ctx, "at once");
                Mule { says: Some("at once") }
            });
            let child = Child::start_under(Some(token), |_| Some(LINGER), factory, move |_| heard);
            let stuck = timeout(2 * LINGER, parents.gone()).await.is_err();
            drop((child, held));
            stuck
        });
        assert_eq!(parent_is_stuck, !heard);
    }
}
