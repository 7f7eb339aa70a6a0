//! The scripts.

use std::{
    fs::File,
    future::Future,
    io::{BufRead, BufReader, Read},
    os::fd::AsRawFd,
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use shared::{
    id::{JobId, TaskIndex, TaskRange},
    job::{Attended, CommandSpec, JobSpec, Limits, Work},
    outcome::{Cause, Failure},
    wire::worker::{FromWorker, ToWorker},
};

use crate::coordinator::{Coordinator, Outcome, batch, command, function};

type Steps = Pin<Box<dyn Future<Output = ()>>>;

/// One test.
pub struct Script {
    pub name: &'static str,
    pub slots: u16,
    /// Where the node is made to panic.
    pub faults: &'static str,
    /// The exit code that it must end with.
    pub code: i32,
    pub steps: fn(Coordinator) -> Steps,
}

/// Who can be made to panic.
pub const ACTORS: [&str; 5] = ["node", "link", "pool", "process", "monitor"];

macro_rules! scripts {
    ($($name:ident: $slots:literal slots, faults $faults:literal, code $code:literal;)*) => {
        pub const ALL: &[$crate::scripts::Script] = &[$($crate::scripts::Script {
            name: stringify!($name),
            slots: $slots,
            faults: $faults,
            code: $code,
            steps: |coordinator| Box::pin($name(coordinator)),
        }),*];
    };
}
pub(crate) use scripts;

scripts! {
    values_come_back: 2 slots, faults "", code 0;
    each_failure_has_its_story: 2 slots, faults "", code 0;
    a_task_that_takes_too_long_is_ended: 1 slots, faults "", code 0;
    a_task_that_takes_too_much_memory_is_ended: 1 slots, faults "", code 0;
    commands_have_outcomes: 2 slots, faults "", code 0;
    a_command_that_is_attended_to_is_ended_whole: 1 slots, faults "", code 0;
    what_has_not_begun_comes_back: 1 slots, faults "", code 0;
    an_idle_slot_helps_a_busy_one: 2 slots, faults "", code 0;
    reports_outlive_a_connection: 1 slots, faults "", code 0;
    a_function_that_cannot_be_had_is_named: 1 slots, faults "", code 0;
    an_ended_job_ends_its_processes: 1 slots, faults "", code 0;
    a_refused_node_ends: 1 slots, faults "", code 5;
    a_signal_ends_the_node_in_order: 1 slots, faults "", code 143;
    a_second_signal_does_not_wait: 1 slots, faults "", code 130;
    a_panic_of_the_pool_costs_no_task: 2 slots, faults "panic:pool@7", code 0;
    a_panic_of_a_process_costs_no_task: 2 slots, faults "panic:process@5,panic:process@9", code 0;
    a_panic_of_the_link_costs_no_task: 2 slots, faults "panic:link@4", code 0;
    a_panic_of_the_monitor_costs_no_task: 2 slots, faults "panic:monitor@1", code 0;
    a_panic_of_the_node_ends_the_program: 1 slots, faults "panic:node@9", code 70;
}

pub fn value(outcome: &Outcome) -> &[u8] {
    outcome.as_ref().expect("a value")
}

pub fn failure(outcome: &Outcome) -> &Failure {
    outcome.as_ref().expect_err("a failure")
}

fn limited(spec: JobSpec, limits: Limits) -> JobSpec {
    JobSpec { limits, ..spec }
}

async fn values_come_back(mut it: Coordinator) {
    it.with_job(function("double")).await;
    it.run(1, &[1, 2, 3]).await;
    it.run(2, &[[40], [50]]).await;
    let outcomes = it.outcomes(5).await;
    let values: Vec<_> = outcomes.values().map(|outcome| value(outcome)[0]).collect();
    assert_eq!(values, [2, 4, 6, 80, 100]);
    let reports = std::mem::take(&mut it.unforgotten);
    it.tell(ToWorker::Forget(reports), Bytes::new()).await;
    it.hang_up();
    assert_eq!(it.accept().await.holds, []);
    it.shut_down().await;
}

async fn each_failure_has_its_story(mut it: Coordinator) {
    it.with_job(function("odd")).await;
    it.run(1, &[0, 1, 2, 3, 4, 5]).await;
    let outcomes = it.outcomes(6).await;
    assert_eq!((value(&outcomes[&100]), value(&outcomes[&105])), (&[0][..], &[5][..]));
    let raised = failure(&outcomes[&101]);
    assert_eq!(
        (&raised.cause, raised.message.as_str()),
        (&Cause::Exception("ValueError".into()), "one is refused")
    );
    assert!(raised.traceback.contains("work.py") && raised.stdout.contains("task 1 prints"), "{raised:?}");
    let crashed = failure(&outcomes[&102]);
    assert_eq!(crashed.cause, Cause::Signal(11));
    assert!(crashed.traceback.contains("Segmentation fault") && crashed.pid > 0, "{crashed:?}");
    assert_eq!(failure(&outcomes[&103]).cause, Cause::ExitCode { code: 7, died: true });
    assert_eq!(failure(&outcomes[&104]).cause, Cause::Exception("SystemExit".into()));
    it.shut_down().await;
}

async fn a_task_that_takes_too_long_is_ended(mut it: Coordinator) {
    let timeout = Some(Duration::from_millis(300));
    it.with_job(limited(function("sleep"), Limits { timeout, ..Limits::default() })).await;
    it.run(1, &[0.0, 1000.0, 0.0]).await;
    let outcomes = it.outcomes(3).await;
    assert_eq!(failure(&outcomes[&101]).cause, Cause::Timeout(300));
    assert!(outcomes[&100].is_ok() && outcomes[&102].is_ok());
    it.shut_down().await;
}

async fn a_task_that_takes_too_much_memory_is_ended(mut it: Coordinator) {
    let memory = Some(150 << 20);
    it.with_job(limited(function("hoard"), Limits { memory, ..Limits::default() })).await;
    it.run(1, &[1, 100_000, 2]).await;
    let outcomes = it.outcomes(3).await;
    let cause = &failure(&outcomes[&101]).cause;
    assert!(matches!(cause, Cause::OutOfMemory(157_286_400, peak) if *peak > 157_286_400), "{cause:?}");
    assert!(outcomes[&100].is_ok() && outcomes[&102].is_ok());
    it.shut_down().await;
}

async fn commands_have_outcomes(mut it: Coordinator) {
    it.with_job(command(&["sh", "-c", "{1}"])).await;
    it.run(1, &[["echo hi; echo you >&2"], ["exit 3"], ["kill -9 $$"]]).await;
    let outcomes = it.outcomes(3).await;
    let expected =
        rmp_serde::to_vec(&std::collections::BTreeMap::from([("stdout", "hi\n"), ("stderr", "you\n")]));
    let (mut found, mut expected) = (value(&outcomes[&100]).to_vec(), expected.unwrap());
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "the same map in any order");
    assert_eq!(failure(&outcomes[&101]).cause, Cause::ExitCode { code: 3, died: false });
    assert_eq!(failure(&outcomes[&102]).cause, Cause::Signal(9));
    it.tell(ToWorker::JobEnded(JobId(1)), Bytes::new()).await;
    it.tell(ToWorker::Job(Box::new(command(&["no-such-program"]))), Bytes::new()).await;
    it.run(2, &[1]).await;
    let (message, _) = it.refusal(2, 1).await;
    assert!(message.contains("no-such-program"), "{message}");
    it.shut_down().await;
}

