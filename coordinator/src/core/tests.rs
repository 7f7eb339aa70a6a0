//! What the core promises, as scripts; the last one lets chance write the script.

use std::time::Duration;

use proptest::prelude::*;
use shared::{
    id::{BatchId, Epoch, ReportId, TaskIndex},
    job::Limits,
    outcome::Cause,
    wire::{
        client::{StopCause, Stopped},
        worker::Held,
    },
};

use super::{
    effect::Effect,
    event::Event,
    script::{JOB, Script, range, worker},
};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_job_runs_to_its_end_with_one_outcome_per_task() {
    let mut script = Script::new();
    script.join(1, 2).join(2, 1).submit(1_000).run_to_the_end();
    assert_eq!(script.recorded.len(), 1_000);
    let summary = script.summary();
    assert_eq!((summary.progress.done, summary.progress.durable, summary.progress.failed), (1_000, 1_000, 0));
    assert_eq!(summary.stopped, None);
}

#[test]
fn every_slot_is_kept_one_batch_ahead() {
    let mut script = Script::new();
    script.join(1, 2).submit_with(100, Limits::default(), Some(10));
    assert_eq!(script.held(1).len(), 4);
    script.finish_batch(1, MS);
    assert_eq!(script.held(1).len(), 4);
}

#[test]
fn a_job_without_tasks_ends_at_once() {
    let mut script = Script::new();
    script.submit(0);
    assert_eq!(script.take_effects(), [Effect::Close(JOB)]);
}

#[test]
fn tasks_in_the_checkpoint_are_not_leased() {
    let mut script = Script::new();
    script.on(Event::JobOpened { job: JOB, limits: Limits::default(), batch_size: Some(10) });
    let skipped = [range(0, 3), range(5, 9)].into_iter().collect();
    script.on(Event::TasksAdded { job: JOB, count: 10, bytes: 10, skipped });
    script.on(Event::TasksComplete(JOB)).join(1, 1);
    assert_eq!(script.held(1), [vec![range(3, 5), range(9, 10)]]);
    script.run_to_the_end();
    assert_eq!((script.summary().progress.skipped, script.summary().progress.done), (7, 3));
}

#[test]
fn a_report_is_forgotten_only_when_it_is_durable() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(2, Limits::default(), Some(1)).take_effects();
    script.finish_batch(1, MS);
    let forgotten =
        |script: &Script| script.effects.iter().any(|effect| matches!(effect, Effect::Forget { .. }));
    assert!(!forgotten(&script));
    script.sync();
    assert!(forgotten(&script));
}

#[test]
fn a_late_outcome_is_dropped_and_counted() {
    let mut script = Script::new();
    script.join(1, 1).join(2, 1).submit_with(1, Limits::default(), Some(1));
    let (first, other) = if script.held(1).is_empty() { (2, 1) } else { (1, 2) };
    let batch = script.hands[&worker(first)][0].clone();
    script.lose(first);
    assert_eq!(script.held(other).len(), 1, "its task runs elsewhere at once");
    script.finish_batch(other, MS);
    script.join(first, 1).report(first, batch.id, batch.tasks, vec![], MS).sync().on(Event::Closed(JOB));
    assert_eq!(script.recorded.len(), 1);
    assert_eq!(script.summary().incidents.workers_lost, 1);
    let report = ReportId(2);
    assert!(script.effects.contains(&Effect::Forget { worker: worker(first), reports: vec![report] }));
}

#[test]
fn an_outcome_of_a_lost_worker_counts_if_it_comes_first() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(1, Limits::default(), Some(1));
    let batch = script.hands[&worker(1)][0].clone();
    script.lose(1).join(2, 1);
    assert_eq!(script.held(2), [vec![range(0, 1)]]);
    script.report(1, batch.id, batch.tasks, vec![], MS);
    assert_eq!(script.recorded.len(), 1);
    script.finish_batch(2, MS);
    assert_eq!(script.recorded.len(), 1, "the second one is dropped");
}

#[test]
fn a_poison_task_fails_alone_after_its_attempts() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(10, Limits::default(), Some(5));
    for _ in 0..3 {
        let poisoned =
            script.held(1).iter().position(|tasks| tasks[0].start == 0).expect("it is tried again");
        while script.held(1)[0][0].start != 0 {
            script.finish_batch(1, MS);
        }
        assert!(poisoned < 2);
        script.fail_first(1, Cause::Signal(11));
    }
    while script.held(1)[0][0].start != 0 {
        script.finish_batch(1, MS);
    }
    assert_eq!(script.hands[&worker(1)][0].attempts, [(TaskIndex(0), shared::id::Attempt(4))]);
    assert_eq!(script.held(1)[0], [range(0, 1)], "it runs in a batch of its own");
    script.fail_first(1, Cause::Signal(11));
    if !script.effects.contains(&Effect::Close(JOB)) {
        script.run_to_the_end();
    } else {
        script.sync().on(Event::Closed(JOB));
    }
    assert_eq!(script.recorded[&TaskIndex(0)], Err(Cause::Signal(11)));
    assert_eq!(script.recorded.values().filter(|outcome| outcome.is_ok()).count(), 9);
    assert_eq!(script.summary().incidents.retries, 3);
    let groups = script.core.failures(JOB, |_| bytes::Bytes::new());
    assert_eq!((groups.len(), groups[0].count, groups[0].examples[0].1.attempt.0), (1, 1, 4));
}

