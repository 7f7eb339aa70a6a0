//! P5: a death costs one task.

use super::*;

#[test]
fn a_death_costs_the_task_that_ran() {
    let mut script = script(1);
    script
        .job(function_job(1))
        .grant(1, 1, 0, 6)
        .grant(2, 1, 6, 8)
        .ready(0)
        .ran(0, 1, 2, &[])
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..6] from 1",
            "run 0 b2 [6..8] from 7",
            "report 1 b1 [0..2] 2 bytes",
        ])
        .died(0, How::Signalled(11), 5);
    let story = script.out.iter().find_map(|effect| match effect {
        crate::core::Effect::Report(report, _) => Some(report.failures[0].1.clone()),
        _ => None,
    });
    let story = story.expect("a report");
    assert_eq!((story.host.as_str(), story.pid, story.stdout.as_str()), ("host", 100, "out"));
    assert_eq!(story.traceback, "Fatal Python error: Segmentation fault\n  File f.py");
    script
        .expect(&[
            "say: the process of slot 0 ended under task 4: signal 11 (SIGSEGV)",
            "report 2 b1 [] 0 bytes failed 4: signal 11 (SIGSEGV) (attempt 1)",
            "start 0 for job 1",
        ])
        .ready(0)
        .expect(&["run 0 b1 [2..4,5..6] from 1", "run 0 b2 [6..8] from 4"]);
}

#[test]
fn an_exit_is_a_death_too() {
    script(1).job(function_job(1)).grant(1, 1, 0, 1).ready(0).died(0, How::Exited(7), 1).expect(&[
        "start 0 for job 1",
        "run 0 b1 [0..1] from 1",
        "say: the process of slot 0 ended under task 0: process ended with exit code 7",
        "report 1 b1 [] 0 bytes failed 0: process ended with exit code 7 (attempt 2)",
        "forget b1",
        "start 0 for job 1",
    ]);
}

#[test]
fn an_idle_death_is_nobodys_fault() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 1)
        .ready(0)
        .ran(0, 1, 1, &[])
        .died(0, How::Signalled(9), 0)
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..1] from 1",
            "report 1 b1 [0..1] 1 bytes",
            "forget b1",
            "say: the process of slot 0 was lost: it was ended by signal 9 (SIGKILL)",
        ])
        .wake()
        .expect(&["start 0 for job 1"]);
}

#[test]
fn a_culprit_that_never_gets_to_run_is_found_by_halves() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 8);
    let mut charged = Vec::new();
    for _ in 0..40 {
        for effect in std::mem::take(&mut script.out) {
            match effect {
                crate::core::Effect::Start(..) => {
                    script.ready(0);
                }
                crate::core::Effect::Run(_, run) => {
                    if run.tasks.iter().any(|range| (range.start..range.end).contains(&5)) {
                        script.died(0, How::Signalled(6), 0);
                    } else {
                        script.ran(0, run.first, shared::id::count(&run.tasks), &[]);
                    }
                }
                crate::core::Effect::Report(report, _) => {
                    charged.extend(
                        report.failures.iter().map(|(task, failure)| (task.0, failure.cause.clone())),
                    );
                }
                _ => {}
            }
        }
    }
    assert_eq!(charged, [(5, shared::outcome::Cause::Signal(6))]);
    assert!(script.core.leases.queue.is_empty() && script.core.busy() == 0, "all others have run");
}

#[test]
fn a_child_that_cannot_start_is_tried_three_times() {
    script(2)
        .job(function_job(1))
        .grant(1, 1, 0, 1)
        .expect(&["start 0 for job 1", "start 1 for job 1"])
        .exited(0, 1, "")
        .expect(&[])
        .wake()
        .expect(&["start 0 for job 1"])
        .exited(0, 1, "")
        .wake()
        .expect(&["start 0 for job 1"])
        .exited(0, 1, "")
        .expect(&[
            "say: job 0000000000000001 cannot be run on this machine: its process was lost before it was ready, it ended with exit code 1: last words",
            "unloadable: its process was lost before it was ready, it ended with exit code 1: last words",
            "returned b1 0..1",
            "forget b1",
            "stop 1",
        ])
        .grant(2, 1, 1, 2)
        .expect(&["forget b2", "returned b2 1..2"])
        .on(Event::Disconnected)
        .on(Event::Connected)
        .expect(&["join", "unloadable: its process was lost before it was ready, it ended with exit code 1: last words"]);
}

