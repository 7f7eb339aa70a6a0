//! What this machine cannot check is said by name: `make test` prints it in its last lines.

use std::io::Write;

/// Notes that something was not checked, and why.
pub fn not_checked(what: &str, why: &str) {
    let path = crate::binary::root().join("target/skipped");
    let mut file =
        std::fs::OpenOptions::new().create(true).append(true).open(path).expect("target is writable");
    writeln!(file, "{what}: {why}").expect("target is writable");
}
