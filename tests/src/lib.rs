//! The harness of the end-to-end and fault tests: the real binary, real processes, real files.
//!
//! - [`binary`]: the `maniple` under test - [`scratch`]: a folder of a test's own, and what runs in it
//! - [`program`]: a started process, waited for with a bound - [`outcomes`]: what a checkpoint holds
//! - [`leftovers`]: processes that a test has left behind - [`wait`]: for what gives no notice
//! - [`network`]: machines of their own - [`units`]: the command lines of the systemd units
//! - [`disk`]: disks of its own - [`control_group`]: a cap on processes, little memory - [`s3`]: an object store - [`strace`]: storage that fails - [`skip`]: saying what this machine cannot check
//! - [`fuzzing`]: what must hold of any bytes, for fuzzers and without them - [`chaos`]: faults at random
//! - [`kills`]: `kill -9` of any one process - [`dice`]: randomness by a seed
//!
//! Nothing here sleeps to wait for something to happen: it waits for the event, and fails with what was seen.

pub mod binary;
pub mod chaos;
pub mod control_group;
pub mod dice;
pub mod disk;
pub mod fuzzing;
pub mod kills;
pub mod leftovers;
pub mod network;
pub mod outcomes;
pub mod program;
pub mod s3;
pub mod scratch;
pub mod skip;
pub mod strace;
pub mod units;
pub mod wait;

pub use network::Network;
pub use outcomes::{Outcomes, outcomes};
pub use program::{Ended, Program};
pub use scratch::Scratch;