#[test]
fn reproduces_a_few_kills_of_starting_processes_that_had_a_job_given_up() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 1).expect(&["start 0 for job 1"]);
    for _ in 0..9 {
        script.died(0, How::Signalled(9), 0).expect(&[]);
        script.wake().expect(&["start 0 for job 1"]);
    }
    let why = "its process was lost before it was ready, it was ended by signal 9 (SIGKILL): File f.py";
    script.died(0, How::Signalled(9), 0).expect(&[
        &format!("say: job 0000000000000001 cannot be run on this machine: {why}"),
        &format!("unloadable: {why}"),
        "returned b1 0..1",
        "forget b1",
    ]);
}

#[test]
fn reproduces_kills_of_whatever_there_was_that_had_a_job_given_up_which_had_run() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 2).ready(0).ran(0, 1, 1, &[]).died(0, How::Signalled(9), 2);
    for _ in 0..99 {
        script.out.clear();
        script.died(0, How::Signalled(9), 0).expect(&[]);
        script.wake().expect(&["start 0 for job 1"]);
    }
    let why = "its process was lost before it was ready, it was ended by signal 9 (SIGKILL): File f.py";
    script.died(0, How::Signalled(9), 0).expect(&[
        &format!("say: job 0000000000000001 cannot be run on this machine: {why}"),
        &format!("unloadable: {why}"),
    ]);
}

#[test]
fn one_slot_that_cannot_start_does_not_give_the_job_up() {
    let mut script = script(2);
    script.job(function_job(1)).grant(1, 1, 0, 1).ready(1);
    for _ in 0..5 {
        script.exited(0, 1, "").out.clear();
        script.wake().expect(&["start 0 for job 1"]);
    }
}

#[test]
fn of_many_deaths_the_first_few_are_told_and_then_their_number() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 100);
    let die = |script: &mut Script, times: usize| {
        let mut told = Vec::new();
        for _ in 0..times {
            script.ready(0);
            let Some(crate::core::slot::State::Child(child)) =
                script.core.places.first().map(|place| &place.state)
            else {
                panic!("it has not started")
            };
            let running = child.runs[0].first;
            script.died(0, How::Signalled(11), running);
            told.extend(script.said());
        }
        told
    };
    assert_eq!(die(&mut script, 20).len(), 5);
    script.pass(ms(9_000));
    assert_eq!(die(&mut script, 1), [""; 0], "no pause");
    script.wake();
    assert_eq!(script.said(), ["16 more processes were lost in the last 10 s"]);
    assert_eq!(die(&mut script, 7), [""; 0], "they go on dying");
    script.wake();
    assert_eq!(script.said(), ["7 more processes were lost in the last 10 s"]);
    script.pass(ms(10_000));
    assert_eq!(script.core.wake_at(script.now), None);
    assert_eq!(die(&mut script, 1).len(), 1, "after a quiet time they are told again");
}

#[test]
fn an_unloadable_function_is_said_at_once() {
    let unloadable =
        ProcessEvent::Unloadable { message: "no module m".into(), traceback: "Traceback".into() };
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 3)
        .process(0, unloadable)
        .expect(&[
            "start 0 for job 1",
            "stop 0",
            "say: job 0000000000000001 cannot be run on this machine: no module m",
            "unloadable: no module m",
            "returned b1 0..3",
            "forget b1",
        ])
        .exited(0, 0, "")
        .expect(&[]);
}

#[test]
fn a_process_that_was_lost_hold_of_costs_nobody_anything() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 1).expect(&["start 0 for job 1"]);
    for _ in 0..5 {
        script.ready(0).died(0, How::Lost, 1).expect(&[
            "run 0 b1 [0..1] from 1",
            "say: the process of slot 0 was lost: this node lost hold of it",
            "start 0 for job 1",
        ]);
    }
}