#[test]
fn a_worker_that_comes_back_in_time_keeps_its_tasks() {
    let mut script = Script::new();
    script.join(1, 1).join(2, 1).submit_with(4, Limits::default(), Some(1));
    let held = |script: &Script| -> Vec<Held> {
        let hold = |batch: &shared::wire::worker::Batch| Held {
            batch: batch.id,
            job: JOB,
            tasks: batch.tasks.clone(),
            unacknowledged: vec![],
        };
        script.hands[&worker(1)].iter().map(hold).collect()
    };
    let holds = held(&script);
    script.on(Event::WorkerAway(worker(1))).pass(400 * MS).rejoin(1, 1, holds).take_effects();
    assert_eq!(script.pass(600 * MS).take_effects(), []);
    script.on(Event::WorkerAway(worker(1))).pass(600 * MS);
    script.hands.remove(&worker(1));
    script.finish_batch(2, MS).finish_batch(2, MS);
    assert_eq!(script.held(2).len(), 2, "after the grace its tasks are leased to the other");
}

#[test]
fn a_batch_that_never_arrived_is_leased_again() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(1, Limits::default(), Some(1));
    script.on(Event::WorkerAway(worker(1)));
    script.hands.clear();
    script.rejoin(1, 1, vec![]);
    assert_eq!(script.held(1), [vec![range(0, 1)]]);
}

#[test]
fn a_restarted_coordinator_adopts_what_its_workers_hold() {
    let mut script = Script::restarted(Epoch(2), [worker(1), worker(2)]);
    script.submit_with(6, Limits::default(), Some(2));
    let old = |number| BatchId { epoch: Epoch(1), number };
    script.rejoin(
        1,
        1,
        vec![Held { batch: old(7), job: JOB, tasks: vec![range(0, 2)], unacknowledged: vec![range(2, 3)] }],
    );
    assert_eq!(script.held(1).len(), 0, "nothing is leased while another worker may still hold it");
    script.rejoin(2, 1, vec![]);
    let leased: Vec<_> = [script.held(1), script.held(2)].concat().concat();
    assert!(leased.iter().all(|tasks| tasks.start >= 3), "what is held is not leased again: {leased:?}");
    script.report(1, old(7), vec![range(0, 3)], vec![], MS).run_to_the_end();
    assert_eq!(script.recorded.len(), 6);
}

#[test]
fn a_predecessor_s_worker_that_stays_away_is_not_waited_for_for_ever() {
    let mut script = Script::restarted(Epoch(2), [worker(1)]);
    script.submit_with(2, Limits::default(), Some(2)).join(2, 1);
    assert_eq!(script.held(2).len(), 0);
    script.pass(11_000 * MS);
    assert_eq!(script.held(2), [vec![range(0, 2)]]);
}

#[test]
fn work_is_taken_back_at_the_tail() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(3, Limits::default(), Some(1)).finish_batch(1, 10_000 * MS);
    script.take_effects();
    script.join(2, 1).pass(1_000 * MS);
    let newest = script.hands[&worker(1)][1].clone();
    let recall = Effect::Recall { worker: worker(1), batches: vec![newest.id] };
    assert_eq!(script.take_effects(), [recall]);
    script.hands.get_mut(&worker(1)).expect("worker").pop();
    script.on(Event::Returned { worker: worker(1), batch: newest.id, tasks: newest.tasks.clone() });
    assert_eq!(script.held(2), [newest.tasks]);
}

#[test]
fn reproduces_a_batch_that_was_passed_to_and_fro_between_a_worker_and_itself() {
    let mut script = Script::new();
    script.join(1, 2).submit_with(20, Limits::default(), Some(20));
    script.take_effects();
    let mut passed = 0;
    for _ in 0..50 {
        for effect in script.pass(1_000 * MS).take_effects() {
            passed += u32::from(matches!(effect, Effect::Recall { .. }));
        }
    }
    assert_eq!(passed, 0, "the node shares it among its own slots");
}

#[test]
fn an_empty_answer_to_a_recall_is_not_asked_for_again() {
    let mut script = Script::new();
    script
        .join(1, 1)
        .submit_with(3, Limits::default(), Some(1))
        .finish_batch(1, 10_000 * MS)
        .join(2, 1)
        .pass(1_000 * MS);
    script.take_effects();
    let newest = script.hands[&worker(1)][1].id;
    script.on(Event::Returned { worker: worker(1), batch: newest, tasks: vec![] });
    assert_eq!(script.pass(1_000 * MS).take_effects(), []);
}

