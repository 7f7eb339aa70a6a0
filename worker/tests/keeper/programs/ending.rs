//! How children end, by themselves and otherwise.

use std::fs::File;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe};
use worker::process::event::{ExitStatus, KeeperEvent, Ticket};
use worker::process::output::{Limits, OutputPipe};
use worker::process::procfs::children;
use worker::process::spawner::Passed;

use crate::engine::{Engine, closed, command, leaving_a_daemon, shell};
use crate::run::line;

/// A pipe on which a child says with its descriptor 9 that it is there.
fn ready() -> (File, Vec<Passed>) {
    let (up, fd) = pipe().unwrap();
    (up.into(), vec![Passed { fd, number: 9 }])
}

pub async fn ends_are_told_with_what_was_used(mut engine: Engine) -> u8 {
    let killed = |number| ExitStatus::Signal { number, core_dumped: false };
    assert_eq!(engine.run(&shell("exit 7"), vec![]).await.status, ExitStatus::Code(7));
    assert_eq!(engine.run(&shell("kill -KILL $$"), vec![]).await.status, killed(9));
    assert_eq!(engine.run(&shell("kill -40 $$"), vec![]).await.status, killed(40));
    let exit =
        engine.run(&command("dd", &["if=/dev/zero", "of=/dev/null", "bs=50M", "count=9"]), vec![]).await;
    assert!((50 << 20..200 << 20).contains(&exit.max_rss), "{exit:?}");
    assert!((1..10_000_000).contains(&(exit.user + exit.system).as_micros()), "{exit:?}");
    0
}

pub async fn kills_reach_process_group_or_tree(mut engine: Engine) -> u8 {
    let killed = |number| ExitStatus::Signal { number, core_dumped: false };
    let ticket = engine.start(&command("sleep", &["1000"]), vec![]);
    engine.spawned(ticket).await;
    engine.spawner.kill(ticket, Signal::SIGTERM, false).unwrap();
    assert_eq!(engine.exited(ticket).await.status, killed(15));
    engine.spawner.kill(ticket, Signal::SIGTERM, false).unwrap();

    // The leader outlives the signal and ends as its child did.
    let (up, passed) = ready();
    let child = "sh -c 'echo up >&9; exec sleep 1000'";
    let ticket = engine.start(&shell(&format!("trap : USR1; {child} & wait $!; wait $!; exit $?")), passed);
    engine.spawned(ticket).await;
    assert_eq!(line(&up), "up\n");
    engine.spawner.kill(ticket, Signal::SIGUSR1, true).unwrap();
    assert_eq!(engine.exited(ticket).await.status, ExitStatus::Code(128 + Signal::SIGUSR1 as i32));

    let (mut held, end) = OutputPipe::new(Limits::default()).unwrap();
    let (up, mut passed) = ready();
    passed.push(Passed { fd: end, number: 8 });
    let ticket = engine.start(&shell(&format!("setsid {child} & wait")), passed);
    engine.spawned(ticket).await;
    assert_eq!(line(&up), "up\n");
    engine.spawner.kill_tree(ticket).unwrap();
    assert_eq!(engine.exited(ticket).await.status, killed(9));
    closed(&mut held).await;
    0
}

pub async fn group_ends_with_its_leader(mut engine: Engine) -> u8 {
    let (mut held, end) = OutputPipe::new(Limits::default()).unwrap();
    let exit = engine
        .run(&shell("trap '' TERM HUP; sleep 1000 & exit 3"), vec![Passed { fd: end, number: 8 }])
        .await;
    assert_eq!(exit.status, ExitStatus::Code(3));
    closed(&mut held).await;
    0
}

pub async fn end_all_leaves_nobody(mut engine: Engine) -> u8 {
    let (mut held, end) = OutputPipe::new(Limits::default()).unwrap();
    let (up, mut passed) = ready();
    passed.push(Passed { fd: end, number: 8 });
    let daemon = engine.start(&leaving_a_daemon("exit 0"), passed);
    engine.spawned(daemon).await;
    engine.exited(daemon).await;
    assert_eq!(line(&up), "up\n");
    let sleepers: Vec<Ticket> = (0..5).map(|_| engine.start(&command("sleep", &["1000"]), vec![])).collect();
    for ticket in &sleepers {
        engine.spawned(*ticket).await;
    }
    engine.spawner.end_all().unwrap();
    for _ in &sleepers {
        let KeeperEvent::Exited { ticket, exit, .. } = engine.next().await else { panic!("no end was told") };
        assert!(
            sleepers.contains(&ticket) && exit.status == ExitStatus::Signal { number: 9, core_dumped: false }
        );
    }
    assert_eq!(engine.next().await, KeeperEvent::AllEnded { left: 0 });
    assert_eq!(children(engine.keeper), [Pid::this()]);
    closed(&mut held).await;
    // And it goes on.
    engine.spawner.end_all().unwrap();
    assert_eq!(engine.next().await, KeeperEvent::AllEnded { left: 0 });
    assert_eq!(engine.run(&shell("exit 1"), vec![]).await.status, ExitStatus::Code(1));
    0
}

pub async fn nothing_is_spawned_while_all_is_ended(mut engine: Engine) -> u8 {
    kill(engine.keeper, Signal::SIGSTOP).unwrap();
    engine.spawner.end_all().unwrap();
    let ticket = engine.start(&command("true", &[]), vec![]);
    kill(engine.keeper, Signal::SIGCONT).unwrap();
    assert_eq!(engine.refused(ticket).await, "cannot start \"true\": everything is being ended");
    assert_eq!(engine.next().await, KeeperEvent::AllEnded { left: 0 });
    0
}
