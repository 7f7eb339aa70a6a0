//! Heads of the wire protocol that this and every compatible version must write and read the same: one line each in
//! `golden/wire/v1.0.txt`, a name and the head's bytes in hexadecimal.
//!
//! To add a message: put it into [`heads`] and run this file with `-- --ignored`, which appends what is missing and
//! never changes a line. A line that no longer fits means a new version of the protocol.

use std::{collections::BTreeMap, fs, num::NonZeroU32, path::PathBuf, time::Duration};

use serde::Serialize;
use shared::{
    id::{Attempt, BatchId, Epoch, JobId, ObjectId, ReportId, TaskIndex, TaskRange, WorkerId},
    job::{
        Attended, CheckpointSpec, CommandSpec, Compression, Existing, FunctionSpec, JobSpec, Limits, Work,
    },
    object::{ObjectSpec, Purpose},
    outcome::{Cause, Failure},
    shape::ValueShape,
    wire::{Hello, Role, Version, Welcome, child::*, client::*, kv::*, worker::*},
};

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/wire/v1.0.txt")
}

fn golden() -> BTreeMap<String, String> {
    let text = fs::read_to_string(file()).unwrap_or_default();
    let pair = |line: &str| line.split_once(' ').map(|(name, hex)| (name.to_owned(), hex.to_owned()));
    text.lines().filter_map(pair).collect()
}

