//! What fuzzers look for: properties of whatever bytes lie in a checkpoint or come from a peer.
//!
//! Each target of `fuzz/` is one function here, so that `tests/tests/fuzz_corpus.rs` holds its corpus, and what was
//! found before, to the same without a fuzzer. A property that does not hold is a panic.
//!
//! - [`reading`]: every way of reading a checkpoint - [`seal`]: makes checksums right, to come past them
//! - [`rows`]: rows are written and come back - [`wire`]: frames and messages of a connection

use std::path::PathBuf;

mod reading;
mod rows;
mod seal;
mod wire;

pub use reading::read;
pub use rows::written_and_read;
pub use seal::seal;
pub use wire::received;

/// A function that a fuzzer calls with its bytes.
pub type Target = fn(&[u8]);

/// The targets by name, as in `fuzz/fuzz_targets` and `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 4] =
    [("file", read), ("sealed", sealed), ("rows", written_and_read), ("wire", received)];

/// Reads a checkpoint whose checksums were made right first, and its journal's.
pub fn sealed(bytes: &[u8]) {
    let (main, journal) = reading::parts(bytes);
    let mut sealed = seal(main);
    sealed.extend(journal.map(seal).unwrap_or_default());
    read(&sealed);
}

/// Where the corpora and findings lie.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}
