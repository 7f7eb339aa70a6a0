//! Families of real actors: what a policy's decisions look like to parents, children and grandchildren.

use std::time::Duration;

use tokio::time::Instant;

use super::{cast::*, *};
use crate::supervision::{Restart::*, Strategy::*};

fn one_for_one() -> Policy {
    Policy::new(OneForOne)
}

#[test]
fn each_end_reaches_the_parent_exactly_once() {
    scene(one_for_one(), &[], |mut scene| async move {
        let deeds = [
            (Deed::Panic, "panicked:_boom"),
            (Deed::Fail, "failed:_sorry"),
            (Deed::Stop, "stopped"),
            (Deed::Terminate, "stopped"),
        ];
        for (slot, (deed, end)) in (0..).zip(deeds) {
            scene.adopt(slot).await;
            scene.tell(slot, deed).await;
            scene.expect(&format!("{slot}+ {slot}:{end}")).await;
        }
        scene.adopt(9).await;
        scene.expect("9+").await;
        scene.ask(|troupe, _| troupe.family.kill(9)).await;
        scene.expect("9:killed").await;
        scene.stop().await;
        scene.expect("parent:stopped").await;
    });
}

#[test]
fn a_restarted_child_has_fresh_state() {
    scene(one_for_one(), &[(0, Permanent)], |mut scene| async move {
        scene.expect("0+").await;
        assert_eq!([scene.count(0).await, scene.count(0).await], [1, 2]);
        scene.tell(0, Deed::Panic).await;
        scene.expect("0:panicked:_boom 0+").await;
        assert_eq!(scene.count(0).await, 1);
    });
}

#[test]
fn restarts_back_off() {
    let policy = one_for_one().backoff(Duration::from_millis(100), Duration::from_millis(300));
    scene(policy, &[(0, Permanent)], |mut scene| async move {
        scene.expect("0+").await;
        for wanted in [100, 200, 300, 300] {
            scene.tell(0, Deed::Panic).await;
            scene.expect("0:panicked:_boom").await;
            let dead = Instant::now();
            scene.expect("0+").await;
            let took = dead.elapsed().as_millis();
            assert!((wanted..wanted + 5).contains(&took), "{took} instead of {wanted} ms");
        }
    });
}

#[test]
fn a_storm_ends_the_parent_after_its_other_children_in_reverse_order() {
    let policy = one_for_one().limit(2, Duration::from_secs(60));
    scene(policy, &[(0, Permanent), (1, Permanent), (2, Permanent)], |mut scene| async move {
        scene.expect("0+ 1+ 2+").await;
        for _ in 0..2 {
            scene.tell(1, Deed::Panic).await;
            scene.expect("1:panicked:_boom 1+").await;
        }
        scene.tell(1, Deed::Panic).await;
        scene.expect("1:panicked:_boom 2:stopped 0:stopped").await;
        let exit = scene.next().await;
        assert!(exit.starts_with("parent:failed:_child_1_panicked:_boom;_no_more_than_2"), "{exit}");
    });
}

#[test]
fn rest_for_one_restarts_later_siblings_in_order() {
    scene(
        Policy::new(RestForOne),
        &[(0, Permanent), (1, Permanent), (2, Permanent), (3, Permanent)],
        |mut scene| async move {
            scene.expect("0+ 1+ 2+ 3+").await;
            scene.tell(1, Deed::Panic).await;
            scene.expect("1:panicked:_boom 3:stopped 2:stopped 1+ 2+ 3+").await;
        },
    );
}

#[test]
fn one_for_all_restarts_everybody() {
    scene(
        Policy::new(OneForAll),
        &[(0, Permanent), (1, Permanent), (2, Permanent)],
        |mut scene| async move {
            scene.expect("0+ 1+ 2+").await;
            scene.tell(1, Deed::Fail).await;
            scene.expect("1:failed:_sorry 2:stopped 0:stopped 0+ 1+ 2+").await;
        },
    );
}

#[test]
fn a_child_that_refuses_to_stop_is_killed_after_its_grace_time() {
    scene(Policy::new(RestForOne), &[(0, Permanent), (STUBBORN, Permanent)], |mut scene| async move {
        scene.expect("0+ 100+").await;
        let begin = Instant::now();
        scene.tell(0, Deed::Panic).await;
        scene.expect("0:panicked:_boom 100:killed").await;
        assert!(
            (GRACE..GRACE + Duration::from_millis(5)).contains(&begin.elapsed()),
            "{:?}",
            begin.elapsed()
        );
        scene.expect("0+ 100+").await;
    });
}

