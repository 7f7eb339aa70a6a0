//! Thousands of workers at one coordinator: they all knock at the same moment, now and after its restart. They are
//! played by this process, over real connections with TLS, and answer each task with its key.

use std::{thread, time::Duration};

use bytes::Bytes;
use maniple_tests::{Scratch, skip};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use shared::{
    codec::CodecError,
    endpoint::{Connected, Endpoint, EndpointError, hello},
    id::{ReportId, WorkerId},
    security::{AccessFile, Role},
    wire::{
        self,
        worker::{FromWorker, Joined, Report, ToWorker},
    },
};
use tokio::{sync::oneshot, task::LocalSet};

use crate::cluster::Cluster;

const THRONG: u64 = 2_000;
const TASKS: u64 = 20_000;
/// What a worker waits before it knocks again, doubled each time up to 2 s, with up to a half more.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// As long as the coordinator's lease in these tests.
const LEASE: Duration = Duration::from_secs(60);

/// Workers that connect again whenever their connection ends.
struct Throng {
    over: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// What a worker does with a batch.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Answers,
    /// Hangs up, and comes back without it.
    Flaps,
}

impl Throng {
    fn start(scratch: &Scratch, count: u64, habit: impl Fn(u64) -> Habit) -> Throng {
        let access = AccessFile::read(&scratch.file("access/worker.access"), Role::Worker).expect("written");
        let endpoint = Endpoint::network(access).expect("our own");
        let (over, ends) = oneshot::channel();
        let habits: Vec<_> = (1..=count).map(|number| (number, habit(number))).collect();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let workers = LocalSet::new();
            for (number, habit) in habits {
                workers.spawn_local(worker(endpoint.clone(), number, habit));
            }
            // A test that has failed drops the other end.
            let _ = workers.block_on(&runtime.expect("a runtime"), ends);
        });
        Throng { over, thread }
    }

    fn stop(self) {
        self.over.send(()).expect("it runs");
        self.thread.join().expect("no panic");
    }
}

async fn worker(endpoint: Endpoint, number: u64, habit: Habit) {
    let mut reports = 0;
    let mut wait = FIRST_WAIT;
    loop {
        match endpoint.connect(&hello(wire::Role::Worker), LEASE).await {
            Ok(connected) => {
                // Its end is nothing but the reason to connect again.
                let _ = serve(connected, number, &mut reports, habit).await;
                wait = FIRST_WAIT;
            }
            Err(EndpointError::Unreachable(_)) => {
                tokio::time::sleep(wait.mul_f64(1.0 + (number % 50) as f64 / 100.0)).await;
                wait = (2 * wait).min(Duration::from_secs(2));
            }
            Err(EndpointError::Refused(why)) => panic!("{why}"),
        }
    }
}

async fn serve(
    mut connected: Connected,
    number: u64,
    reports: &mut u64,
    habit: Habit,
) -> Result<(), CodecError> {
    let joined = Joined { worker: WorkerId(number), slots: 1, holds: vec![], jobs: vec![] };
    connected.outgoing.feed(&FromWorker::Joined(joined), Bytes::new()).await?;
    connected.outgoing.flush().await?;
    while let Some(frame) = connected.incoming.next().await? {
        if let ToWorker::Run(batch) = frame.message()? {
            if habit == Habit::Flaps {
                return Ok(());
            }
            *reports += 1;
            let report = Report {
                id: ReportId(*reports),
                batch: batch.id,
                job: batch.job,
                values: batch.tasks,
                failures: vec![],
                busy_us: 10,
            };
            connected.outgoing.feed(&FromWorker::Report(report), frame.payload).await?;
            connected.outgoing.flush().await?;
        }
    }
    Ok(())
}

/// Lets this process, and a coordinator that it starts, have so many descriptors; whether that is allowed.
fn has_descriptors(count: u64) -> bool {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("no more than is allowed");
    most >= count + 500
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return n\n");
    scratch.numbers("tasks.jsonl", 0..TASKS);
    scratch
}

fn computes_all(scratch: &Scratch) {
    let submit = "submit --access-file access/client.access f:f --tasks tasks.jsonl --json";
    let summary = scratch.run(submit).expect_code(0).json();
    assert_eq!((summary["done"].as_u64(), summary["failed"].as_u64()), (Some(TASKS), Some(0)), "{summary}");
}

#[test]
fn thousands_of_workers_knock_at_once_and_again_after_a_restart() {
    if !has_descriptors(THRONG) {
        return skip::not_checked("thousands of connections", "`ulimit -Hn` is too low");
    }
    let scratch = scratch();
    let mut cluster = Cluster::start_with(&scratch, &[], "--lease 60");
    let throng = Throng::start(&scratch, THRONG, |_| Habit::Answers);
    for life in 0..2 {
        if life > 0 {
            drop(cluster.kill_coordinator());
            cluster.start_coordinator();
        }
        let coordinator = cluster.coordinator.as_ref().expect("it runs");
        coordinator.wait_for_times("a worker has joined", THRONG as usize);
        computes_all(&scratch);
    }
    throng.stop();
    cluster.stop();
}

#[test]
fn a_worker_that_comes_and_goes_costs_no_task() {
    let scratch = scratch();
    let cluster = Cluster::start_with(&scratch, &[], "--lease 60");
    let throng = Throng::start(&scratch, 4, |number| if number == 1 { Habit::Flaps } else { Habit::Answers });
    cluster.coordinator.as_ref().expect("it runs").wait_for_times("a worker has joined", 4);
    computes_all(&scratch);
    cluster.coordinator.as_ref().expect("it runs").wait_for("lost the connection to a worker");
    throng.stop();
    cluster.stop();
}
