//! Scripts about children that are copies of a template.

use bytes::Bytes;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use shared::{
    id::JobId,
    job::{JobSpec, Limits, Work},
    outcome::Cause,
    wire::worker::{FromWorker, ToWorker},
};
use worker::process::procfs::{Process, marked};

use crate::{
    coordinator::{Coordinator, function},
    scripts::{scripts, value},
};

scripts! {
    children_are_copies_of_one_process: 2 slots, faults "", code 0;
    a_copy_is_as_if_it_had_been_spawned: 1 slots, faults "", code 0;
    a_template_that_is_killed_is_replaced_once: 1 slots, faults "", code 0;
    what_cannot_be_preloaded_is_named: 1 slots, faults "", code 0;
    a_thread_in_a_template_is_refused: 1 slots, faults "", code 0;
    a_panic_of_the_pool_ends_its_templates: 2 slots, faults "panic:pool@8", code 0;
}

fn preloading(name: &str, modules: &[&str]) -> JobSpec {
    let mut spec = function(name);
    if let Work::Function(function) = &mut spec.work {
        function.preload = modules.iter().map(|name| (*name).to_owned()).collect();
    }
    spec
}

/// The process that runs a task, and the one that imported its module.
async fn born(it: &mut Coordinator, number: u32) -> (i32, i32) {
    it.run(number, &["lives"]).await;
    let outcomes = it.outcomes(1).await;
    rmp_serde::from_slice(value(&outcomes[&(number * 100)])).unwrap()
}

fn end(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// All of this node's that runs.
fn marked_as(pid: i32) -> Vec<Process> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let mut entries = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let owner = entries.rfind(|entry| entry.starts_with("MANIPLE_OWNER=")).unwrap();
    marked(&owner)
}

async fn children_are_copies_of_one_process(mut it: Coordinator) {
    let limits = Limits { tasks_per_process: std::num::NonZeroU32::new(1), ..Limits::default() };
    it.with_job(JobSpec { limits, ..preloading("born", &["json", "imported"]) }).await;
    let mut children = std::collections::HashSet::new();
    let (_, template) = born(&mut it, 1).await;
    for number in 2..6 {
        let (child, importer) = born(&mut it, number).await;
        assert_eq!(importer, template, "it was imported once");
        assert!(children.insert(child) && child != template, "each has one task");
    }
    it.run(6, &["exits"]).await;
    while let FromWorker::Report(report) = it.hear().await.0 {
        if let [(_, failed)] = &report.failures[..] {
            assert_eq!(failed.cause, Cause::ExitCode { code: 7, died: true });
            break;
        }
    }
    let left = marked_as(template);
    assert!(left.iter().any(|process| process.pid.as_raw() == template));
    it.tell(ToWorker::JobEnded(JobId(1)), Bytes::new()).await;
    it.shut_down().await;
}

async fn nature(it: &mut Coordinator, number: u32, spec: JobSpec) -> String {
    it.tell(ToWorker::Job(Box::new(spec)), Bytes::new()).await;
    it.run(number, &[0]).await;
    let outcomes = it.outcomes(1).await;
    it.tell(ToWorker::JobEnded(JobId(1)), Bytes::new()).await;
    rmp_serde::from_slice(value(&outcomes[&(number * 100)])).unwrap()
}

async fn a_copy_is_as_if_it_had_been_spawned(mut it: Coordinator) {
    it.accept().await;
    let spawned = nature(&mut it, 1, function("nature")).await;
    let forked = nature(&mut it, 2, preloading("nature", &["imported"])).await;
    assert_eq!(forked, spawned);
    assert!(
        spawned.contains("'death signal': 9") && spawned.contains("'leads a session': True"),
        "{spawned}"
    );
    it.shut_down().await;
}

async fn a_template_that_is_killed_is_replaced_once(mut it: Coordinator) {
    it.with_job(preloading("born", &["imported"])).await;
    let (child, template) = born(&mut it, 1).await;
    end(template);
    assert_eq!(born(&mut it, 2).await, (child, template), "a template's death is nobody else's");
    end(child);
    let (second_child, second_template) = born(&mut it, 3).await;
    assert!(second_child != second_template && second_template != template);
    end(second_template);
    end(second_child);
    for number in 4..6 {
        let (child, importer) = born(&mut it, number).await;
        assert_eq!(child, importer, "without a template");
        end(child);
    }
    it.shut_down().await;
}

/// What is said of a job that cannot be run.
async fn refusal(it: &mut Coordinator, module: &str) -> String {
    it.with_job(preloading("born", &["json", module])).await;
    it.run(1, &[1, 2]).await;
    let (message, traceback) = it.refusal(1, 2).await;
    it.shut_down().await;
    format!("{message}\n{traceback}")
}

async fn what_cannot_be_preloaded_is_named(mut it: Coordinator) {
    let told = refusal(&mut it, "hopeless").await;
    let begin = "module hopeless, which is to be preloaded, raised RuntimeError: it is Monday on ";
    assert!(told.starts_with(begin) && told.contains("hopeless.py"), "{told}");
}

async fn a_thread_in_a_template_is_refused(mut it: Coordinator) {
    let told = refusal(&mut it, "threaded").await;
    assert!(
        told.starts_with("module threaded, which is to be preloaded, leaves 1 thread running on "),
        "{told}"
    );
}

async fn a_panic_of_the_pool_ends_its_templates(mut it: Coordinator) {
    it.with_job(preloading("born", &["imported"])).await;
    for number in 1..=4 {
        it.run(number, &["lives", "lives", "lives"]).await;
    }
    let outcomes = it.outcomes(12).await;
    let born: Vec<(i32, i32)> =
        outcomes.values().map(|one| rmp_serde::from_slice(value(one)).unwrap()).collect();
    assert!(born.iter().all(|(child, importer)| child != importer), "{born:?}");
    let (_, last) = born[11];
    let left: Vec<i32> = marked_as(last).iter().map(|process| process.pid.as_raw()).collect();
    let template = |pid: &&i32| born.iter().any(|(_, importer)| importer == *pid);
    assert_eq!(left.iter().filter(template).collect::<Vec<_>>(), [&last]);
    it.shut_down().await;
}
