//! Any bytes as a checkpoint, and as its journal behind a second magic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maniple_tests::fuzzing::read(bytes));
