//! Several jobs share the slots.

use super::*;

#[test]
fn idle_children_make_room_for_another_job() {
    script(2)
        .job(function_job(1))
        .job(function_job(2))
        .grant(1, 1, 0, 1)
        .ready(0)
        .ready(1)
        .expect(&["start 0 for job 1", "start 1 for job 1", "run 0 b1 [0..1] from 1"])
        .grant(2, 2, 0, 1)
        .expect(&["stop 1"])
        .exited(1, 0, "")
        .expect(&["start 1 for job 2"])
        .ready(1)
        .expect(&["run 1 b2 [0..1] from 1"]);
}

#[test]
fn reproduces_an_idle_child_that_was_kept_while_a_busy_one_was_waited_for() {
    script(2)
        .job(function_job(1))
        .job(function_job(2))
        .grant(1, 1, 0, 1)
        .grant(2, 2, 0, 1)
        .ready(0)
        .ready(1)
        .expect(&["start 0 for job 1", "start 1 for job 1", "run 0 b1 [0..1] from 1", "stop 1"])
        .exited(1, 0, "")
        .expect(&["start 1 for job 2"]);
}

#[test]
fn a_job_without_a_slot_gets_one_from_the_job_with_most() {
    let mut script = script(2);
    script.job(function_job(1)).job(function_job(2)).grant(1, 1, 1, 2).ready(0).ready(1);
    for batch in 2..7 {
        script.grant(batch, 1, batch, batch + 1);
    }
    script.grant(9, 2, 0, 1).out.clear();
    script
        .ran(1, 1, 1, &[])
        .expect(&["report 1 b2 [2..3] 1 bytes", "forget b2"])
        .ran(1, 2, 1, &[])
        .expect(&["report 2 b4 [4..5] 1 bytes", "forget b4", "stop 1"])
        .ran(0, 1, 1, &[])
        .expect(&["report 3 b1 [1..2] 1 bytes", "forget b1", "run 0 b5 [5..6] from 3"])
        .exited(1, 0, "")
        .expect(&["start 1 for job 2"]);
}

#[test]
fn a_job_without_a_slot_does_not_wait_for_a_long_task_while_others_are_short() {
    let mut script = script(2);
    script.job(function_job(1)).job(function_job(2)).grant(1, 1, 1, 2).ready(0).ready(1);
    for batch in 2..9 {
        script.grant(batch, 1, batch, batch + 1);
    }
    // Slot 1 is asked to leave, but its task turns out to be a long one.
    script.grant(9, 2, 0, 1).sample(1, 1, 2, None).pass(ms(500)).sample(1, 1, 2, None).out.clear();
    script
        .ran(0, 1, 1, &[])
        .expect(&["report 1 b1 [1..2] 1 bytes", "forget b1", "run 0 b5 [5..6] from 3"])
        .pass(ms(500))
        .sample(1, 1, 2, None)
        .ran(0, 2, 1, &[])
        .ran(0, 3, 1, &[])
        .exited(0, 0, "")
        .expect(&[
            "report 2 b3 [3..4] 1 bytes",
            "forget b3",
            "report 3 b5 [5..6] 1 bytes",
            "forget b5",
            "stop 0",
            "start 0 for job 2",
        ]);
}

#[test]
fn the_processes_of_an_ended_job_end() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 1)
        .grant(2, 1, 1, 2)
        .ready(0)
        .on(Event::JobEnded(JobId(1)))
        .ran(0, 1, 1, &[])
        .exited(0, 0, "")
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..1] from 1",
            "run 0 b2 [1..2] from 2",
            "forget b1",
            "forget b2",
            "stop 0",
        ]);
}

#[test]
fn nothing_is_said_of_a_dropped_batch() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 1)
        .grant(2, 1, 1, 2)
        .grant(3, 1, 2, 3)
        .ready(0)
        .on(Event::Dropped(vec![batch_id(1), batch_id(3)]))
        .ran(0, 1, 1, &[])
        .ran(0, 2, 1, &[])
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..1] from 1",
            "run 0 b2 [1..2] from 2",
            "forget b1",
            "forget b3",
            "report 1 b2 [1..2] 1 bytes",
            "forget b2",
        ]);
}

#[test]
fn a_batch_of_an_unknown_job_goes_back() {
    script(1).grant(1, 7, 0, 2).expect(&[
        "say: tasks of the unknown job 0000000000000007 came and are handed back",
        "forget b1",
        "returned b1 0..2",
    ]);
}
