//! The same after checksums and lengths were made right, so that it comes past them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maniple_tests::fuzzing::sealed(bytes));
