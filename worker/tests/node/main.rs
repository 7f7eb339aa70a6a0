//! A real node with real processes, and a coordinator made of a script. Each test runs this very program again: there
//! it splits off a keeper, runs a node on the main thread, and the script on another one, by way of a door.
//!
//! Nothing here waits for time; every wait has a deadline.

#![expect(clippy::unwrap_used, reason = "a test, which clippy does not see without the usual harness")]

mod coordinator;
mod preload;
mod scripts;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, ExitCode},
    time::Duration,
};

use shared::{door::door, endpoint::Endpoint, supervision};
use worker::{Config, Keeping, Node, process::keeper::split};

/// Which script this is to run.
const ROLE: &str = "MANIPLE_TEST_ROLE";

/// No run takes this long unless something is broken.
const DEADLINE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match std::env::var(ROLE) {
        Ok(role) => under_test(&role),
        Err(_) => run_tests(),
    }
}

fn all() -> impl Iterator<Item = &'static scripts::Script> {
    scripts::ALL.iter().chain(preload::ALL)
}

/// What the standard harness does, one test after the other. Arguments that are no options filter by name.
fn run_tests() -> ExitCode {
    let filters: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let mut failed = Vec::new();
    let mut passed = 0;
    for script in all().filter(|script| wanted(script.name)) {
        let program = std::env::current_exe().unwrap();
        let run = Command::new(program)
            .env(ROLE, script.name)
            .env("MANIPLE_INJECT", script.faults)
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&run.stderr);
        let panicked = script.faults.split([':', '@', ',']).filter(|part| scripts::ACTORS.contains(part));
        let panicked =
            panicked.map(|actor| format!("injected at {actor}")).all(|text| stderr.contains(&text));
        let is_right = run.status.code() == Some(script.code) && panicked;
        println!("test {} ... {}", script.name, if is_right { "ok" } else { "FAILED" });
        if is_right {
            passed += 1;
        } else {
            println!("{}, expected code {}; stderr:\n{stderr}", run.status, script.code);
            failed.push(script.name);
        }
    }
    println!("\n{passed} passed; {} failed {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn under_test(role: &str) -> ExitCode {
    let end = split().unwrap();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::DEBUG).init();
    let script = all().find(|script| script.name == role).expect("a script of this name");
    let (door, doorway) = door();
    let keeper = end.keeper;
    let script_ends = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let steps = (script.steps)(coordinator::Coordinator::new(doorway, keeper));
        let ended = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async { tokio::time::timeout(DEADLINE, steps).await })
        }));
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(_)) => fail("the script took too long"),
            Err(_) => fail("the script failed"),
        }
        // The node has been asked to end by now.
        std::thread::spawn(|| {
            std::thread::sleep(DEADLINE);
            fail("the node does not end");
        });
    });
    let code = supervision::run("node", |_| {
        Node::new(Config {
            slots: script.slots,
            endpoint: Endpoint::Door(door),
            python: None,
            grace: Duration::from_secs(5),
            alarms: None,
            keeping: Keeping::new(end).unwrap(),
        })
    });
    // It may not have heard the node's last words yet.
    script_ends.join().expect("a script that fails ends the program");
    ExitCode::from(code as u8)
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(101)
}
