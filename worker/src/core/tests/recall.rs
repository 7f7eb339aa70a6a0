//! Taking back what has not begun.

use super::*;

#[test]
fn a_recall_brings_back_what_has_not_begun() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 4)
        .grant(2, 1, 4, 8)
        .grant(3, 1, 8, 9)
        .ready(0)
        .sample(0, 1, 3, None)
        .expect(&["start 0 for job 1", "run 0 b1 [0..4] from 1", "run 0 b2 [4..8] from 5"])
        .on(Event::Recalled(vec![batch_id(3), batch_id(1)]))
        .expect(&["returned b3 8..9", "forget b3", "set stop 0 at 3"])
        .ran(0, 1, 2, &[])
        .stopped(0, 3)
        .expect(&["report 1 b1 [0..2] 2 bytes", "returned b1 2..4", "forget b1"])
        .stopped(0, 5)
        .expect(&["clear stop 0", "run 0 b2 [4..8] from 9"]);
}

#[test]
fn a_recall_need_not_wait_for_a_long_task() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 1)
        .grant(2, 1, 1, 4)
        .ready(0)
        .sample(0, 1, 2, None)
        .on(Event::Recalled(vec![batch_id(2)]))
        .expect(&["start 0 for job 1", "run 0 b1 [0..1] from 1", "run 0 b2 [1..4] from 2", "set stop 0 at 2"])
        .sample(0, 1, 2, None)
        .expect(&[])
        .wake()
        .sample(0, 1, 2, None)
        .expect(&["returned b2 1..4", "forget b2"])
        .grant(3, 1, 4, 5)
        .expect(&[])
        .ran(0, 1, 1, &[])
        .expect(&["report 1 b1 [0..1] 1 bytes", "forget b1"])
        .stopped(0, 2)
        .expect(&["clear stop 0", "run 0 b3 [4..5] from 5"]);
}

#[test]
fn a_child_that_went_further_answers_for_itself() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 6)
        .ready(0)
        .sample(0, 1, 2, None)
        .on(Event::Recalled(vec![batch_id(1)]))
        .pass(ms(5))
        .sample(0, 2, 4, None)
        .ran(0, 1, 3, &[])
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..6] from 1",
            "set stop 0 at 2",
            "report 1 b1 [0..3] 3 bytes",
        ])
        .stopped(0, 4)
        .expect(&["returned b1 3..6", "forget b1", "clear stop 0"]);
}

#[test]
fn a_run_that_ends_before_the_stop_is_seen_clears_it() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 2)
        .ready(0)
        .on(Event::Recalled(vec![batch_id(1)]))
        .ran(0, 1, 2, &[])
        .grant(2, 1, 2, 3)
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..2] from 1",
            "set stop 0 at 1",
            "report 1 b1 [0..2] 2 bytes",
            "forget b1",
            "clear stop 0",
            "run 0 b2 [2..3] from 3",
        ]);
}

#[test]
fn an_idle_slot_takes_what_waits_behind_a_long_task() {
    let mut script = script(2);
    script.job(function_job(1)).grant(1, 1, 0, 9).ready(0).ready(1).sample(0, 1, 2, None).expect(&[
        "start 0 for job 1",
        "start 1 for job 1",
        "run 0 b1 [0..9] from 1",
    ]);
    script
        .wake()
        .sample(0, 1, 2, None)
        .expect(&[])
        .wake()
        .expect(&["set stop 0 at 2"])
        .wake()
        .sample(0, 1, 2, None)
        .expect(&["run 1 b1 [1..5] from 1", "run 1 b1 [5..9] from 5"]);
    assert_eq!(script.now - script.start, ms(22));
    script
        .ran(0, 1, 1, &[])
        .stopped(0, 2)
        .expect(&["report 1 b1 [0..1] 1 bytes", "clear stop 0"])
        .sample(1, 1, 2, None)
        .pass(ms(21))
        .on(Event::Woken)
        .sample(1, 1, 2, None)
        .expect(&["set stop 1 at 2"]);
}

#[test]
fn reproduces_a_task_that_waited_behind_a_long_one_beside_the_idle_process_of_another_job() {
    let mut script = script(2);
    script.job(function_job(1)).grant(1, 1, 0, 2).ready(0).ready(1).ran(0, 1, 2, &[]);
    script.job(function_job(2)).grant(2, 2, 0, 1).exited(0, 0, "").ready(0).out.clear();
    script.grant(3, 2, 1, 2).expect(&["run 0 b3 [1..2] from 2"]);
    script
        .sample(0, 1, 2, None)
        .wake()
        .sample(0, 1, 2, None)
        .wake()
        .expect(&["set stop 0 at 2"])
        .wake()
        .sample(0, 1, 2, None)
        .expect(&["stop 1"])
        .exited(1, 0, "")
        .ready(1)
        .expect(&["start 1 for job 2", "run 1 b3 [1..2] from 1"]);
}

#[test]
fn short_tasks_are_not_taken_from_anybody() {
    let mut script = script(2);
    script.job(function_job(1)).grant(1, 1, 0, 100).ready(0).ready(1).out.clear();
    for ordinal in 1..90 {
        script.wake().sample(0, ordinal, ordinal + 1, None).expect(&[]);
    }
}

#[test]
fn a_death_after_a_recall_hands_the_rest_back() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 4)
        .ready(0)
        .sample(0, 1, 3, None)
        .on(Event::Recalled(vec![batch_id(1)]))
        .died(0, How::Signalled(11), 2)
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..4] from 1",
            "set stop 0 at 3",
            "say: the process of slot 0 ended under task 1: signal 11 (SIGSEGV)",
            "report 1 b1 [] 0 bytes failed 1: signal 11 (SIGSEGV) (attempt 1)",
            "returned b1 0..1,2..4",
            "forget b1",
            "start 0 for job 1",
        ]);
}

#[test]
fn a_child_that_runs_what_was_taken_back_is_ended() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 3)
        .ready(0)
        .sample(0, 1, 2, None)
        .on(Event::Recalled(vec![batch_id(1)]))
        .pass(ms(2))
        .sample(0, 1, 2, None)
        .ran(0, 1, 3, &[])
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..3] from 1",
            "set stop 0 at 2",
            "returned b1 1..3",
            "say: the process of slot 0 broke the protocol and is ended: it reports 3 tasks from ordinal 1 on",
            "kill 0",
        ]);
}