/// It writes where it was told to, its start is told, and a signal reaches what has left its tree, too.
async fn a_command_that_is_attended_to_is_ended_whole(mut it: Coordinator) {
    let (stdout, theirs) = nix::unistd::pipe().unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), theirs.as_raw_fd());
    // The second one has left the tree when `up` is read: its parent is gone.
    let stray = "trap '' TERM; echo up; exec sleep 1000";
    let script = format!("echo $A >&2; trap 'exit 5' TERM; (setsid sh -c \"{stray}\" &); sleep 1000 & wait");
    let Work::Command(command) = command(&["sh", "-c", &script]).work else { unreachable!() };
    let attended = Some(Attended { stdout: path.clone(), stderr: path });
    let command = CommandSpec { attended, env: vec![("A".into(), "b".into())], ..command };
    it.with_job(JobSpec { work: Work::Command(command), ..function("x") }).await;
    it.run(1, &[Vec::<u8>::new()]).await;
    let said = it.hear().await.0;
    assert!(matches!(said, FromWorker::Began { job: JobId(1), task: TaskIndex(100), pid: 2.. }), "{said:?}");
    drop(theirs);
    let mut written = String::new();
    let mut stdout = BufReader::new(File::from(stdout));
    while !written.contains("up\n") {
        stdout.read_line(&mut written).unwrap();
    }
    assert!(written.contains("b\n"), "{written}");
    it.tell(ToWorker::Signal { job: JobId(1), number: 15 }, Bytes::new()).await;
    let outcomes = it.outcomes(1).await;
    assert_eq!(failure(&outcomes[&100]).cause, Cause::ExitCode { code: 5, died: false });
    // The end of the pipe: nobody is left who could write.
    stdout.read_to_string(&mut written).unwrap();
    it.shut_down().await;
}

