//! Scripts of exits and times against the state machine.

use super::{script::*, *};
use crate::supervision::{Backoff, Restart::*, Strategy::*};

#[test]
fn restart_and_exit_decide_whether_it_starts_again() {
    let ends = [Exit::Stopped, Exit::Failed("x".into()), crash(), Exit::Killed];
    for (restart, wanted) in [
        (Permanent, [true, true, true, true]),
        (Transient, [false, true, true, true]),
        (Temporary, [false; 4]),
    ] {
        for (exit, again) in ends.iter().zip(wanted) {
            let mut script = script(Policy::new(OneForOne), &[('a', restart)]);
            let verdict = script.exits('a', exit.clone());
            assert_eq!(matches!(verdict, Verdict::Restarting { nth: 1, .. }), again, "{restart:?} {exit:?}");
            script.after(100).expect(if again { "+a +a" } else { "+a" });
        }
    }
}

#[test]
fn one_for_one_leaves_the_others_alone() {
    three(OneForOne).crashes('b').after(99).expect("").after(1).expect("+b");
}

#[test]
fn rest_for_one_restarts_the_later_ones_in_order() {
    let mut script = three(RestForOne);
    script.crashes('b').expect("-c").after(100).expect("");
    script.stops('c').expect("+b +c");
    script.crashes('c').after(100).expect("+c");
}

#[test]
fn one_for_all_restarts_all_in_order_after_the_delay() {
    let mut script = three(OneForAll);
    script.crashes('c').expect("-b").stops('b').expect("-a").stops('a').expect("");
    script.after(99).expect("").after(1).expect("+a +b +c");
}

#[test]
fn an_earlier_one_that_dies_while_a_later_one_waits_goes_first() {
    let mut script = three(RestForOne);
    script.crashes('b').expect("-c").stops('c').after(50);
    script.crashes('a').after(50).expect("").after(49).expect("").after(1).expect("+a +b +c");
}

#[test]
fn one_that_crashes_while_it_is_to_be_stopped_spends_no_restart() {
    let mut script = three(RestForOne);
    script.crashes('a').expect("-c").crashes('b').crashes('c').expect("").after(100).expect("+a +b +c");
    assert!(matches!(script.exits('b', crash()), Verdict::Restarting { nth: 1, .. }));
}

#[test]
fn one_that_ended_for_good_is_not_started_again_with_its_siblings() {
    let mut script = script(Policy::new(OneForAll), &[('a', Permanent), ('b', Transient), ('c', Temporary)]);
    assert_eq!(script.exits('b', Exit::Stopped), Verdict::Left);
    script.expect("+a +b +c").crashes('a').expect("-c").stops('c').after(100).expect("+a");
}

#[test]
fn a_dynamic_childs_death_concerns_only_itself() {
    let mut script = three(OneForAll);
    script.step(|tree, now, orders| tree.add('x', Permanent, now, orders));
    script.crashes('x').expect("+x").after(100).expect("+x");
}

#[test]
fn dynamic_children_are_stopped_together_before_the_declared_ones() {
    let mut script = three(OneForOne);
    for slot in ['x', 'y'] {
        let life = script.tree.adopt(slot).unwrap();
        script.alive.insert(slot, (life, false));
    }
    script.end().expect("-y -x").stops('x').expect("").stops('y').expect("-c");
    script.stops('c').stops('b').stops('a').expect("-b -a .");
    assert!(script.tree.is_over() && script.tree.adopt('z').is_none());
}

#[test]
fn dynamic_children_fall_with_what_they_depend_on() {
    let mut script = three(RestForOne);
    script.step(|tree, now, orders| tree.add('x', Permanent, now, orders));
    let life = script.tree.adopt('y').unwrap();
    script.alive.insert('y', (life, false));
    script.expect("+x").crashes('c').expect("-y -x").stops('y').stops('x').after(100).expect("+c +x");
}

#[test]
fn a_dynamic_child_that_is_added_during_a_restart_waits_for_it() {
    let mut script = three(RestForOne);
    script.crashes('a').stops('c').stops('b').expect("-c -b");
    script.step(|tree, now, orders| tree.add('x', Transient, now, orders));
    script.expect("").after(100).expect("+a +b +c +x");
}

