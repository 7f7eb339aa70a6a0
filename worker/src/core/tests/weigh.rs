//! Processes that grow, and those that only seem to.

use super::*;

fn growing() -> Script {
    let limits = Limits { recycle_memory: Some(1000), ..Limits::default() };
    let mut script = script(1);
    script.job(JobSpec { limits, ..function_job(1) }).grant(1, 1, 0, 3).ready(0);
    script.expect(&["start 0 for job 1", "run 0 b1 [0..3] from 1"]);
    script
}

#[test]
fn a_process_that_still_has_too_much_after_its_task_is_replaced() {
    let mut script = growing();
    script.sample(0, 1, 2, Some(1000)).expect(&[]);
    script.sample(0, 1, 2, Some(1001)).expect(&["set stop 0 at 2"]);
    script.sample(0, 1, 2, Some(5000)).expect(&[]);
    script.ran(0, 1, 1, &[]).stopped(0, 2).expect(&["report 1 b1 [0..1] 1 bytes", "clear stop 0"]);
    script.sample(0, 0, 2, Some(1001)).expect(&["stop 0"]);
    script.exited(0, 0, "").ready(0).expect(&["start 0 for job 1", "run 0 b1 [1..3] from 1"]);
}

#[test]
fn a_process_that_is_small_again_after_its_task_goes_on_and_is_left_alone_for_a_while() {
    let mut script = growing();
    script.sample(0, 1, 2, Some(9000)).expect(&["set stop 0 at 2"]);
    script.ran(0, 1, 1, &[]).stopped(0, 2).expect(&["report 1 b1 [0..1] 1 bytes", "clear stop 0"]);
    script.sample(0, 0, 2, Some(900)).expect(&["run 0 b1 [1..3] from 4"]);
    script.pass(ms(900)).sample(0, 4, 5, Some(9000)).expect(&[]);
    script.pass(ms(100)).sample(0, 4, 5, Some(9000)).expect(&["set stop 0 at 5"]);
}

#[test]
fn an_idle_process_that_has_grown_is_replaced_and_one_that_was_never_small_has_its_task() {
    let mut script = growing();
    script.ran(0, 1, 3, &[]).sample(0, 0, 4, Some(2000));
    script.expect(&["report 1 b1 [0..3] 3 bytes", "forget b1", "stop 0"]);
    script.exited(0, 0, "").ready(0).expect(&["start 0 for job 1"]);
    script.sample(0, 0, 0, Some(2000)).grant(2, 1, 3, 4).expect(&["run 0 b2 [3..4] from 1"]);
}
