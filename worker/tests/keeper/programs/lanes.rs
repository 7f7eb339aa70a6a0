//! Processes that wait for their turn.

use nix::sys::signal::Signal;
use worker::process::event::{ExitStatus, KeeperEvent};
use worker::process::spawner::SpawnRequest;

use crate::engine::{Engine, command};

fn in_lane(lane: u16, request: SpawnRequest) -> SpawnRequest {
    SpawnRequest { lane: Some(lane), ..request }
}

fn sleeper(lane: u16) -> SpawnRequest {
    in_lane(lane, command("sleep", &["1000"]))
}

/// A short one of another lane comes and goes: what was asked for before is served.
async fn served(engine: &mut Engine) {
    engine.run(&in_lane(9, command("true", &[])), vec![]).await;
}

pub async fn a_lane_runs_one_after_the_other(mut engine: Engine) -> u8 {
    let [first, second, third] = [0; 3].map(|_| engine.start(&sleeper(1), vec![]));
    let other = engine.start(&sleeper(2), vec![]);
    engine.spawned(first).await;
    engine.spawned(other).await;
    served(&mut engine).await;
    for (ends, begins) in [(first, second), (second, third)] {
        engine.spawner.kill(ends, Signal::SIGTERM, false).unwrap();
        engine.exited(ends).await;
        engine.spawned(begins).await;
    }
    for ends in [third, other] {
        engine.spawner.kill_tree(ends).unwrap();
        engine.exited(ends).await;
    }
    engine.run(&in_lane(1, command("true", &[])), vec![]).await;
    0
}

pub async fn what_waits_can_be_taken_back(mut engine: Engine) -> u8 {
    let [first, second, third, last] = [1; 4].map(|lane| engine.start(&sleeper(lane), vec![]));
    engine.spawned(first).await;
    engine.spawner.withdraw(third).unwrap();
    assert_eq!(engine.refused(third).await, "cannot start \"sleep\": it was taken back");
    engine.spawner.kill_tree(second).unwrap();
    assert_eq!(engine.refused(second).await, "cannot start \"sleep\": it was taken back");
    // One that has begun goes on.
    engine.spawner.withdraw(first).unwrap();
    served(&mut engine).await;
    engine.spawner.kill(first, Signal::SIGTERM, false).unwrap();
    let exit = engine.exited(first).await;
    assert_eq!(exit.status, ExitStatus::Signal { number: 15, core_dumped: false });
    engine.spawned(last).await;
    0
}

pub async fn what_cannot_be_started_holds_nobody_up(mut engine: Engine) -> u8 {
    let first = engine.start(&sleeper(1), vec![]);
    let broken = engine.start(&in_lane(1, command("/no/such/program", &[])), vec![]);
    let last = engine.start(&sleeper(1), vec![]);
    engine.spawned(first).await;
    engine.spawner.kill(first, Signal::SIGTERM, false).unwrap();
    engine.exited(first).await;
    assert!(engine.refused(broken).await.contains("No such file"));
    engine.spawned(last).await;
    0
}

pub async fn what_waits_ends_with_all(mut engine: Engine) -> u8 {
    let [first, second] = [1; 2].map(|lane| engine.start(&sleeper(lane), vec![]));
    engine.spawned(first).await;
    engine.spawner.end_all().unwrap();
    assert_eq!(engine.refused(second).await, "cannot start \"sleep\": everything is being ended");
    engine.exited(first).await;
    assert_eq!(engine.next().await, KeeperEvent::AllEnded { left: 0 });
    engine.run(&in_lane(1, command("true", &[])), vec![]).await;
    0
}
