//! What a state directory has after many jobs.

use std::{
    fs::File,
    time::{Duration, SystemTime},
};

use shared::job::{CommandSpec, Work};

use super::*;

fn spec(id: u64) -> JobSpec {
    let work = Work::Command(CommandSpec { argv: vec!["true".into()], ..CommandSpec::default() });
    JobSpec::new(JobId(id), work)
}

fn summary(id: u64) -> Summary {
    Summary { job: Some(JobId(id)), ..Summary::default() }
}

/// What the writer of a job does: its files, and that it ended so long ago.
fn write(dir: &Path, id: u64, ago: Option<Duration>) {
    fs::create_dir_all(dir).expect("a disk");
    fs::write(dir.join("spec"), rmp_serde::to_vec_named(&spec(id)).expect("memory")).expect("a disk");
    fs::write(dir.join("tasks"), []).expect("a disk");
    if let Some(ago) = ago {
        fs::write(dir.join("summary"), rmp_serde::to_vec_named(&summary(id)).expect("memory"))
            .expect("a disk");
        let file = File::options().write(true).open(dir.join("summary")).expect("written");
        file.set_modified(SystemTime::now() - ago).expect("a disk");
    }
}

#[test]
fn reproduces_a_state_directory_that_grew_with_each_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = |id: u64| folder.path().join("jobs").join(JobId(id).to_string());
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    write(&dir(1), 1, None);
    (2..=150).for_each(|id| write(&dir(id), id, hours(160 - id)));
    let mut shelf = Shelf::load(folder.path()).expect("a shelf");
    let kept = || fs::read_dir(folder.path().join("jobs")).expect("a folder").count();
    assert_eq!((kept(), shelf.jobs.len()), (101, 1));
    assert!(!dir(50).exists() && dir(51).exists() && dir(1).exists());
    // What ends now takes the place of the oldest.
    shelf.end(JobId(1), summary(1));
    assert_eq!((kept(), shelf.jobs.len()), (100, 0));
    assert!(!dir(51).exists() && dir(1).exists());
    assert!(shelf.end_of(JobId(51)).is_none() && shelf.end_of(JobId(1)).is_some());
}

#[test]
fn a_job_that_is_to_stop_is_known_as_such_with_the_time_that_it_has_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = |id: u64| folder.path().join("jobs").join(JobId(id).to_string());
    let minute = Duration::from_secs(60);
    (1..=4).for_each(|id| write(&dir(id), id, None));
    (2..=4).for_each(|id| keep_stop(&dir(id), 100 * minute).expect("a disk"));
    let set = |id: u64, at: SystemTime| {
        let file = File::options().write(true).open(dir(id).join("stop")).expect("written");
        file.set_modified(at).expect("a disk");
    };
    set(3, SystemTime::now() - 60 * minute);
    // The clock was set back meanwhile.
    set(4, SystemTime::now() + 1_000_000 * minute);
    let (shelf, now) = (Shelf::load(folder.path()).expect("a shelf"), Instant::now());
    let left = |id: u64| shelf.jobs[&JobId(id)].stop_by.map(|by| ((by - now).as_secs_f64() / 60.0).round());
    assert_eq!([1, 2, 3, 4].map(left), [None, Some(100.0), Some(40.0), Some(100.0)]);
}
