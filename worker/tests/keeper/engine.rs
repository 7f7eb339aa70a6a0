//! What the programs under test have in common: a runtime, a spawner, events with a deadline.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::unistd::Pid;
use worker::process::event::{Exit, ExitStatus, KeeperEvent, Ticket};
use worker::process::keeper::EngineEnd;
use worker::process::output::{Limits, OutputPipe};
use worker::process::spawner::{KeeperEvents, Passed, SpawnRequest, Spawner};

use crate::run::LIFELINE;

const DEADLINE: Duration = Duration::from_secs(20);

pub struct Engine {
    pub spawner: Spawner,
    pub keeper: Pid,
    events: KeeperEvents,
}

impl Engine {
    pub fn new(end: EngineEnd) -> Self {
        let keeper = end.keeper;
        let (spawner, events) = Spawner::new(end).unwrap();
        Self { spawner, keeper, events }
    }

    pub async fn next(&mut self) -> KeeperEvent {
        let event = tokio::time::timeout(DEADLINE, self.events.next()).await;
        event.expect("the keeper says nothing").expect("the keeper was lost before")
    }

    /// The next event must be the start of this one.
    pub async fn spawned(&mut self, wanted: Ticket) -> Pid {
        match self.next().await {
            KeeperEvent::Spawned { ticket, pid } if ticket == wanted => pid,
            other => panic!("expected the start of {wanted:?}, got {other:?}"),
        }
    }

    /// The next event must be the end of this one.
    pub async fn exited(&mut self, wanted: Ticket) -> Exit {
        match self.next().await {
            KeeperEvent::Exited { ticket, exit, .. } if ticket == wanted => exit,
            other => panic!("expected the end of {wanted:?}, got {other:?}"),
        }
    }

    /// The next event must be the failure to start this one; its text.
    pub async fn refused(&mut self, wanted: Ticket) -> String {
        match self.next().await {
            KeeperEvent::SpawnFailed { ticket, failure } if ticket == wanted => failure.to_string(),
            other => panic!("expected that {wanted:?} fails, got {other:?}"),
        }
    }

    pub fn start(&self, request: &SpawnRequest, passed: Vec<Passed>) -> Ticket {
        self.spawner.spawn(request, passed).unwrap()
    }

    /// Runs a program to its end.
    pub async fn run(&mut self, request: &SpawnRequest, passed: Vec<Passed>) -> Exit {
        let ticket = self.start(request, passed);
        self.spawned(ticket).await;
        self.exited(ticket).await
    }

    /// What a program that must succeed writes to stdout.
    pub async fn output(&mut self, request: &SpawnRequest, mut passed: Vec<Passed>) -> String {
        let (mut stdout, end) = OutputPipe::new(Limits::default()).unwrap();
        passed.push(Passed { fd: end, number: 1 });
        assert_eq!(self.run(request, passed).await.status, ExitStatus::Code(0), "{request:?}");
        String::from_utf8(stdout.take().unwrap().head).unwrap()
    }

    /// Closes the engine's end of the connection.
    pub fn hang_up(self) {}
}

pub fn command(program: &str, arguments: &[&str]) -> SpawnRequest {
    let arguments = arguments.iter().map(Into::into).collect();
    SpawnRequest { program: program.into(), arguments, ..SpawnRequest::default() }
}

pub fn shell(script: &str) -> SpawnRequest {
    command("sh", &["-c", script])
}

/// The lifeline's writing end, as number 9 of a child.
pub fn lifeline() -> Vec<Passed> {
    let number = std::env::var(LIFELINE).unwrap();
    let file = File::options().write(true).open(format!("/proc/self/fd/{number}")).unwrap();
    vec![Passed { fd: OwnedFd::from(file), number: 9 }]
}

/// A script that leaves a daemon behind: forked twice, in a session that has lost its leader, with an empty
/// environment. It says `up` on descriptor 9. The script goes on once it has left the
/// script's process group.
pub fn leaving_a_daemon(then: &str) -> SpawnRequest {
    shell(&format!("env -i setsid sh -c '(echo up >&9; exec sleep 1000) &'; {then}"))
}

/// Reads until nobody holds the other end.
pub async fn closed(pipe: &mut OutputPipe) {
    let followed = tokio::time::timeout(DEADLINE, pipe.follow()).await;
    followed.expect("somebody still holds the pipe").unwrap();
}
