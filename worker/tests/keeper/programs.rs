//! The programs under test. Those in `ALL` are tests by themselves: they check and end with 0.

mod adopting;
mod ending;
mod lanes;
mod load;
mod making;

use std::pin::Pin;
use std::process::ExitCode;

use nix::unistd::Pid;
use worker::process::event::KeeperEvent;
use worker::process::keeper::split;

use self::adopting::*;
use self::ending::*;
use self::lanes::*;
use self::load::*;
use self::making::*;
use crate::engine::{Engine, command, leaving_a_daemon, lifeline, shell};

type Program = fn(Engine) -> Pin<Box<dyn Future<Output = u8>>>;

/// Names programs and boxes their futures.
macro_rules! programs {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |engine| Box::pin($name(engine)))),*] };
}

pub const ALL: &[(&str, Program)] = programs![
    ends_are_told_with_what_was_used,
    streams_and_descriptors_arrive_under_their_numbers,
    children_inherit_nothing_else,
    failures_name_program_and_reason,
    environment_and_directory_are_set,
    long_commands_travel,
    kills_reach_process_group_or_tree,
    group_ends_with_its_leader,
    a_process_of_another_is_taken_over,
    only_a_living_child_is_taken_over,
    one_that_was_taken_over_ends_with_all,
    end_all_leaves_nobody,
    nothing_is_spawned_while_all_is_ended,
    a_lane_runs_one_after_the_other,
    what_waits_can_be_taken_back,
    what_cannot_be_started_holds_nobody_up,
    what_waits_ends_with_all,
    full_socket_blocks_nobody,
    two_thousand_commands_leave_no_trace,
    split_refuses_a_second_thread,
];

const OTHERS: &[(&str, Program)] = programs![
    program_exits_42,
    program_keeps_a_daemon,
    program_waits_until_lost,
    program_reports_signals,
    program_hangs_up,
];

pub fn main(role: &str) -> ExitCode {
    if role == "split_refuses_a_second_thread" {
        refuse_to_split();
    }
    let end = split().expect("the test could not split");
    let (_, program) = ALL.iter().chain(OTHERS).find(|(name, _)| *name == role).expect("no such program");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    ExitCode::from(runtime.block_on(async { program(Engine::new(end)).await }))
}

fn refuse_to_split() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    assert!(split().is_err_and(|error| error.to_string().starts_with("2 threads run already")));
    drop(stop);
    let _ = thread.join().unwrap();
}

/// After the refusal, alone again, it works.
async fn split_refuses_a_second_thread(mut engine: Engine) -> u8 {
    engine.run(&command("true", &[]), vec![]).await;
    0
}

async fn program_exits_42(mut engine: Engine) -> u8 {
    engine.run(&command("true", &[]), vec![]).await;
    42
}

/// A task that is done but has left a daemon, and one that runs.
async fn keep_a_daemon(engine: &mut Engine) {
    println!("engine {}", Pid::this());
    let done = engine.start(&leaving_a_daemon("exit 0"), lifeline());
    engine.spawned(done).await;
    engine.exited(done).await;
    let runs = engine.start(&shell("trap '' TERM HUP; sleep 1000 & wait"), lifeline());
    engine.spawned(runs).await;
    println!("started");
}

async fn program_keeps_a_daemon(mut engine: Engine) -> u8 {
    keep_a_daemon(&mut engine).await;
    std::future::pending().await
}

async fn program_waits_until_lost(mut engine: Engine) -> u8 {
    println!("engine {}", Pid::this());
    let runs = engine.start(&shell("echo up >&9; exec sleep 1000"), lifeline());
    engine.spawned(runs).await;
    println!("started");
    assert_eq!(engine.next().await, KeeperEvent::Lost);
    assert!(engine.spawner.end_all().is_err());
    println!("lost");
    0
}

async fn program_reports_signals(mut engine: Engine) -> u8 {
    println!("engine {}", Pid::this());
    loop {
        let KeeperEvent::Signal(signal) = engine.next().await else { panic!("something else than a signal") };
        println!("{signal}");
        if signal == nix::sys::signal::Signal::SIGTERM {
            return 143;
        }
    }
}

async fn program_hangs_up(mut engine: Engine) -> u8 {
    keep_a_daemon(&mut engine).await;
    assert_eq!(engine.next().await, KeeperEvent::Signal(nix::sys::signal::Signal::SIGINT));
    let keeper = engine.keeper;
    engine.hang_up();
    // The keeper waits for us, without other children.
    while worker::process::procfs::children(keeper) != [Pid::this()] {
        assert_eq!(nix::unistd::getppid(), keeper, "the keeper died");
        std::thread::yield_now();
    }
    println!("hung up");
    5
}
