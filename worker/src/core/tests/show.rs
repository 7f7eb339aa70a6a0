//! Effects as lines of text, short enough to be read in a test.

use shared::{id::TaskRange, wire::worker::FromWorker};

use crate::core::{Effect, slot::NO_STOP};

fn tasks(ranges: &[TaskRange]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Join(joined) => {
            let held = joined.holds.iter().map(|held| {
                let (batch, unacknowledged) = (held.batch.number, tasks(&held.unacknowledged));
                format!(" b{batch}[{}|{unacknowledged}]", tasks(&held.tasks))
            });
            format!("join{}", held.collect::<String>())
        }
        Effect::Send(FromWorker::Returned { batch, tasks: all }) => {
            format!("returned b{} {}", batch.number, tasks(all))
        }
        Effect::Send(FromWorker::Unloadable { message, .. }) => format!("unloadable: {message}"),
        Effect::Send(FromWorker::Began { task, pid, .. }) => format!("began {task}: {pid}"),
        Effect::Send(FromWorker::Fetch { object, at, .. }) => format!("fetch {} at {at}", object.0),
        Effect::Ask(ask, request, _) => format!("ask {ask}: {request:?}"),
        Effect::Answer(life, answer, _) => format!("answer {}: {answer:?}", life.slot),
        Effect::Send(other) => format!("{other:?}").to_lowercase(),
        Effect::Report(report, bytes) => {
            let failures = report.failures.iter().map(|(task, failure)| {
                format!(" failed {task}: {} (attempt {})", failure.cause, failure.attempt)
            });
            let failures = failures.collect::<String>();
            let values = tasks(&report.values);
            format!(
                "report {} b{} [{values}] {} bytes{failures}",
                report.id,
                report.batch.number,
                bytes.len()
            )
        }
        Effect::Discard(report) => format!("discard {report}"),
        Effect::ForgetBatch(batch) => format!("forget b{}", batch.number),
        Effect::DropObject(object) => format!("drop object {}", object.0),
        Effect::Start(life, job) => format!("start {} for job {}", life.slot, job.0),
        Effect::Run(life, run) => {
            format!("run {} b{} [{}] from {}", life.slot, run.batch.number, tasks(&run.tasks), run.first)
        }
        Effect::SetStop(life, NO_STOP) => format!("clear stop {}", life.slot),
        Effect::SetStop(life, at) => format!("set stop {} at {at}", life.slot),
        Effect::Execute(life, _, batch, task) => format!("execute {} b{} {task}", life.slot, batch.number),
        Effect::Withdraw(life) => format!("withdraw {}", life.slot),
        Effect::Stop(life) => format!("stop {}", life.slot),
        Effect::Signal(life, number) => format!("signal {number} {}", life.slot),
        Effect::Kill(life) => format!("kill {}", life.slot),
        Effect::Say(notice) => format!("say: {notice}"),
        Effect::End => "end".to_owned(),
    }
}
