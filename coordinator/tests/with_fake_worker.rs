//! The coordinator's actors with a client and a worker that are played by the test, over the door of one process.

use std::{cell::RefCell, path::Path, pin::Pin, rc::Rc, time::Duration};

use actix::ActorFutureExt as _;
use actix::{Actor, ActorContext, AsyncContext, Context, Running, fut::wrap_future};
use bytes::Bytes;
use coordinator::{Config, Root, shelf::Shelf};
use shared::{
    codec::Frame,
    door::{Door, door},
    endpoint::{Connected, Endpoint, EndpointError, hello},
    id::{JobId, ReportId, WorkerId, count},
    job::{CheckpointSpec, Compression, Existing, FunctionSpec, JobSpec, Work},
    shape::ValueShape,
    supervision::{self, Family, Parent, Policy, Restart, Strategy},
    wire::{
        Role,
        client::{FromClient, Summary, ToClient},
        worker::{FromWorker, Joined, Report, ToWorker},
    },
};

const LEASE: Duration = Duration::from_secs(10);

/// Runs a coordinator and this play beside it.
struct Stage {
    family: Family<()>,
    parts: Option<(Config, Shelf)>,
    play: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Actor for Stage {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start_children(ctx);
        let play = tokio::time::timeout(Duration::from_secs(60), self.play.take().expect("once"));
        let over = |ended: Result<(), _>, _: &mut Self, ctx: &mut Context<Self>| {
            ended.expect("the play ends in time");
            ctx.stop();
        };
        ctx.spawn(wrap_future::<_, Self>(play).map(over));
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_children(ctx)
    }
}

impl Parent for Stage {
    type Slot = ();

    fn family(&mut self) -> &mut Family<()> {
        &mut self.family
    }

    fn start_child(&mut self, slot: (), _: &mut Context<Self>) {
        let (config, shelf) = self.parts.take().expect("the root of a coordinator does not die here");
        self.family.spawn(slot, |_| Root::new(config, shelf));
    }
}

fn act<F: Future<Output = ()> + 'static>(play: impl FnOnce(Endpoint) -> F) {
    let (door, doorway): (Door, _) = door();
    let (network, state_dir) = (None, None);
    let config = Config { doorway: Some(doorway), network, state_dir, lease: LEASE, client_grace: LEASE };
    let family = Family::new("stage", Policy::new(Strategy::OneForOne)).child((), Restart::Temporary);
    let play: Pin<Box<dyn Future<Output = ()>>> = Box::pin(play(Endpoint::Door(door)));
    let stage = Stage { family, parts: Some((config, Shelf::in_memory())), play: Some(play) };
    assert_eq!(supervision::run("stage", |_| stage), 0);
}

async fn connect(endpoint: &Endpoint, role: Role) -> Connected {
    endpoint.connect(&hello(role), LEASE).await.expect("the door is open")
}

async fn next(connected: &mut Connected) -> Frame {
    connected.incoming.next().await.expect("a sound frame").expect("the coordinator does not hang up")
}

/// A worker that answers each batch with `value` for every task, until its connection ends.
async fn worker(mut connected: Connected, number: u64, value: u8) {
    let joined = Joined { worker: WorkerId(number), slots: 1, holds: vec![], jobs: vec![] };
    connected.outgoing.feed(&FromWorker::Joined(joined), Bytes::new()).await.expect("it listens");
    connected.outgoing.flush().await.expect("it listens");
    let mut reports = 0;
    while let Ok(Some(frame)) = connected.incoming.next().await {
        if let ToWorker::Run(batch) = frame.message().expect("a message for workers") {
            reports += 1;
            let tasks = count(&batch.tasks) as usize;
            assert_eq!(shared::msgpack::values(&frame.payload).count(), tasks, "a key for each task");
            let report = Report {
                id: ReportId(reports),
                batch: batch.id,
                job: batch.job,
                values: batch.tasks,
                failures: vec![],
                busy_us: 10 * tasks as u64,
            };
            let values = Bytes::from(vec![value; tasks]);
            connected.outgoing.feed(&FromWorker::Report(report), values).await.expect("it listens");
            connected.outgoing.flush().await.expect("it listens");
        }
    }
}

fn spec(id: u64, checkpoint: Option<&Path>) -> JobSpec {
    let path = vec!["/".to_owned()];
    let function = FunctionSpec { module: "m".into(), function: "f".into(), path, ..FunctionSpec::default() };
    JobSpec {
        checkpoint: checkpoint.map(|path| CheckpointSpec {
            path: path.to_owned().into(),
            existing: Existing::Resume,
            flush: Duration::from_millis(20),
            columns: vec![],
            key_columns: vec![],
            compress: Compression::None,
            shape: ValueShape::Open,
        }),
        wants_results: checkpoint.is_none(),
        ..JobSpec::new(JobId(id), Work::Function(function))
    }
}