async fn what_has_not_begun_comes_back(mut it: Coordinator) {
    it.with_job(function("sleep")).await;
    it.run(1, &[0.3, 0.0, 0.0]).await;
    it.run(2, &[0.0]).await;
    it.run(3, &[0.0]).await;
    it.tell(ToWorker::Recall(vec![batch(2), batch(3)]), Bytes::new()).await;
    let mut returned = Vec::new();
    let mut reported = 0;
    while returned.len() < 2 || reported < 3 {
        match it.hear().await.0 {
            FromWorker::Returned { batch, tasks } => returned.push((batch.number, tasks)),
            FromWorker::Report(report) => reported += shared::id::count(&report.values),
            other => panic!("{other:?}"),
        }
    }
    returned.sort_unstable();
    assert_eq!(returned, [(2, vec![TaskRange::new(200, 201)]), (3, vec![TaskRange::new(300, 301)])]);
    it.shut_down().await;
}

async fn an_idle_slot_helps_a_busy_one(mut it: Coordinator) {
    it.with_job(function("sleep")).await;
    it.run(1, &[20.0, 0.0, 0.0, 0.0]).await;
    // The three that wait behind the long one come first, by way of the other slot.
    let outcomes = it.outcomes(3).await;
    assert_eq!(outcomes.keys().copied().collect::<Vec<_>>(), [101, 102, 103]);
    it.tell(ToWorker::JobEnded(JobId(1)), Bytes::new()).await;
    it.shut_down().await;
}

async fn reports_outlive_a_connection(mut it: Coordinator) {
    it.with_job(function("sleep")).await;
    it.run(1, &[0.0]).await;
    it.outcomes(1).await;
    it.run(2, &[0.2]).await;
    it.hang_up();
    let holds = it.accept().await.holds;
    assert_eq!((holds[0].batch, &holds[0].unacknowledged), (batch(1), &vec![TaskRange::new(100, 101)]));
    // The second batch may have come to its end meanwhile, or may not even have arrived.
    let again = it.outcomes(1).await;
    assert!(again.contains_key(&100), "{again:?}");
    if let Some(second) = holds.get(1) {
        assert_eq!(second.batch, batch(2));
        assert!(it.outcomes(1).await.contains_key(&200));
    }
    it.shut_down().await;
}

async fn a_function_that_cannot_be_had_is_named(mut it: Coordinator) {
    it.with_job(function("nothing")).await;
    it.run(1, &[1, 2]).await;
    let (message, _) = it.refusal(1, 2).await;
    assert!(message.contains("nothing"), "{message}");
    it.shut_down().await;
}

