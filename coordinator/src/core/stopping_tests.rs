//! Jobs that are to stop: what they keep, and when what runs is given up.

use std::time::Duration;

use shared::{
    id::{BatchId, Epoch},
    job::Limits,
    wire::{client::StopCause, worker::Held},
};

use super::{
    effect::Effect,
    event::Event,
    script::{JOB, Script, range, worker},
};

const MS: Duration = Duration::from_millis(1);

fn cancel(script: &mut Script, grace: Duration) -> &mut Script {
    script.on(Event::JobCancelled { job: JOB, by: script.now + grace })
}

fn ends(script: &Script) -> bool {
    script.effects.contains(&Effect::Close(JOB))
}

#[test]
fn a_cancelled_job_keeps_what_still_ends_and_leases_nothing_more() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(10, Limits::default(), Some(1));
    let running = script.hands[&worker(1)][0].clone();
    let ahead = script.hands[&worker(1)][1].clone();
    cancel(&mut script, 1_000 * MS);
    script.on(Event::Returned { worker: worker(1), batch: ahead.id, tasks: ahead.tasks });
    assert!(!ends(&script));
    script.report(1, running.id, running.tasks, vec![], MS);
    assert!(ends(&script));
    script.sync().on(Event::Closed(JOB));
    let summary = script.summary();
    assert_eq!(
        (summary.progress.done, summary.stopped.as_ref().expect("stopped").why),
        (1, StopCause::Cancelled)
    );
}

#[test]
fn cancelling_at_once_gives_up_what_runs() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(10, Limits::default(), Some(1));
    cancel(&mut script, 1_000 * MS);
    assert!(!ends(&script));
    cancel(&mut script, Duration::ZERO);
    assert!(ends(&script));
    assert_eq!(script.held(1).len(), 0, "the worker is told");
}

#[test]
fn what_runs_is_given_up_at_the_earliest_time_that_was_said() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(10, Limits::default(), Some(1));
    for grace in [3_000, 1_000, 2_000] {
        cancel(&mut script, grace * MS);
    }
    assert!(!ends(script.pass(999 * MS)));
    assert!(ends(script.pass(MS)));
    assert_eq!(script.held(1).len(), 0, "the worker is told");
}

/// A job that its predecessor was to stop; the worker runs two tasks of it, and has done one.
fn restarted(grace: Duration) -> (Script, BatchId) {
    let mut script = Script::restarted(Epoch(2), [worker(1), worker(2)]);
    script.submit_with(6, Limits::default(), Some(2));
    cancel(&mut script, grace);
    let batch = BatchId { epoch: Epoch(1), number: 7 };
    let (tasks, unacknowledged) = (vec![range(0, 2)], vec![range(2, 3)]);
    script.rejoin(1, 1, vec![Held { batch, job: JOB, tasks, unacknowledged }]);
    (script, batch)
}

#[test]
fn a_restarted_coordinator_waits_for_what_runs_of_a_job_that_is_to_stop() {
    let (mut script, batch) = restarted(5_000 * MS);
    script.rejoin(2, 1, vec![]).pass(MS);
    assert_eq!((script.held(1).len(), script.held(2).len(), ends(&script)), (0, 0, false));
    assert!(script.effects.contains(&Effect::Recall { worker: worker(1), batches: vec![batch] }));
    script.report(1, batch, vec![range(0, 1), range(2, 3)], vec![], MS);
    script.on(Event::Returned { worker: worker(1), batch, tasks: vec![range(1, 2)] });
    assert!(ends(&script));
    script.sync().on(Event::Closed(JOB));
    assert_eq!((script.summary().progress.done, script.summary().stopped.is_some()), (2, true));
}

#[test]
fn a_restarted_coordinator_gives_up_what_runs_when_the_time_is_over() {
    let (mut script, batch) = restarted(5_000 * MS);
    assert!(!ends(script.pass(4_999 * MS)), "the other worker may still come");
    assert!(ends(script.pass(MS)));
    assert!(script.effects.contains(&Effect::Drop { worker: worker(1), batches: vec![batch] }));
}
