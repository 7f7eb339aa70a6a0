//! Rows of any form are written and come back.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maniple_tests::fuzzing::written_and_read(bytes));
