//! What a writer finds of a job's tasks in a checkpoint that is there already.

use std::sync::mpsc;

use shared::{
    id::TaskRange,
    job::{CheckpointSpec, CommandSpec, Compression, Limits, Work},
    outcome::Cause,
};

use super::*;

#[test]
fn a_failure_does_not_hide_a_value() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("c.checkpoint");
    let work = Work::Command(CommandSpec {
        argv: vec!["true".into()],
        fields: vec![],
        cwd: "/".into(),
        ..CommandSpec::default()
    });
    let terms = Terms::new(work.identity(), Existing::Resume);
    let (mut file, _) = CheckpointFile::open(&path, &terms, &mut |_, _, _| {}).expect("new");
    let failure = Failure {
        cause: Cause::Signal(11),
        message: String::new(),
        traceback: String::new(),
        stdout: String::new(),
        stderr: String::new(),
        host: String::new(),
        pid: 1,
        attempt: Attempt::FIRST,
    };
    file.push_failure(&[1], &failure).expect("sound");
    file.push_values(&[1, 2], &[7, 7], 2, &[]).expect("sound");
    file.push_failure(&[2], &failure).expect("sound");
    file.push_failure(&[3], &failure).expect("sound");
    file.close().expect("a disk");
    let spec = JobSpec {
        id: shared::id::JobId(1),
        work,
        limits: Limits::default(),
        checkpoint: Some(CheckpointSpec {
            path: path.into(),
            existing: Existing::Resume,
            flush: Duration::ZERO,
            columns: vec![],
            key_columns: vec![],
            compress: Compression::None,
            shape: ValueShape::Open,
        }),
        batch_size: None,
        wants_results: false,
        wants_failures: false,
        repeats: false,
        detached: false,
        objects: vec![],
    };
    let mut answers = Vec::new();
    let mut tasks = TaskList::new();
    tasks.extend(&[3, 2, 1]).expect("well formed");
    let (orders, inbox) = mpsc::channel();
    orders.send(Order::Scan(Arc::new(RwLock::new(tasks)))).expect("somebody listens");
    drop(orders);
    Writer::new(spec, None, |answer| answers.push(answer)).run(&inbox);
    let [Answer::NeedsTasks, Answer::Scanned(values, _)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(values.ranges().collect::<Vec<_>>(), [TaskRange::new(1, 3)]);
}