#[test]
fn a_function_that_no_worker_can_load_stops_the_job() {
    let mut script = Script::new();
    script.join(1, 1).join(2, 1).submit_with(10, Limits::default(), Some(1));
    let message = || "no module named 'factors'".to_owned();
    script.on(Event::Unloadable { worker: worker(1), job: JOB, message: message() });
    assert!(!script.effects.contains(&Effect::Close(JOB)), "the other one may be able to");
    script.on(Event::Unloadable { worker: worker(2), job: JOB, message: message() });
    script.on(Event::Closed(JOB));
    assert_eq!(script.summary().stopped, Some(Stopped { why: StopCause::Input, message: message() }));
}

#[test]
fn reproduces_a_disk_that_fills_up_when_all_tasks_are_done() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(1, Limits::default(), Some(1)).finish_batch(1, MS);
    assert!(script.effects.contains(&Effect::Close(JOB)));
    let stopped = || Stopped { why: StopCause::Storage, message: "no room".into() };
    script.on(Event::JobFailed { job: JOB, stopped: stopped() }).on(Event::Closed(JOB));
    assert_eq!(script.summary().stopped, Some(stopped()));
    assert_eq!(script.summary().progress.durable, 0);
}

#[test]
fn nothing_is_leased_while_the_disk_is_far_behind() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(100, Limits::default(), Some(1));
    let batch = script.hands.get_mut(&worker(1)).expect("worker").remove(0);
    script.on(Event::Reported(super::event::Reported {
        worker: worker(1),
        report: ReportId(99),
        batch: batch.id,
        job: JOB,
        values: batch.tasks,
        bytes: super::place::UNDURABLE_BYTES,
        failures: vec![],
        busy_us: 1,
    }));
    assert_eq!(script.held(1).len(), 1);
    script.sync();
    assert_eq!(script.held(1).len(), 2);
}

#[test]
fn a_task_that_is_alone_whenever_its_worker_dies_fails_as_node_lost() {
    let mut script = Script::new();
    script.submit_with(1, Limits { death_retries: 1, ..Limits::default() }, None);
    for number in 1..10 {
        if script.effects.contains(&Effect::Close(JOB)) {
            break;
        }
        script.join(number, 1).lose(number);
    }
    assert_eq!(script.recorded[&TaskIndex(0)], Err(Cause::NodeLost));
}

#[derive(Debug, Clone)]
enum Step {
    Join(u64),
    Lose(u64),
    Away(u64),
    Finish(u64),
    Late(u64),
    Die(u64),
    Raise(u64),
    Return(u64),
    Sync,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 1..4u64;
    prop_oneof![
        2 => who.clone().prop_map(Step::Join),
        1 => who.clone().prop_map(Step::Lose),
        1 => who.clone().prop_map(Step::Away),
        6 => who.clone().prop_map(Step::Finish),
        1 => who.clone().prop_map(Step::Late),
        1 => who.clone().prop_map(Step::Die),
        1 => who.clone().prop_map(Step::Raise),
        1 => who.prop_map(Step::Return),
        2 => Just(Step::Sync),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    /// P1: whatever happens, each task ends with exactly one outcome (the script panics at a second one).
    #[test]
    fn every_task_ends_with_exactly_one_outcome(steps in prop::collection::vec(step(), 0..200), tasks in 1..60u32) {
        let mut script = Script::new();
        script.submit(tasks);
        let mut lost = Vec::new();
        for step in steps {
            let has = |script: &Script, who: u64| script.hands.get(&worker(who)).is_some_and(|b| !b.is_empty());
            match step {
                Step::Join(who) => { script.hands.remove(&worker(who)); script.join(who, 2); }
                Step::Lose(who) => {
                    lost.extend(script.hands.get(&worker(who)).cloned().unwrap_or_default());
                    script.lose(who);
                }
                Step::Away(who) => { script.on(Event::WorkerAway(worker(who))); }
                Step::Finish(who) if has(&script, who) => { script.finish_batch(who, MS); }
                Step::Late(who) => if let Some(batch) = lost.pop() {
                    script.report(who, batch.id, batch.tasks, vec![], MS);
                },
                Step::Die(who) if has(&script, who) => { script.fail_first(who, Cause::Signal(9)); }
                Step::Raise(who) if has(&script, who) => { script.fail_first(who, Cause::Exception("E".into())); }
                Step::Return(who) if has(&script, who) => {
                    let batch = script.hands.get_mut(&worker(who)).expect("has").pop().expect("has");
                    script.on(Event::Returned { worker: worker(who), batch: batch.id, tasks: batch.tasks });
                }
                Step::Finish(_) | Step::Die(_) | Step::Raise(_) | Step::Return(_) => {}
                Step::Sync => { script.sync(); }
                Step::Wait => { script.pass(600 * MS); }
            }
        }
        for who in 1..4 { script.lose(who); }
        script.join(9, 2).run_to_the_end();
        prop_assert_eq!(script.recorded.len() as u32, tasks);
        prop_assert_eq!(script.summary().progress.durable, u64::from(tasks));
    }
}
