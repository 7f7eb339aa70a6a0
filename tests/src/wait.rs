//! Waiting for what gives no notice of itself: a file, a process that is gone.

use std::time::{Duration, Instant};

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