#[test]
fn a_stopped_child_stays_stopped() {
    let mut script = three(OneForOne);
    script.step(|tree, now, orders| tree.stop('b', now, orders));
    script.expect("-b").crashes('b').after(60_000).expect("");
    script.crashes('c').step(|tree, now, orders| tree.stop('c', now, orders));
    script.after(60_000).expect("");
}

#[test]
fn a_slot_is_free_again_when_its_dynamic_child_has_ended() {
    let mut script = three(OneForOne);
    for _ in 0..2 {
        let life = script.tree.adopt('x').unwrap();
        script.alive.insert('x', (life, false));
        assert_eq!(script.exits('x', crash()), Verdict::Left);
    }
}

#[test]
#[should_panic(expected = "slot 'a' is taken")]
fn a_slot_that_is_taken_is_refused() {
    let _ = three(OneForOne).tree.adopt('a');
}

#[test]
fn a_stale_report_changes_nothing() {
    let mut script = three(OneForOne);
    let (first, _) = script.alive[&'a'];
    script.crashes('a').after(100).expect("+a");
    for slot in ['a', 'z'] {
        let verdict = script.step(|tree, now, orders| tree.exited(slot, first, &crash(), now, orders));
        assert_eq!(verdict, Verdict::Stale);
    }
    script.after(10_000).expect("");
}

#[test]
fn a_storm_escalates_after_all_others_have_stopped() {
    let policy = Policy::new(OneForOne).limit(2, Duration::from_secs(60));
    let mut script = script(policy, &[('a', Permanent), ('b', Permanent), ('c', Permanent)]);
    script.crashes('b').after(100).crashes('b').after(200).expect("+a +b +c +b +b");
    assert_eq!(script.exits('b', crash()), Verdict::Escalating);
    script.expect("-c").stops('c').expect("-a").crashes('a').expect("!").after(60_000).expect("");
}

#[test]
fn the_limit_counts_the_whole_family_and_backoff_each_child() {
    let policy = Policy::new(OneForOne).limit(2, Duration::from_secs(60));
    let mut script = script(policy, &[('a', Permanent), ('b', Permanent)]);
    for slot in ['a', 'b'] {
        let wanted = Verdict::Restarting { nth: 1, delay: Duration::from_millis(100) };
        assert_eq!(script.exits(slot, crash()), wanted);
    }
    script.after(100);
    assert_eq!(script.exits('a', crash()), Verdict::Escalating);
}

#[test]
fn the_window_slides() {
    let policy = Policy::new(OneForOne).limit(2, Duration::from_secs(1));
    let mut script = script(policy, &[('a', Permanent)]);
    script.expect("+a");
    for _ in 0..100 {
        script.crashes('a').after(600).expect("+a");
    }
    script.crashes('a').after(200).expect("+a");
    assert_eq!(script.exits('a', crash()), Verdict::Escalating);
}

#[test]
fn backoff_doubles_up_to_its_cap() {
    let backoff = Backoff { first: Duration::from_millis(100), cap: Duration::from_millis(1500) };
    let delays = [1, 2, 3, 4, 5, 6, 1000].map(|nth| backoff.delay(nth).as_millis());
    assert_eq!(delays, [100, 200, 400, 800, 1500, 1500, 1500]);
}

#[test]
fn a_stuck_child_is_never_started_again() {
    let stuck = || Exit::Stuck("killed".into());
    let mut script = three(RestForOne);
    assert_eq!(script.exits('b', stuck()), Verdict::Escalating);
    script.expect("-c").stops('c').stops('a').expect("-a !");
    let mut script = three(RestForOne);
    script.crashes('b').expect("-c");
    assert_eq!(script.exits('c', stuck()), Verdict::Expected);
    script.expect("-a").stops('a').expect("!");
}

#[test]
fn an_end_cancels_what_is_due() {
    three(OneForOne).crashes('c').end().expect("-b").stops('b').stops('a').expect("-a .");
    let mut empty = script(Policy::new(OneForOne), &[]);
    empty.end().expect(".").end().expect("");
}
