//! The decisions of one supervisor as a state machine: a child exited, time passed, the parent ends -> orders.
//!
//! It deliberately knows no actor, task or clock; `now` is an argument and `family.rs` carries its orders out.
//!
//! Declared children come first, in the order of their declaration; dynamic ones after them. Declared ones are started
//! in order and stopped one by one in reverse; dynamic ones are independent of each other, are stopped together, and
//! before any declared one. The strategy says what a declared child's death does to others; a dynamic one's death
//! concerns only itself.
//!
//! Invariants (each is a test): a slot has at most one life at a time; a report of an earlier life changes nothing;
//! within any window at most the limit's number of restarts; the end is told exactly once, after every child's.

use std::time::{Duration, Instant};

use super::{
    Exit,
    policy::{Policy, Restart, Strategy, Window},
};

#[cfg(test)]
mod property;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

/// Which life of a slot: a report or order of another one is stale. Never used twice within a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LifeId(u64);

/// What the owner of the tree has to do now, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order<S> {
    /// Start the slot's child and report its end with this life.
    Start(S, LifeId),
    /// Ask the slot's child to stop, and kill it after its grace time.
    Stop(S),
    /// All children are gone because the limit was exceeded or one is stuck: fail with this reason.
    Escalate(String),
    /// All children are gone because the end was asked for.
    Done,
}

/// What an exit meant, for the log.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A report of an earlier life, or of a slot that is not there.
    Stale,
    /// The child had been asked to stop, or was about to be.
    Expected,
    /// It stays ended.
    Left,
    /// It starts again after this delay; it is its n-th restart within the window.
    Restarting { nth: usize, delay: Duration },
    /// The family ends because of it.
    Escalating,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Up,
    /// To be stopped when its turn comes, then started again at the given time.
    Doomed(Option<Instant>),
    /// Asked to stop; its report is awaited.
    Stopping(Option<Instant>),
    /// To be started at the given time, when its turn comes.
    Due(Instant),
}

struct Seat<S> {
    slot: S,
    restart: Restart,
    declared: bool,
    life: LifeId,
    state: State,
}

enum Phase {
    Running,
    Ending(Option<String>),
    Over,
}

/// The state machine. Empty at first: `declare` the children, then `begin`.
pub struct Tree<S> {
    policy: Policy,
    seats: Vec<Seat<S>>,
    window: Window<S>,
    phase: Phase,
    lives: u64,
}

impl<S: Copy + PartialEq + std::fmt::Debug> Tree<S> {
    pub fn new(policy: Policy) -> Tree<S> {
        Tree { policy, seats: Vec::new(), window: Window::new(policy.limit), phase: Phase::Running, lives: 0 }
    }

    /// Declares a child, before `begin`; the order of declaration is the order of starting.
    pub fn declare(&mut self, slot: S, restart: Restart) {
        self.seat(slot, restart, true, State::Down);
    }

    pub fn begin(&mut self, now: Instant, orders: &mut Vec<Order<S>>) {
        for seat in &mut self.seats {
            seat.state = State::Due(now);
        }
        self.advance(now, orders);
    }

    /// Adds a dynamic child, to be started as soon as no declared one is being restarted. While ending: nothing.
    pub fn add(&mut self, slot: S, restart: Restart, now: Instant, orders: &mut Vec<Order<S>>) {
        if matches!(self.phase, Phase::Running) {
            self.seat(slot, restart, false, State::Due(now));
            self.advance(now, orders);
        }
    }

    /// Adds a temporary child that its owner starts itself, right now, under the life that is returned. While ending,
    /// or after the end, the owner must not start it: there is none.
    #[must_use]
    pub fn adopt(&mut self, slot: S) -> Option<LifeId> {
        matches!(self.phase, Phase::Running).then(|| self.seat(slot, Restart::Temporary, false, State::Up))
    }

    /// A child's end was reported.
    pub fn exited(
        &mut self,
        slot: S,
        life: LifeId,
        exit: &Exit,
        now: Instant,
        orders: &mut Vec<Order<S>>,
    ) -> Verdict {
        let lives = |seat: &Seat<S>| !matches!(seat.state, State::Down | State::Due(_));
        let Some(at) = self.seats.iter().position(|s| s.slot == slot && s.life == life && lives(s)) else {
            return Verdict::Stale;
        };
        let restart = self.seats[at].restart;
        let stuck = matches!(exit, Exit::Stuck(_)) && restart != Restart::Temporary;
        let verdict = match self.seats[at].state {
            State::Doomed(again) | State::Stopping(again) => {
                self.seats[at].state = again.map_or(State::Down, State::Due);
                Verdict::Expected
            }
            _ if !restart.wants(exit) => {
                self.seats[at].state = State::Down;
                Verdict::Left
            }
            _ => self.restart(at, now),
        };
        let verdict = match verdict {
            Verdict::Escalating => {
                let Policy { limit, .. } = self.policy;
                self.escalate(format!(
                    "child {slot:?} {exit}; no more than {} restarts within {:?} are allowed",
                    limit.restarts, limit.window
                ));
                Verdict::Escalating
            }
            verdict if stuck => {
                self.escalate(format!("child {slot:?} {exit}"));
                if matches!(verdict, Verdict::Expected) { verdict } else { Verdict::Escalating }
            }
            verdict => verdict,
        };
        self.advance(now, orders);
        verdict
    }

