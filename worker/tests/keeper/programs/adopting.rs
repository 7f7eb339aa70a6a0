//! Processes that another child forked, and that the keeper takes over.

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use worker::process::event::{ExitStatus, Ticket};
use worker::process::output::{Limits, OutputPipe};
use worker::process::procfs::Process;
use worker::process::spawner::{Passed, SpawnRequest};

use crate::engine::{Engine, closed, lifeline, shell};

/// Has somebody fork another, which says its pid from a session of its own; then its parent ends.
async fn stray(engine: &mut Engine, then: &str, passed: Vec<Passed>) -> Process {
    let said = "echo $$; exec </dev/null >/dev/null";
    let script = shell(&format!("{{ setsid sh -c '{said}; {then}' & }} | {{ read pid; echo $pid; }}"));
    let script = SpawnRequest { leaves_strays: true, ..script };
    let said = engine.output(&script, passed).await;
    Process::find(Pid::from_raw(said.trim().parse().unwrap())).expect("it waits")
}

async fn adopted(engine: &mut Engine, process: Process) -> Ticket {
    let ticket = engine.spawner.adopt(process).unwrap();
    assert_eq!(engine.spawned(ticket).await, process.pid);
    ticket
}

pub async fn a_process_of_another_is_taken_over(mut engine: Engine) -> u8 {
    let process = stray(&mut engine, "exec sleep 1000", vec![]).await;
    let ticket = adopted(&mut engine, process).await;
    engine.spawner.kill(ticket, Signal::SIGTERM, false).unwrap();
    assert_eq!(engine.exited(ticket).await.status, ExitStatus::Signal { number: 15, core_dumped: false });
    let (mut pipe, end) = OutputPipe::new(Limits::default()).unwrap();
    let passed = vec![Passed { fd: end, number: 9 }];
    let process = stray(&mut engine, "setsid sleep 1000 & exec sleep 1000", passed).await;
    let ticket = adopted(&mut engine, process).await;
    engine.spawner.kill_tree(ticket).unwrap();
    assert_eq!(engine.exited(ticket).await.status, ExitStatus::Signal { number: 9, core_dumped: false });
    closed(&mut pipe).await;
    0
}

pub async fn only_a_living_child_is_taken_over(mut engine: Engine) -> u8 {
    let ours = engine.start(&shell("exec sleep 1000"), vec![]);
    let pid = engine.spawned(ours).await;
    let process = Process::find(pid).unwrap();
    let stray = stray(&mut engine, "exec sleep 1000", vec![]).await;
    let another = Process::new(stray.pid, stray.started() + 1);
    let engines = Process::find(Pid::this()).unwrap();
    let nobodys = Process::find(Pid::from_raw(1)).unwrap();
    for wrong in [process, another, engines, nobodys] {
        let ticket = engine.spawner.adopt(wrong).unwrap();
        let why = format!("cannot start \"process {}\": it ended before it was taken over", wrong.pid);
        assert_eq!(engine.refused(ticket).await, why);
    }
    adopted(&mut engine, stray).await;
    0
}

pub async fn one_that_was_taken_over_ends_with_all(mut engine: Engine) -> u8 {
    let process = stray(&mut engine, "trap \"\" TERM; exec sleep 1000", lifeline()).await;
    adopted(&mut engine, process).await;
    0
}