#[test]
fn a_parent_stops_after_its_children_in_reverse_order() {
    scene(one_for_one(), &[(0, Permanent), (1, Transient)], |mut scene| async move {
        scene.adopt(7).await;
        scene.expect("0+ 1+ 7+").await;
        scene.stop().await;
        scene.expect("7:stopped 1:stopped 0:stopped parent:stopped").await;
    });
}

#[test]
fn nothing_is_started_while_the_family_ends() {
    scene(one_for_one(), &[(STUBBORN, Permanent)], |mut scene| async move {
        scene.expect("100+").await;
        scene.stop().await;
        let adopted = scene.ask(|troupe, ctx| {
            troupe.add_child(5, Permanent, ctx);
            troupe.adopt(6)
        });
        assert!(!adopted.await);
        scene.expect("100:killed parent:stopped").await;
    });
}

#[test]
fn a_child_lives_on_though_nobody_keeps_its_address() {
    scene(one_for_one(), &[(0, Permanent)], |mut scene| async move {
        scene.expect("0+").await;
        scene.ask(|troupe, _| troupe.forget(0)).await;
        scene.adopt(1).await; // and so the arbiter has been round
        scene.expect("1+").await;
        scene.stop().await;
        scene.expect("1:stopped 0:stopped parent:stopped").await;
    });
}

#[test]
fn children_come_and_go() {
    scene(one_for_one(), &[], |mut scene| async move {
        scene.ask(|troupe, ctx| troupe.add_child(3, Permanent, ctx)).await;
        scene.expect("3+").await;
        scene.tell(3, Deed::Panic).await;
        scene.expect("3:panicked:_boom 3+").await;
        scene.ask(|troupe, ctx| troupe.stop_child(3, ctx)).await;
        scene.expect("3:stopped").await;
        scene.adopt(3).await;
        scene.expect("3+").await;
    });
}

#[test]
fn an_escalation_is_an_ordinary_failure_one_level_up() {
    scene(one_for_one(), &[(NESTED, Permanent)], |mut scene| async move {
        scene.expect("200+ 201+").await;
        scene.tell(NESTED, Deed::Panic).await; // passed on to its child, which may not be restarted at all
        let exit = scene.next().await;
        assert!(exit.starts_with("200:failed:_child_201_panicked:_boom;_no_more_than_0"), "{exit}");
        scene.expect("200+ 201+").await;
    });
}

#[test]
fn a_parents_end_is_reported_after_its_grandchildren_are_gone() {
    scene(one_for_one(), &[(NESTED, Permanent)], |mut scene| async move {
        scene.expect("200+ 201+").await;
        scene.watch_drops();
        scene.ask(|troupe, _| troupe.family.kill(NESTED)).await;
        scene.expect("201- 200:killed 200+ 201+").await;
    });
}

#[test]
fn a_grandchilds_thread_that_never_ends_makes_all_above_it_stuck() {
    scene(one_for_one(), &[(NESTED, Permanent), (1, Permanent)], |mut scene| async move {
        scene.expect("200+ 1+ 201+").await;
        let _thread = scene.haunt_nested().await;
        scene.ask(|troupe, _| troupe.family.kill(NESTED)).await;
        let begin = Instant::now();
        let stuck = "killed,_but_a_thread_or_job_that_it_started_did_not_end";
        scene.expect(&format!("200:{stuck} 1:stopped")).await;
        let exit = scene.next().await;
        assert!(exit.starts_with(&format!("parent:failed:_child_200_{stuck},_but_")), "{exit}");
        assert!(begin.elapsed() < 2 * LINGER, "one level's wait is enough: {:?}", begin.elapsed());
    });
}

#[test]
fn an_escalation_may_be_answered_otherwise() {
    let policy = one_for_one().limit(0, Duration::from_secs(1));
    scene(policy, &[(0, Permanent)], |mut scene| async move {
        scene.expect("0+").await;
        scene.ask(|troupe, _| troupe.forgiving = true).await;
        scene.tell(0, Deed::Panic).await;
        scene.expect("0:panicked:_boom parent:stopped").await;
    });
}