    /// Time has passed: at least up to what `next_due` said.
    pub fn wake(&mut self, now: Instant, orders: &mut Vec<Order<S>>) {
        self.advance(now, orders);
    }

    /// When to `wake` it next, if at all.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        let due = |seat: &Seat<S>| if let State::Due(at) = seat.state { Some(at) } else { None };
        self.seats.iter().filter_map(due).filter(|at| *at > now).min()
    }

    /// Stops one child for good. One that is not there, or is being stopped already, is left alone.
    pub fn stop(&mut self, slot: S, now: Instant, orders: &mut Vec<Order<S>>) {
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.slot == slot) else { return };
        match seat.state {
            State::Up | State::Doomed(_) => {
                seat.state = State::Stopping(None);
                orders.push(Order::Stop(slot));
            }
            State::Stopping(_) => seat.state = State::Stopping(None),
            State::Due(_) | State::Down => seat.state = State::Down,
        }
        self.advance(now, orders);
    }

    /// The parent ends: stops all children in order; `Done` follows when the last one is gone.
    pub fn end(&mut self, now: Instant, orders: &mut Vec<Order<S>>) {
        if matches!(self.phase, Phase::Running) {
            self.close(None);
            self.advance(now, orders);
        }
    }

    /// Whether `Done` or `Escalate` has been ordered.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn seat(&mut self, slot: S, restart: Restart, declared: bool, state: State) -> LifeId {
        assert!(
            self.seats.iter().all(|seat| seat.slot != slot),
            "slot {slot:?} is taken; stop its child first"
        );
        self.lives += 1;
        let life = LifeId(self.lives);
        self.seats.push(Seat { slot, restart, declared, life, state });
        life
    }

    fn restart(&mut self, at: usize, now: Instant) -> Verdict {
        self.seats[at].state = State::Down;
        let Some(nth) = self.window.spend(self.seats[at].slot, now) else { return Verdict::Escalating };
        let delay = self.policy.backoff.delay(nth);
        let due = now + delay;
        self.seats[at].state = State::Due(due);
        if self.seats[at].declared {
            let first = match self.policy.strategy {
                Strategy::OneForOne => self.seats.len(),
                Strategy::RestForOne => at + 1,
                Strategy::OneForAll => 0,
            };
            for seat in &mut self.seats[first..] {
                if seat.state == State::Up {
                    seat.state = State::Doomed((seat.restart != Restart::Temporary).then_some(due));
                }
            }
        }
        Verdict::Restarting { nth, delay }
    }

    /// An end that was asked for already needs no other reason.
    fn escalate(&mut self, reason: String) {
        if matches!(self.phase, Phase::Running) {
            self.close(Some(reason));
        }
    }

    fn close(&mut self, reason: Option<String>) {
        self.phase = Phase::Ending(reason);
        for seat in &mut self.seats {
            seat.state = match seat.state {
                State::Up | State::Doomed(_) => State::Doomed(None),
                State::Stopping(_) => State::Stopping(None),
                State::Due(_) | State::Down => State::Down,
            };
        }
    }

    /// Gives every order whose turn has come.
    fn advance(&mut self, now: Instant, orders: &mut Vec<Order<S>>) {
        self.seats.retain(|seat| seat.declared || seat.state != State::Down);
        self.stop_doomed(orders);
        match &mut self.phase {
            Phase::Running => self.start_due(now, orders),
            Phase::Ending(reason) if self.seats.iter().all(|seat| seat.state == State::Down) => {
                orders.push(reason.take().map_or(Order::Done, Order::Escalate));
                self.phase = Phase::Over;
            }
            Phase::Ending(_) | Phase::Over => {}
        }
    }

    fn stop_doomed(&mut self, orders: &mut Vec<Order<S>>) {
        let mut awaited = false;
        for seat in self.seats.iter_mut().rev() {
            if seat.declared && awaited {
                return;
            }
            match seat.state {
                State::Doomed(again) => {
                    seat.state = State::Stopping(again);
                    orders.push(Order::Stop(seat.slot));
                    awaited = true;
                }
                State::Stopping(_) => awaited = true,
                State::Up | State::Down | State::Due(_) => {}
            }
        }
    }

    fn start_due(&mut self, now: Instant, orders: &mut Vec<Order<S>>) {
        let ordered = self.policy.strategy != Strategy::OneForOne;
        let stopping = |seat: &Seat<S>| matches!(seat.state, State::Doomed(_) | State::Stopping(_));
        let mut blocked = ordered && self.seats.iter().any(stopping);
        for seat in &mut self.seats {
            let State::Due(at) = seat.state else { continue };
            if at <= now && !blocked {
                self.lives += 1;
                seat.life = LifeId(self.lives);
                seat.state = State::Up;
                orders.push(Order::Start(seat.slot, seat.life));
            } else if seat.declared {
                blocked = ordered;
            }
        }
    }
}