fn head<T: Serialize>(message: &T) -> String {
    let bytes = rmp_serde::to_vec_named(message).expect("memory");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn spec(work: Work) -> Box<JobSpec> {
    let checkpoint = CheckpointSpec {
        path: PathBuf::from("/data/c.checkpoint").into(),
        existing: Existing::Resume,
        flush: Duration::from_millis(1500),
        columns: vec![],
        key_columns: vec![],
        compress: Compression::None,
        shape: ValueShape::Open,
    };
    let limits = Limits { timeout: Some(Duration::from_secs(9)), memory: Some(1 << 30), ..Limits::default() };
    Box::new(JobSpec {
        limits,
        checkpoint: Some(checkpoint),
        batch_size: Some(7),
        detached: true,
        ..JobSpec::new(JobId(0x0123_4567_89ab_cdef), work)
    })
}

/// The same with what may be absent.
fn spec_of_columns(work: Work) -> Box<JobSpec> {
    let mut spec = spec(work);
    if let Some(checkpoint) = &mut spec.checkpoint {
        checkpoint.columns = vec!["a".to_owned()];
        checkpoint.key_columns = vec!["k".to_owned()];
        checkpoint.compress = Compression::Zstd;
        checkpoint.shape = ValueShape::Columns(vec!["a".to_owned()]);
    }
    spec
}

/// Both kinds of object, with a place and without.
fn objects() -> Vec<ObjectSpec> {
    let place = Some("/proc/7/fd/9".to_owned());
    vec![
        ObjectSpec { id: ObjectId(3), size: 4, purpose: Purpose::Shared, place, crc: None },
        ObjectSpec { id: ObjectId(5), size: 6, purpose: Purpose::Function, place: None, crc: None },
    ]
}

fn differences() -> Vec<Difference> {
    vec![Difference { package: "numpy".to_owned(), caller: "2.1".to_owned(), child: "1.26".to_owned() }]
}

/// One that goes to other machines.
fn objects_from_afar() -> Vec<ObjectSpec> {
    vec![ObjectSpec { id: ObjectId(3), size: 4, purpose: Purpose::Shared, place: None, crc: Some(9) }]
}

/// The same with processes that end after some tasks.
fn spec_of_short_lives(work: Work) -> Box<JobSpec> {
    let mut spec = spec(work);
    spec.limits.tasks_per_process = NonZeroU32::new(9);
    spec
}

/// The same with processes that end if they still have so much memory after a task.
fn spec_of_small_ones(work: Work) -> Box<JobSpec> {
    let mut spec = spec(work);
    spec.limits.recycle_memory = Some(1 << 30);
    spec
}

fn heads() -> Vec<(&'static str, String)> {
    let version = Version { major: 1, minor: 0 };
    let (job, batch) = (JobId(5), BatchId { epoch: Epoch(2), number: 3 });
    let tasks = vec![TaskRange::new(0, 4), TaskRange::new(9, 10)];
    let text = |text: &str| text.to_owned();
    let failure = |cause| Failure {
        cause,
        message: text("no"),
        traceback: text("trace"),
        stdout: text("out"),
        stderr: text("err"),
        host: text("vm"),
        pid: 42,
        attempt: Attempt(2),
    };
    let died = (TaskIndex(3), failure(Cause::ExitCode { code: 7, died: true }));
    let function = Work::Function(FunctionSpec {
        module: text("m"),
        function: text("f"),
        path: vec![text("/x")],
        ..FunctionSpec::default()
    });
    let versioned = Work::Function(FunctionSpec {
        module: text("m"),
        function: text("f"),
        pickled: Some(vec![7].into()),
        version: Some(text("3.11")),
        ..FunctionSpec::default()
    });
    let preloaded = Work::Function(FunctionSpec {
        module: text("m"),
        function: text("f"),
        preload: vec![text("a"), text("b.c")],
        ..FunctionSpec::default()
    });
    let preload = ToTemplate::Preload {
        names: vec![text("a"), text("b.c")],
        path: vec![text("/x")],
        pickled: Some(vec![7].into()),
        objects: objects(),
    };
    let command = Work::Command(CommandSpec {
        argv: vec![text("echo")],
        fields: vec![text("n")],
        cwd: text("/x"),
        ..CommandSpec::default()
    });
    let attended = Work::Command(CommandSpec {
        argv: vec![text("{}")],
        cwd: text("/x"),
        env: vec![(text("A"), text("b"))],
        attended: Some(Attended { stdout: text("/o"), stderr: text("/e") }),
        ..CommandSpec::default()
    });
    let hello = Hello { version, software: text("0.1.0"), host: text("vm"), pid: 42, role: Role::Worker };
    let progress = Progress {
        job: None,
        tasks: 9,
        complete: true,
        skipped: 1,
        done: 2,
        failed: 3,
        durable: 4,
        busy: 5,
        slots: 6,
        workers: 7,
    };
    let stopped = Some(Stopped { why: StopCause::Storage, message: text("full") });
    let group = FailureGroup {
        reason: text("r"),
        count: 8,
        examples: vec![(vec![1].into(), failure(Cause::Signal(11)))],
    };
    let incidents = Incidents { retries: 1, workers_lost: 2, late: 3 };
    let summary = Summary { job: Some(job), progress, groups: vec![group], stopped, incidents };
    let held = Held { batch, job, tasks: tasks.clone(), unacknowledged: vec![] };
    let report = Report {
        id: ReportId(1),
        batch,
        job,
        values: tasks.clone(),
        failures: vec![died.clone()],
        busy_us: 11,
    };
    let run = Batch { id: batch, job, tasks: tasks.clone(), attempts: vec![(TaskIndex(9), Attempt(3))] };
    let status =
        Status { busy: 1, cpu_percent: 2.5, memory_used: 3, memory_total: 4, pool_memory: 5, detail: None };
    let incr = Request::Incr { key: text("k"), by: -2 };
    let own = OwnProcess { pid: 42, name: text("python3"), cpu_percent: 2.5, memory: 3 };
    let traffic = Traffic { bytes_sent: 1, bytes_received: 2, packets_sent: 3, packets_received: 4 };
    let detail = Detail { processes: 9, disk_used: 1, disk_total: 2, traffic, own: vec![own] };
    let detailed = Status { detail: Some(Box::new(detail)), ..status.clone() };
    let watched = Watched { worker: WorkerId(7), host: text("vm"), slots: 4, status: Some(status.clone()) };
    let listed = Listed {
        job,
        work: text("function m:f"),
        checkpoint: Some(PathBuf::from("/c").into()),
        began: 8,
        detached: true,
        followed: true,
        wants_results: false,
        progress,
        ended: true,
        stopped: Some(Stopped { why: StopCause::Cancelled, message: text("m") }),
    };
    let raised = Raised {
        ordinal: 3,
        kind: RaisedKind::Exception,
        type_name: text("E"),
        message: text("m"),
        traceback: text("t"),
    };
    let load = Load {
        module: text("m"),
        function: text("f"),
        path: vec![text("/x")],
        pickled: None,
        version: None,
        packages: vec![],
        mark: None,
        memory: Some(1),
        value_limit: 2,
        shape: ValueShape::Open,
        objects: vec![],
    };
    let loading = |load| head(&ToChild::Load(Box::new(load)));
    let shaped = |shape| loading(Load { shape, ..load.clone() });
    vec![
        ("Hello", head(&hello)),
        ("Welcome.Accepted", head(&Welcome::Accepted { version, lease_ms: 10_000 })),
        ("Welcome.Refused", head(&Welcome::Refused { reason: text("no") })),
        ("ToWorker.Job", head(&ToWorker::Job(spec(function)))),
        ("ToWorker.Job.columns", head(&ToWorker::Job(spec_of_columns(command.clone())))),
        (
            "ToWorker.Job.objects",
            head(&ToWorker::Job(Box::new(JobSpec { objects: objects(), ..*spec(command.clone()) }))),
        ),
        (
            "ToWorker.Job.objects.crc",
            head(&ToWorker::Job(Box::new(JobSpec {
                objects: objects_from_afar(),
                ..*spec(command.clone())
            }))),
        ),
        ("ToWorker.Job.short_lives", head(&ToWorker::Job(spec_of_short_lives(command.clone())))),
        ("ToWorker.Job.small_ones", head(&ToWorker::Job(spec_of_small_ones(command.clone())))),
        ("ToWorker.JobEnded", head(&ToWorker::JobEnded(job))),
        ("ToWorker.Run", head(&ToWorker::Run(run))),
        ("ToWorker.Recall", head(&ToWorker::Recall(vec![batch]))),
        ("ToWorker.Drop", head(&ToWorker::Drop(vec![batch]))),
        ("ToWorker.Forget", head(&ToWorker::Forget(vec![ReportId(1)]))),
        ("ToWorker.Answered", head(&ToWorker::Answered { ask: 3, answer: Answer::Done })),
        ("ToWorker.Signal", head(&ToWorker::Signal { job, number: 15 })),
        ("ToWorker.Heartbeat", head(&ToWorker::Heartbeat)),
        ("ToWorker.Shutdown", head(&ToWorker::Shutdown)),
        (
            "FromWorker.Joined",
            head(&FromWorker::Joined(Joined {
                worker: WorkerId(9),
                slots: 4,
                holds: vec![held],
                jobs: vec![],
            })),
        ),
        (
            "FromWorker.Joined.jobs",
            head(&FromWorker::Joined(Joined {
                worker: WorkerId(9),
                slots: 4,
                holds: vec![],
                jobs: vec![job],
            })),
        ),
        ("FromWorker.Report", head(&FromWorker::Report(report))),
        ("FromWorker.Returned", head(&FromWorker::Returned { batch, tasks: tasks.clone() })),
        (
            "FromWorker.Unloadable",
            head(&FromWorker::Unloadable { job, message: text("m"), traceback: text("t") }),
        ),
        ("FromWorker.Ask", head(&FromWorker::Ask { ask: 3, request: Request::Get(text("k")) })),
        ("FromWorker.Began", head(&FromWorker::Began { job, task: TaskIndex(3), pid: 42 })),
        ("FromWorker.Status", head(&FromWorker::Status(status))),
        ("FromWorker.Status.detail", head(&FromWorker::Status(detailed))),
        ("FromWorker.Heartbeat", head(&FromWorker::Heartbeat)),
        ("FromWorker.Leaving", head(&FromWorker::Leaving)),
        (
            "FromClient.Submit.known",
            head(&FromClient::Submit(Box::new(JobSpec { wants_known: true, ..*spec(command.clone()) }))),
        ),
        ("FromClient.Submit.version", head(&FromClient::Submit(spec(versioned)))),
        ("FromClient.Submit.preload", head(&FromClient::Submit(spec(preloaded)))),
        ("FromClient.Submit", head(&FromClient::Submit(spec(command)))),
        ("FromClient.Tasks", head(&FromClient::Tasks { job, count: 6 })),
        ("FromClient.TasksEnd", head(&FromClient::TasksEnd { job, total: 6 })),
        ("FromClient.Cancel", head(&FromClient::Cancel { job, now: true, grace_ms: None })),
        ("FromClient.Cancel.grace", head(&FromClient::Cancel { job, now: false, grace_ms: Some(9) })),
        ("FromClient.Submit.attended", head(&FromClient::Submit(spec(attended)))),
        ("FromClient.Signal", head(&FromClient::Signal { job, number: 15 })),
        ("FromClient.Ask.set", head(&FromClient::Ask { ask: 3, request: Request::Set(text("k")) })),
        ("FromClient.Ask.incr", head(&FromClient::Ask { ask: 3, request: incr.clone() })),
        ("FromClient.Ask.delete", head(&FromClient::Ask { ask: 3, request: Request::Delete(text("k")) })),
        ("FromClient.Ask.all", head(&FromClient::Ask { ask: 3, request: Request::All })),
        ("FromClient.Ask.leave", head(&FromClient::Ask { ask: 3, request: Request::Leave })),
        ("FromClient.Ask.inherit", head(&FromClient::Ask { ask: 3, request: Request::Inherit })),
        ("FromClient.Watch", head(&FromClient::Watch(true))),
        ("FromClient.Attach", head(&FromClient::Attach(job))),
        ("FromClient.List", head(&FromClient::List)),
        ("FromClient.Taken", head(&FromClient::Taken { job, bytes: 6 })),
        ("FromClient.Heartbeat", head(&FromClient::Heartbeat)),
        ("ToClient.Accepted", head(&ToClient::Accepted { job, known: 6 })),
        ("ToClient.Kept", head(&ToClient::Kept { job, count: 9 })),
        ("ToClient.Stored", head(&ToClient::Stored(job))),
        ("ToClient.Remark", head(&ToClient::Remark { job, text: text("why") })),
        ("FromWorker.Differs", head(&FromWorker::Differs { job, packages: differences() })),
        ("FromChild.Differs", head(&FromChild::Differs { packages: differences() })),
        (
            "ToChild.Load.packages",
            loading(Load { packages: vec![(text("numpy"), text("2.1"))], ..load.clone() }),
        ),
        ("ToClient.Fetch", head(&ToClient::Fetch { job, object: ObjectId(3), at: 1 << 40, most: 9 })),
        ("FromClient.Piece", head(&FromClient::Piece { job, object: ObjectId(3), at: 1 << 40 })),
        ("FromWorker.Fetch", head(&FromWorker::Fetch { object: ObjectId(3), at: 1 << 40, most: 9 })),
        ("ToWorker.Piece", head(&ToWorker::Piece { object: ObjectId(3), at: 1 << 40 })),
        ("ToClient.SetAside", head(&ToClient::SetAside(job))),
        ("ToClient.Note", head(&ToClient::Note(text("note")))),
        ("ToClient.Began", head(&ToClient::Began { job, task: TaskIndex(3), pid: 42 })),
        ("ToClient.Answered", head(&ToClient::Answered { ask: 3, answer: Answer::Missing })),
        (
            "ToClient.Answered.refused",
            head(&ToClient::Answered { ask: 3, answer: Answer::Refused(text("w")) }),
        ),
        ("ToClient.Answered.elsewhere", head(&ToClient::Answered { ask: 3, answer: Answer::Elsewhere })),
        ("ToClient.Attached", head(&ToClient::Attached(Box::new(listed.clone())))),
        ("ToClient.Stopping", head(&ToClient::Stopping(job))),
        ("ToClient.Unknown", head(&ToClient::Unknown(job))),
        ("ToClient.Jobs", head(&ToClient::Jobs(vec![listed]))),
        ("ToClient.Watched", head(&ToClient::Watched(Box::new(watched)))),
        ("ToClient.Progress", head(&ToClient::Progress(progress))),
        ("ToClient.Progress.job", head(&ToClient::Progress(Progress { job: Some(job), ..progress }))),
        ("ToClient.Results", head(&ToClient::Results { job, values: tasks })),
        ("ToClient.Failed", head(&ToClient::Failed { job, task: died.0, failure: Box::new(died.1) })),
        (
            "ToClient.Failed.memory",
            head(&ToClient::Failed {
                job,
                task: TaskIndex(3),
                failure: Box::new(failure(Cause::KilledForMemory(9))),
            }),
        ),
        ("ToClient.Finished", head(&ToClient::Finished(Box::new(summary)))),
        ("ToClient.Heartbeat", head(&ToClient::Heartbeat)),
        ("ToChild.Load", loading(load.clone())),
        ("ToChild.Load.pickled", loading(Load { pickled: Some(vec![7].into()), ..load.clone() })),
        ("ToChild.Load.version", loading(Load { version: Some(text("3.11")), ..load.clone() })),
        ("ToChild.Load.mark", loading(Load { mark: Some(text("7.9")), ..load.clone() })),
        ("ToChild.Load.objects", loading(Load { objects: objects(), ..load.clone() })),
        ("ToChild.Load.any", shaped(ValueShape::Any)),
        ("ToChild.Load.single", shaped(ValueShape::Single)),
        ("ToChild.Load.width", shaped(ValueShape::Width(8))),
        ("ToChild.Load.names", shaped(ValueShape::Names(vec![text("a")]))),
        ("ToChild.Load.columns", shaped(ValueShape::Columns(vec![text("a")]))),
        ("ToChild.Answered", head(&ToChild::Answered(Answer::Lost))),
        ("ToChild.Run", head(&ToChild::Run { first: 1, count: 2 })),
        ("ToTemplate.Preload", head(&preload)),
        ("ToTemplate.Fork", head(&ToTemplate::Fork { number: 1 })),
        ("FromTemplate.Ready", head(&FromTemplate::Ready {})),
        (
            "FromTemplate.Unloadable",
            head(&FromTemplate::Unloadable { message: text("m"), traceback: text("t") }),
        ),
        ("FromTemplate.Forked", head(&FromTemplate::Forked { number: 1, pid: 42, started: 99 })),
        ("FromTemplate.Killed", head(&FromTemplate::Killed { number: 1 })),
        ("FromTemplate.NotForked", head(&FromTemplate::NotForked { number: 1, why: text("w") })),
        ("FromChild.Ready", head(&FromChild::Ready { python: text("3.11.7"), lacks_msgpack: None })),
        ("FromChild.Unloadable", head(&FromChild::Unloadable { message: text("m"), traceback: text("t") })),
        ("FromChild.Ask", head(&FromChild::Ask(incr))),
        ("FromChild.Ran", head(&FromChild::Ran { first: 1, count: 2, busy_us: 3, failures: vec![raised] })),
        ("FromChild.Stopped", head(&FromChild::Stopped { at: 4 })),
    ]
}

#[test]
fn every_message_is_written_as_it_always_was() {
    let golden = golden();
    for (name, bytes) in heads() {
        let expected = golden.get(name).unwrap_or_else(|| panic!("{name} is not in {}", file().display()));
        assert_eq!(&bytes, expected, "{name}: other bytes are another version of the protocol");
    }
    assert_eq!(golden.len(), heads().len(), "every line is still written");
}

#[test]
#[ignore = "appends what is missing to the golden file"]
fn append_what_is_missing() {
    let known = golden();
    let missing = heads().into_iter().filter(|(name, _)| !known.contains_key(*name));
    let lines: String = missing.map(|(name, bytes)| format!("{name} {bytes}\n")).collect();
    fs::create_dir_all(file().parent().expect("a folder")).expect("writable");
    let before = fs::read_to_string(file()).unwrap_or_default();
    fs::write(file(), before + &lines).expect("writable");
}
