//! Any bytes as what a peer sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maniple_tests::fuzzing::received(bytes));
