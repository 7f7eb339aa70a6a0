//! What the simulation has found, as scripts.

use std::time::Duration;

use shared::{id::ReportId, job::Limits};

use super::{
    effect::Effect,
    event::{Event, Reported},
    script::{JOB, Script, worker},
};

/// Found by the simulation: a connection broke before the sync, and the report came again over the next one.
#[test]
fn reproduces_a_report_that_was_forgotten_when_it_came_again_before_the_sync() {
    let mut script = Script::new();
    script.join(1, 1).submit_with(1, Limits::default(), Some(1));
    let batch = script.hands[&worker(1)][0].clone();
    let report = Event::Reported(Reported {
        worker: worker(1),
        report: ReportId(1),
        batch: batch.id,
        job: JOB,
        values: batch.tasks,
        bytes: 9,
        failures: vec![],
        busy_us: 1,
    });
    script.on(report.clone()).on(Event::WorkerAway(worker(1))).join(1, 1).on(report);
    let forget = Effect::Forget { worker: worker(1), reports: vec![ReportId(1)] };
    assert!(!script.effects.contains(&forget), "a crash would lose what it brought");
    script.sync();
    assert!(script.effects.contains(&forget));
}

/// Found by a worker that hung up at each batch: it had the first place among the idle ones, so the last tasks of the job
/// came back to it for ever.
#[test]
fn reproduces_a_job_that_never_ended_as_its_last_tasks_were_given_to_a_worker_that_came_and_went() {
    let mut script = Script::new();
    script.join(1, 1).join(2, 1).submit_with(4, Limits::default(), Some(1));
    let flap = |script: &mut Script| {
        script.on(Event::WorkerAway(worker(1))).hands.remove(&worker(1));
        script.rejoin(1, 1, vec![]);
        script.held(1).len()
    };
    assert_eq!(flap(&mut script), 2, "once may happen to any");
    assert_eq!(flap(&mut script), 0);
    script.finish_batch(2, Duration::from_millis(1));
    assert_eq!((script.held(1).len(), script.held(2).len()), (0, 2), "others do what it did not get");
    script.pass(Duration::from_millis(400));
    assert_eq!(script.held(1).len(), 0);
    script.pass(Duration::from_millis(200));
    assert_eq!(script.held(1).len(), 1, "it has another chance");
    assert_eq!(flap(&mut script), 0);
    script.pass(Duration::from_millis(900));
    assert_eq!(script.held(1).len(), 0, "the next one is later");
    script.pass(Duration::from_millis(200)).finish_batch(1, Duration::from_millis(1));
    script.finish_batch(2, Duration::from_millis(1)).finish_batch(2, Duration::from_millis(1));
    assert_eq!(script.recorded.len(), 4);
}
