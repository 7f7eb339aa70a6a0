//! What the simulation has found, as scripts.

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
