//! For tests: a tree with imagined children, whose ends and times a script tells.

use std::collections::BTreeMap;

use super::*;
use crate::supervision::Restart::Permanent;

pub(super) type Slot = char;

/// Obeys a tree as a parent would, but for real children: the test says when one ends.
pub(super) struct Script {
    pub(super) tree: Tree<Slot>,
    pub(super) now: Instant,
    /// The lives that have begun and not ended; whether they were asked to stop.
    pub(super) alive: BTreeMap<Slot, (LifeId, bool)>,
    pub(super) orders: Vec<Order<Slot>>,
}

pub(super) fn script(policy: Policy, declared: &[(Slot, Restart)]) -> Script {
    let now = Instant::now();
    let mut tree = Tree::new(policy);
    declared.iter().for_each(|(slot, restart)| tree.declare(*slot, *restart));
    let mut script = Script { tree, now, alive: BTreeMap::new(), orders: Vec::new() };
    script.step(|tree, now, orders| tree.begin(now, orders));
    script
}

pub(super) fn three(strategy: Strategy) -> Script {
    let mut script = script(Policy::new(strategy), &[('a', Permanent), ('b', Permanent), ('c', Permanent)]);
    script.expect("+a +b +c");
    script
}

pub(super) fn crash() -> Exit {
    Exit::Panicked("boom".into())
}

impl Script {
    pub(super) fn step<R>(
        &mut self,
        what: impl FnOnce(&mut Tree<Slot>, Instant, &mut Vec<Order<Slot>>) -> R,
    ) -> R {
        let mut orders = Vec::new();
        let result = what(&mut self.tree, self.now, &mut orders);
        for order in &orders {
            match order {
                Order::Start(slot, life) => {
                    assert!(self.alive.insert(*slot, (*life, false)).is_none(), "two lives of {slot}");
                }
                Order::Stop(slot) => {
                    let (_, asked) = self.alive.get_mut(slot).expect("only what lives is stopped");
                    assert!(!std::mem::replace(asked, true), "{slot} was stopped twice");
                }
                Order::Escalate(_) | Order::Done => {
                    assert!(self.alive.is_empty(), "over before {:?}", self.alive)
                }
            }
        }
        self.orders.extend(orders);
        result
    }

    pub(super) fn exits(&mut self, slot: Slot, exit: Exit) -> Verdict {
        let (life, _) = self.alive.remove(&slot).expect("only what lives can exit");
        self.step(|tree, now, orders| tree.exited(slot, life, &exit, now, orders))
    }

    pub(super) fn crashes(&mut self, slot: Slot) -> &mut Script {
        let _ = self.exits(slot, crash());
        self
    }

    pub(super) fn stops(&mut self, slot: Slot) -> &mut Script {
        assert_eq!(self.exits(slot, Exit::Stopped), Verdict::Expected);
        self
    }

    pub(super) fn after(&mut self, millis: u64) -> &mut Script {
        self.now += Duration::from_millis(millis);
        self.step(|tree, now, orders| tree.wake(now, orders));
        self
    }

    pub(super) fn end(&mut self) -> &mut Script {
        self.step(|tree, now, orders| tree.end(now, orders));
        self
    }

    /// The orders since the last look: `+a` start, `-a` stop, `!` escalate, `.` done.
    pub(super) fn expect(&mut self, wanted: &str) -> &mut Script {
        let word = |order: &Order<Slot>| match order {
            Order::Start(slot, _) => format!("+{slot}"),
            Order::Stop(slot) => format!("-{slot}"),
            Order::Escalate(_) => "!".to_owned(),
            Order::Done => ".".to_owned(),
        };
        let got: Vec<_> = self.orders.drain(..).map(|order| word(&order)).collect();
        assert_eq!(got.join(" "), wanted);
        self
    }
}
