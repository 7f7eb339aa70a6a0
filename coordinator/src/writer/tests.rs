//! What a writer finds of a job's tasks in a checkpoint that is there already.

use std::{path::Path, sync::mpsc};

use shared::{
    id::TaskRange,
    job::{CheckpointSpec, CommandSpec, Compression, Work},
    outcome::Cause,
};

use super::*;

/// A job that goes on from a checkpoint in this folder, in which the tasks 1 and 2 have the values 7 and 8, and 3 failed.
fn resumed(folder: &Path, wants_known: bool) -> JobSpec {
    let path = folder.join("c.checkpoint");
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
    file.push_values(&[1, 2], &[7, 8], 2, &[]).expect("sound");
    file.push_failure(&[2], &failure).expect("sound");
    file.push_failure(&[3], &failure).expect("sound");
    file.close().expect("a disk");
    JobSpec {
        checkpoint: Some(CheckpointSpec {
            path: path.into(),
            existing: Existing::Resume,
            flush: Duration::ZERO,
            columns: vec![],
            key_columns: vec![],
            compress: Compression::None,
            shape: ValueShape::Open,
        }),
        wants_known,
        ..JobSpec::new(shared::id::JobId(1), work)
    }
}

/// What a writer answers to a scan for the tasks 4, 2, 1 and 3, and to these orders.
fn answers(wants_known: bool, more: Vec<Order>) -> Vec<Answer> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut answers = Vec::new();
    let mut tasks = TaskList::new();
    tasks.extend(&[4, 2, 1, 3]).expect("well formed");
    let (orders, inbox) = mpsc::channel();
    orders.send(Order::Scan(Arc::new(RwLock::new(tasks)))).expect("somebody listens");
    more.into_iter().for_each(|order| orders.send(order).expect("somebody listens"));
    drop(orders);
    Writer::new(resumed(folder.path(), wants_known), None, |answer| answers.push(answer)).run(&inbox);
    answers
}

#[test]
fn a_failure_does_not_hide_a_value() {
    let answers = answers(false, vec![]);
    let [Answer::NeedsTasks, Answer::Scanned(values, _)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(values.ranges().collect::<Vec<_>>(), [TaskRange::new(1, 3)]);
}

#[test]
fn what_a_checkpoint_has_is_told_before_work_begins() {
    let answers = answers(true, vec![Order::Tell]);
    let [Answer::NeedsTasks, Answer::Known(piece), Answer::Scanned(values, _)] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(piece.tasks, [TaskRange::new(2, 3), TaskRange::new(1, 2)], "in the order of the file");
    assert_eq!(piece.values[..], [7, 8]);
    assert_eq!(values.ranges().collect::<Vec<_>>(), [TaskRange::new(1, 3)]);
}

#[test]
fn nothing_more_is_told_to_a_client_that_is_gone() {
    let answers = answers(true, vec![Order::Enough, Order::Tell]);
    assert!(
        matches!(answers[..], [Answer::NeedsTasks, Answer::Known(_), Answer::Scanned(..)]),
        "{answers:?}"
    );
}

#[test]
fn reproduces_a_cancelled_job_that_a_restart_began_again_as_its_end_found_no_room() {
    let state = tempfile::tempdir().expect("a temporary folder");
    let dir = state.path().join("job");
    let mut writer = Writer::new(
        JobSpec::new(shared::id::JobId(1), Work::Command(CommandSpec::default())),
        Some(dir.clone()),
        |_| {},
    );
    writer.begin();
    writer.carry_out(Order::Keys(Bytes::from_static(&[1, 2])));
    writer.carry_out(Order::KeysComplete(2));
    assert!(dir.join("tasks").exists());
    // Nothing can be written there, as on a full disk.
    std::fs::create_dir(dir.join("summary.new")).expect("a folder");
    writer.carry_out(Order::Ended(Box::default()));
    assert!(!dir.exists(), "a restart finds it, and no end of it");
}

#[test]
fn that_a_job_is_to_stop_and_how_it_ended_is_kept_before_it_is_answered() {
    let state = tempfile::tempdir().expect("a temporary folder");
    let dir = state.path().join("job");
    let (stop, end) = (dir.join("stop"), dir.join("summary"));
    let mut kept = Vec::new();
    let spec = JobSpec::new(shared::id::JobId(1), Work::Command(CommandSpec::default()));
    let mut writer = Writer::new(spec, Some(dir), |answer| match answer {
        Answer::StopKept => kept.push(stop.exists() && !end.exists()),
        Answer::Ended(_) => kept.push(end.exists()),
        _ => {}
    });
    writer.begin();
    writer.carry_out(Order::Stop(Duration::from_secs(1)));
    let summary = Summary {
        job: None,
        progress: Default::default(),
        groups: Vec::new(),
        stopped: None,
        incidents: Default::default(),
    };
    writer.carry_out(Order::Ended(Box::new(summary)));
    drop(writer);
    assert_eq!(kept, [true, true]);
}
