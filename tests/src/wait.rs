//! Waiting for what gives no notice of itself: a file, a process that is gone.

use std::time::{Duration, Instant};

use crate::{Ended, Program, program::PATIENCE};

/// How often it is looked at. Only the answer counts, never how long it took.
const GLANCE: Duration = Duration::from_millis(5);

/// Waits until `is_so`, at most for `patience`; then fails with what `or` says.
#[track_caller]
pub fn until(patience: Duration, mut is_so: impl FnMut() -> bool, or: impl FnOnce() -> String) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", or());
        std::thread::sleep(GLANCE);
    }
}

/// Submits a job, again while another one writes its checkpoint still; how it ended then.
#[track_caller]
pub fn once_free(submit: impl Fn() -> Program) -> Ended {
    let mut ended = submit().wait();
    let is_free = || {
        let in_use = ended.code() == 3 && ended.stderr.contains("in use");
        if in_use {
            ended = submit().wait();
        }
        !in_use
    };
    until(PATIENCE, is_free, || "the job before does not end, its checkpoint stays in use".to_owned());
    ended
}
