//! The keeper with real processes. Each test runs this very program again as the program under test (`programs`),
//! which splits first thing in its main, and judges it from outside: exit code, stderr, and a *lifeline*, a pipe whose
//! end of file says that nobody who held it is left. Nothing here waits for time; every wait has a deadline.

#![expect(clippy::unwrap_used, reason = "a test, which clippy does not see without the usual harness")]

mod engine;
mod from_outside;
mod programs;
mod run;

use std::panic::catch_unwind;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::var(run::ROLE) {
        Ok(role) => programs::main(&role),
        Err(_) => run_tests(),
    }
}

/// What the standard harness does, one test after the other. Arguments that are no options filter by name.
fn run_tests() -> ExitCode {
    let filters: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let inside = programs::ALL.iter().map(|(name, _)| (*name, None));
    let outside = from_outside::ALL.iter().map(|(name, test)| (*name, Some(test)));
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, test) in inside.chain(outside).filter(|(name, _)| wanted(name)) {
        let ended = catch_unwind(|| test.map_or_else(|| run::passes(name), |test| test()));
        println!("test {name} ... {}", if ended.is_ok() { "ok" } else { "FAILED" });
        match ended {
            Ok(()) => passed += 1,
            Err(_) => failed.push(name),
        }
    }
    println!("\n{passed} passed; {} failed {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