/// Submits a job of `tasks` tasks and follows it: (how it ended, how many results came).
async fn submit(mut connected: Connected, spec: JobSpec, tasks: u8) -> (Summary, u32) {
    let job = spec.id;
    let keys: Bytes = (0..tasks).collect();
    let say = [
        (FromClient::Submit(Box::new(spec)), Bytes::new()),
        (FromClient::Tasks { job, count: u32::from(tasks) }, keys),
        (FromClient::TasksEnd { job, total: u64::from(tasks) }, Bytes::new()),
    ];
    for (message, payload) in say {
        connected.outgoing.feed(&message, payload).await.expect("it listens");
    }
    connected.outgoing.flush().await.expect("it listens");
    let mut results = 0;
    loop {
        let frame = next(&mut connected).await;
        match frame.message().expect("a message for clients") {
            ToClient::Results { values, .. } => {
                results += count(&values);
                let taken = FromClient::Taken { job, bytes: frame.payload.len() as u64 };
                connected.outgoing.feed(&taken, Bytes::new()).await.expect("it listens");
                connected.outgoing.flush().await.expect("it listens");
            }
            ToClient::Finished(summary) => return (*summary, results),
            _ => {}
        }
    }
}

#[test]
fn a_job_goes_from_client_to_worker_and_back() {
    act(|endpoint| async move {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn_local(worker(connect(&endpoint, Role::Worker).await, 1, 7));
        let (summary, results) = submit(connect(&endpoint, Role::Client).await, spec(1, None), 100).await;
        assert_eq!((summary.progress.done, summary.progress.durable, results), (100, 100, 100));
        assert_eq!(summary.stopped, None);
    });
}

#[test]
fn reproduces_a_worker_that_was_never_told_of_the_end_of_a_job_that_ended_while_it_was_away() {
    act(|endpoint| async move {
        let mut away = connect(&endpoint, Role::Worker).await;
        let joined = Joined { worker: WorkerId(1), slots: 1, holds: vec![], jobs: vec![JobId(5)] };
        away.outgoing.feed(&FromWorker::Joined(joined), Bytes::new()).await.expect("it listens");
        away.outgoing.flush().await.expect("it listens");
        let first = next(&mut away).await;
        assert!(matches!(first.message().expect("a message for workers"), ToWorker::JobEnded(JobId(5))));
    });
}

#[test]
fn what_is_in_the_checkpoint_is_not_leased_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("c.checkpoint");
    act(|endpoint| async move {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn_local(worker(connect(&endpoint, Role::Worker).await, 1, 7));
        for (id, known, skipped) in [(1, 60, 0), (2, 100, 60), (3, 100, 100)] {
            let (summary, _) =
                submit(connect(&endpoint, Role::Client).await, spec(id, Some(&path)), known).await;
            let progress = summary.progress;
            assert_eq!((progress.skipped, progress.done), (skipped, u64::from(known) - skipped), "job {id}");
        }
    });
}

#[test]
fn a_client_of_the_same_process_hears_at_once_which_keys_are_kept() {
    act(|endpoint| async move {
        let mut client = connect(&endpoint, Role::Client).await;
        let job = JobId(1);
        let submit = FromClient::Submit(Box::new(spec(1, None)));
        client.outgoing.feed(&submit, Bytes::new()).await.expect("it listens");
        for keys in [&[1, 2, 3], &[3, 4, 5]] {
            let tasks = FromClient::Tasks { job, count: 3 };
            client.outgoing.feed(&tasks, Bytes::from_static(keys)).await.expect("it listens");
        }
        client.outgoing.flush().await.expect("it listens");
        let mut kept = vec![];
        while kept.len() < 2 {
            if let ToClient::Kept { count, .. } =
                next(&mut client).await.message().expect("a message for clients")
            {
                kept.push(count);
            }
        }
        assert_eq!(kept, [3, 6], "repeated keys count, too");
    });
}

#[test]
fn a_checkpoint_of_other_work_ends_the_job_before_anything_is_leased() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("c.checkpoint");
    let summaries = Rc::new(RefCell::new(vec![]));
    let told = Rc::clone(&summaries);
    act(|endpoint| async move {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn_local(worker(connect(&endpoint, Role::Worker).await, 1, 7));
        let first = submit(connect(&endpoint, Role::Client).await, spec(1, Some(&path)), 10).await.0;
        let mut other = spec(2, Some(&path));
        other.work = Work::Function(FunctionSpec {
            module: "m".into(),
            function: "g".into(),
            path: vec![],
            ..FunctionSpec::default()
        });
        let second = submit(connect(&endpoint, Role::Client).await, other, 10).await.0;
        told.borrow_mut().extend([first, second]);
    });
    let summaries = summaries.borrow();
    assert_eq!(summaries[0].stopped, None);
    let stopped = summaries[1].stopped.as_ref().expect("it was stopped");
    assert_eq!(stopped.why, shared::wire::client::StopCause::Checkpoint);
    assert!(stopped.message.contains("m:f") && stopped.message.contains("m:g"), "{}", stopped.message);
    assert_eq!(summaries[1].progress.done, 0);
}

#[test]
fn a_peer_of_an_incompatible_version_is_told_what_to_install() {
    act(|endpoint| async move {
        let mut other = hello(Role::Worker);
        other.version.major += 1;
        other.software = "9.9.9".into();
        let Err(EndpointError::Refused(why)) = endpoint.connect(&other, LEASE).await else {
            panic!("it was let in");
        };
        assert!(why.contains("9.9.9") && why.contains("install the same version"), "{why}");
        let mut newer = hello(Role::Worker);
        newer.version.minor += 1;
        endpoint.connect(&newer, LEASE).await.expect("one minor version apart is understood");
    });
}
