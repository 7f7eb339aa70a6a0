//! Any sequence of events: every granted task is reported exactly once, or handed back, or nobody wants it any more.
//!
//! At the end the world turns kind, and nothing may be left over.

use std::ops::Range;

use proptest::prelude::*;

use super::world::{Op, World};

/// Of these jobs the first two are functions.
const JOBS: Range<u64> = 1..4;
const COMMANDS: Range<u64> = 3..4;
fn op(jobs: Range<u64>) -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (jobs.clone(), 1..12u32).prop_map(|(job, tasks)| Op::Grant { job, tasks }),
        2 => (0..20usize).prop_map(Op::Recall),
        1 => (0..20usize).prop_map(Op::Drop),
        1 => Just(Op::Acknowledge),
        1 => jobs.prop_map(Op::EndJob),
        20 => (0..4u16, 0..8u64, any::<bool>()).prop_map(|(slot, tasks, tells)| Op::Step { slot, tasks, tells }),
        2 => (0..4u16, any::<bool>()).prop_map(|(slot, exit)| Op::Die { slot, exit }),
        6 => prop::bool::weighted(0.1).prop_map(|memory| Op::Look { memory }),
        6 => (0..30u64).prop_map(Op::Pass),
        1 => any::<bool>().prop_map(Op::Scarce),
        1 => any::<bool>().prop_map(Op::Link),
        1 => prop::bool::weighted(0.8).prop_map(Op::Pool),
        1 => prop::bool::weighted(0.05).prop_map(|ends| if ends { Op::Shutdown } else { Op::Acknowledge }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_task_is_reported_once_or_handed_back(ops in prop::collection::vec(op(JOBS), 1..160)) {
        live(&ops);
    }

    #[test]
    fn every_command_is_reported_once_or_handed_back(ops in prop::collection::vec(op(COMMANDS), 1..160)) {
        live(&ops);
    }
}

fn live(ops: &[Op]) {
    let mut world = World::new();
    for op in ops {
        world.apply(op);
        if world.ended {
            break;
        }
    }
    world.settle();
}
