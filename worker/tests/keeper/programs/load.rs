//! Many commands.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use worker::process::event::{ExitStatus, KeeperEvent};
use worker::process::output::{Limits, OutputPipe};
use worker::process::procfs::children;
use worker::process::spawner::Passed;

use crate::engine::{Engine, command};

pub async fn full_socket_blocks_nobody(mut engine: Engine) -> u8 {
    const MANY: usize = 1000;
    kill(engine.keeper, Signal::SIGSTOP).unwrap();
    let long = "x".repeat(2000);
    for _ in 0..MANY {
        engine.start(&command("true", &[&long]), vec![]);
    }
    kill(engine.keeper, Signal::SIGCONT).unwrap();
    let mut ended = 0;
    while ended < MANY {
        match engine.next().await {
            KeeperEvent::Exited { exit, .. } if exit.status == ExitStatus::Code(0) => ended += 1,
            KeeperEvent::Spawned { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    0
}

pub async fn two_thousand_commands_leave_no_trace(mut engine: Engine) -> u8 {
    let descriptors = |pid: Pid| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    engine.run(&command("true", &[]), vec![]).await;
    let before = (descriptors(engine.keeper), descriptors(Pid::this()));
    let run = |engine: &Engine| {
        let (stdout, end) = OutputPipe::new(Limits::default()).unwrap();
        (engine.start(&command("true", &[]), vec![Passed { fd: end, number: 1 }]), stdout)
    };
    let mut running = vec![run(&engine), run(&engine)];
    let mut ended = 0;
    while !running.is_empty() {
        match engine.next().await {
            KeeperEvent::Spawned { .. } => {}
            KeeperEvent::Exited { ticket, .. } => {
                running.retain(|(running, _)| *running != ticket);
                ended += 1;
                if ended <= 1998 {
                    running.push(run(&engine));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ended, 2000);
    assert_eq!((descriptors(engine.keeper), descriptors(Pid::this())), before);
    assert_eq!(children(engine.keeper), [Pid::this()]);
    0
}