async fn an_ended_job_ends_its_processes(mut it: Coordinator) {
    it.with_job(function("sleep")).await;
    it.run(1, &[0.0, 1000.0]).await;
    it.tell(ToWorker::JobEnded(JobId(1)), Bytes::new()).await;
    // The slot is needed again: this can only come back if the long task was ended.
    it.tell(ToWorker::Job(Box::new(function("double"))), Bytes::new()).await;
    it.run(2, &[1]).await;
    loop {
        match it.hear().await.0 {
            FromWorker::Report(report) if report.batch == batch(2) => break,
            FromWorker::Report(report) => assert_eq!(report.values, [TaskRange::new(100, 101)]),
            other => panic!("{other:?}"),
        }
    }
    it.shut_down().await;
}

async fn a_refused_node_ends(mut it: Coordinator) {
    it.refuse().await;
}

async fn a_signal_ends_the_node_in_order(mut it: Coordinator) {
    it.with_job(function("sleep")).await;
    it.run(1, &[0.0, 0.5, 0.5]).await;
    it.run(2, &[0.5]).await;
    kill(it.keeper, Signal::SIGTERM).unwrap();
    let (mut tasks, mut leaving) = (0, false);
    while !leaving {
        match it.hear().await.0 {
            FromWorker::Returned { tasks: returned, .. } => tasks += shared::id::count(&returned),
            FromWorker::Report(report) => tasks += shared::id::count(&report.values),
            FromWorker::Leaving => leaving = true,
            other => panic!("{other:?}"),
        }
    }
    assert!(tasks <= 4, "no task is heard of twice");
    assert!(it.hears_the_end().await);
}

async fn a_second_signal_does_not_wait(mut it: Coordinator) {
    it.with_job(function("sleep")).await;
    it.run(1, &[0.0]).await;
    it.outcomes(1).await;
    it.run(2, &[1000.0]).await;
    kill(it.keeper, Signal::SIGINT).unwrap();
    kill(it.keeper, Signal::SIGINT).unwrap();
    loop {
        match it.hear().await.0 {
            FromWorker::Returned { tasks, .. } => assert_eq!(tasks, [TaskRange::new(200, 201)]),
            FromWorker::Leaving => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(it.hears_the_end().await);
}

/// Whatever panics: every task is heard of, each once on a connection.
async fn all_is_done(it: &mut Coordinator) {
    it.with_job(function("double")).await;
    for number in 1..=4 {
        it.run(number, &[1, 2, 3]).await;
    }
    assert!(it.outcomes(12).await.values().all(Result::is_ok));
}

async fn a_panic_of_the_pool_costs_no_task(mut it: Coordinator) {
    all_is_done(&mut it).await;
    it.shut_down().await;
}

async fn a_panic_of_a_process_costs_no_task(mut it: Coordinator) {
    all_is_done(&mut it).await;
    it.shut_down().await;
}

async fn a_panic_of_the_monitor_costs_no_task(mut it: Coordinator) {
    all_is_done(&mut it).await;
    it.shut_down().await;
}

async fn a_panic_of_the_link_costs_no_task(mut it: Coordinator) {
    it.with_job(function("double")).await;
    it.run(1, &[1, 2, 3]).await;
    it.run(2, &[1]).await;
    it.run(3, &[1]).await;
    assert!(it.hears_the_end().await);
    let holds = it.accept().await.holds;
    assert_eq!(holds[0].batch, batch(1));
    // What had arrived comes back, and what had not is granted again.
    let held: usize = holds
        .iter()
        .map(|held| shared::id::count(&held.tasks) + shared::id::count(&held.unacknowledged))
        .sum::<u32>() as usize;
    it.tell(ToWorker::Job(Box::new(function("double"))), Bytes::new()).await;
    it.run(4, &[1]).await;
    let outcomes = it.outcomes(held + 1).await;
    assert!(outcomes.contains_key(&100) && outcomes.contains_key(&400));
    it.shut_down().await;
}

async fn a_panic_of_the_node_ends_the_program(mut it: Coordinator) {
    it.with_job(function("double")).await;
    for number in 1..=9 {
        it.run(number, &[1]).await;
    }
    assert!(it.hears_the_end().await);
}
