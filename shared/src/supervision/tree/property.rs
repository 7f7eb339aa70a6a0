//! The invariants of the state machine under random histories.

use proptest::prelude::*;

use super::{Exit, Instant, Order, Policy, State, Verdict, script::*};
use crate::supervision::{
    Restart::*,
    Strategy::{OneForAll, OneForOne, RestForOne},
};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Exit { which: usize, how: u8 },
    After(u64),
    Add(Slot, u8),
    Stop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<usize>(), 0..4u8).prop_map(|(which, how)| Step::Exit { which, how }),
        4 => (0..3000u64).prop_map(Step::After),
        1 => (prop::char::range('v', 'z'), 0..3u8).prop_map(|(slot, restart)| Step::Add(slot, restart)),
        1 => any::<usize>().prop_map(Step::Stop),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// `Script::step` checks one life a slot, no order to the dead, and no end before the children's.
    #[test]
    fn invariants_hold_under_any_history(strategy in 0..3usize, restarts in 0..6usize, steps in steps()) {
        let policy = Policy::new([OneForOne, RestForOne, OneForAll][strategy]);
        let policy = policy.limit(restarts, Duration::from_secs(10));
        let mut script = script(policy, &[('a', Permanent), ('b', Transient), ('c', Permanent), ('d', Temporary)]);
        let mut spent: Vec<Instant> = Vec::new();
        for step in steps {
            let nth = |which: usize, s: &Script| s.alive.keys().nth(which % s.alive.len().max(1)).copied();
            match step {
                Step::Exit { which, how } => {
                    let Some(slot) = nth(which, &script) else { continue };
                    let exit = [Exit::Stopped, crash(), Exit::Killed, Exit::Failed("x".into())][how as usize].clone();
                    match script.exits(slot, exit) {
                        Verdict::Restarting { .. } => spent.push(script.now),
                        Verdict::Stale => prop_assert!(false, "a living child's report was stale"),
                        Verdict::Expected | Verdict::Left | Verdict::Escalating => {}
                    }
                    let window = spent.iter().filter(|at| script.now - **at < policy.limit.window);
                    prop_assert!(window.count() <= restarts);
                }
                Step::After(millis) => _ = script.after(millis),
                Step::Add(slot, restart) => {
                    if script.tree.seats.iter().all(|seat| seat.slot != slot) {
                        let restart = [Permanent, Transient, Temporary][restart as usize];
                        script.step(|tree, now, orders| tree.add(slot, restart, now, orders));
                    }
                }
                Step::Stop(which) => {
                    if let Some(slot) = nth(which, &script) {
                        script.step(|tree, now, orders| tree.stop(slot, now, orders));
                    }
                }
            }
        }
        // What was asked to stop does so, and what is due starts: then nothing is left pending.
        let settle = |script: &mut Script| {
            while let Some(slot) = script.alive.iter().find(|(_, (_, asked))| *asked).map(|(slot, _)| *slot) {
                let _ = script.exits(slot, Exit::Stopped);
            }
        };
        settle(&mut script);
        script.after(20_000);
        prop_assert!(script.tree.next_due(script.now).is_none());
        prop_assert!(script.tree.seats.iter().all(|seat| matches!(seat.state, State::Up | State::Down)));
        script.end();
        settle(&mut script);
        let over = |order: &&Order<Slot>| matches!(order, Order::Done | Order::Escalate(_));
        prop_assert_eq!(script.orders.iter().filter(over).count(), 1);
        prop_assert!(script.tree.is_over() && over(&script.orders.last().unwrap()));
    }
}
