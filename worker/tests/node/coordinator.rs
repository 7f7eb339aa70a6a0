//! A coordinator that does what a script says.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use nix::unistd::Pid;
use shared::{
    codec::{FrameReader, FrameWriter, Limits},
    door::Doorway,
    id::{BatchId, Epoch, JobId, ReportId, TaskIndex, TaskRange},
    job::{CommandSpec, FunctionSpec, JobSpec, Work},
    msgpack,
    outcome::Failure,
    wire::{
        self, Hello, Welcome,
        worker::{Batch, FromWorker, Joined, ToWorker},
    },
};
use tokio::net::{
    UnixStream,
    unix::{OwnedReadHalf, OwnedWriteHalf},
};

/// No answer takes this long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module.
pub struct Coordinator {
    doorway: Doorway,
    pub keeper: Pid,
    line: Option<(FrameReader<OwnedReadHalf>, FrameWriter<OwnedWriteHalf>)>,
    /// Reports that have come and were not acknowledged.
    pub unforgotten: Vec<ReportId>,
}

/// What came of a task: its value's bytes, or its failure.
pub type Outcome = Result<Vec<u8>, Failure>;

pub fn batch(number: u32) -> BatchId {
    BatchId { epoch: Epoch(1), number }
}

fn job(work: Work) -> JobSpec {
    JobSpec::new(JobId(1), work)
}

/// A function of `work.py`.
pub fn function(name: &str) -> JobSpec {
    let path = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node").to_owned()];
    job(Work::Function(FunctionSpec {
        module: "work".into(),
        function: name.into(),
        path,
        ..FunctionSpec::default()
    }))
}

pub fn command(argv: &[&str]) -> JobSpec {
    let argv = argv.iter().map(|text| (*text).to_owned()).collect();
    job(Work::Command(CommandSpec { argv, fields: Vec::new(), cwd: "/".into(), ..CommandSpec::default() }))
}

impl Coordinator {
    pub fn new(doorway: Doorway, keeper: Pid) -> Coordinator {
        Coordinator { doorway, keeper, line: None, unforgotten: Vec::new() }
    }

    /// The node makes both ends of a connection, and the runtime that watches them ends with it; ours is to hear what it
    /// has said last.
    async fn visitor(&mut self) -> UnixStream {
        let theirs = tokio::time::timeout(PATIENCE, self.doorway.accept()).await.expect("the node comes");
        UnixStream::from_std(theirs.into_std().unwrap()).unwrap()
    }

    /// Waits for the node to come, or to come back.
    pub async fn accept(&mut self) -> Joined {
        let (incoming, outgoing) = self.visitor().await.into_split();
        let mut incoming = FrameReader::new(incoming, Limits::HELLO);
        let mut outgoing = FrameWriter::new(outgoing);
        let hello: Hello = incoming.next().await.unwrap().unwrap().message().unwrap();
        assert_eq!(hello.role, wire::Role::Worker);
        outgoing
            .feed(&Welcome::Accepted { version: wire::VERSION, lease_ms: 60_000 }, Bytes::new())
            .await
            .unwrap();
        outgoing.flush().await.unwrap();
        incoming.set_limits(Limits::DATA);
        self.line = Some((incoming, outgoing));
        match self.hear().await {
            (FromWorker::Joined(joined), _) => joined,
            other => panic!("{other:?} instead of Joined"),
        }
    }

    pub async fn refuse(&mut self) {
        let mut outgoing = FrameWriter::new(self.visitor().await);
        outgoing.feed(&Welcome::Refused { reason: "too old".into() }, Bytes::new()).await.unwrap();
        outgoing.shutdown().await.unwrap();
        std::mem::forget(outgoing);
    }

    pub fn hang_up(&mut self) {
        self.line = None;
    }

    pub async fn tell(&mut self, message: ToWorker, payload: Bytes) {
        let (_, outgoing) = self.line.as_mut().expect("a connection");
        outgoing.feed(&message, payload).await.unwrap();
        outgoing.flush().await.unwrap();
    }

    /// Starts to serve this job.
    pub async fn with_job(&mut self, spec: JobSpec) {
        self.accept().await;
        self.tell(ToWorker::Job(Box::new(spec)), Bytes::new()).await;
    }

    /// Leases tasks with these keys; they are numbered from `number * 100`.
    pub async fn run(&mut self, number: u32, keys: &[impl serde::Serialize]) {
        let start = number * 100;
        let tasks = vec![TaskRange::new(start, start + keys.len() as u32)];
        let keys: Vec<u8> = keys.iter().flat_map(|key| rmp_serde::to_vec(key).unwrap()).collect();
        let batch = Batch { id: batch(number), job: JobId(1), tasks, attempts: Vec::new() };
        self.tell(ToWorker::Run(batch), Bytes::from(keys)).await;
    }

    /// The next thing that is said, signs of life apart.
    pub async fn hear(&mut self) -> (FromWorker, Bytes) {
        let (incoming, _) = self.line.as_mut().expect("a connection");
        loop {
            let next =
                tokio::time::timeout(PATIENCE, incoming.next()).await.expect("the node says something");
            let frame = next.unwrap().expect("the node stays");
            match frame.message().unwrap() {
                FromWorker::Heartbeat | FromWorker::Status(_) => {}
                said => return (said, frame.payload),
            }
        }
    }

    /// Whether the node has hung up by itself.
    pub async fn hears_the_end(&mut self) -> bool {
        let (incoming, _) = self.line.as_mut().expect("a connection");
        while let Ok(Some(_)) = tokio::time::timeout(PATIENCE, incoming.next()).await.expect("an end") {}
        true
    }

    /// Hears reports until the outcomes of so many tasks are known.
    pub async fn outcomes(&mut self, number: usize) -> BTreeMap<u32, Outcome> {
        let mut outcomes = BTreeMap::new();
        while outcomes.len() < number {
            let (said, payload) = self.hear().await;
            let FromWorker::Report(report) = said else { panic!("{said:?} instead of a report") };
            self.unforgotten.push(report.id);
            let tasks: Vec<TaskIndex> = report.values.iter().flat_map(|range| range.tasks()).collect();
            let values: Vec<&[u8]> = msgpack::values(&payload).map(|value| value.unwrap()).collect();
            assert_eq!(tasks.len(), values.len());
            let values = tasks.into_iter().zip(values).map(|(task, value)| (task.0, Ok(value.to_vec())));
            let failures = report.failures.into_iter().map(|(task, failure)| (task.0, Err(failure)));
            for (task, outcome) in values.chain(failures) {
                assert!(outcomes.insert(task, outcome).is_none(), "task {task} is reported twice");
            }
        }
        outcomes
    }

    /// Hears that the job cannot be run, the line and the traceback, and gets the tasks of this batch back.
    pub async fn refusal(&mut self, number: u32, tasks: u32) -> (String, String) {
        let said = self.hear().await.0;
        let FromWorker::Unloadable { message, traceback, .. } = said else {
            panic!("{said:?} instead of Unloadable")
        };
        let tasks = vec![TaskRange::new(number * 100, number * 100 + tasks)];
        assert_eq!(self.hear().await.0, FromWorker::Returned { batch: batch(number), tasks });
        (message, traceback)
    }

    /// Asks the node to end, and hears it say so.
    pub async fn shut_down(&mut self) {
        self.tell(ToWorker::Shutdown, Bytes::new()).await;
        assert_eq!(self.hear().await.0, FromWorker::Leaving);
        assert!(self.hears_the_end().await);
    }
}
