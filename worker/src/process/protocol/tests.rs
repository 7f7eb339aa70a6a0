//! Everything that can be said is understood; nothing that cannot be is.

use std::collections::VecDeque;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::*;
use crate::process::event::{Exit, ExitStatus, KeeperEvent, SpawnFailure, SpawnStage, Ticket};

fn strings(all: &[&str]) -> Strings {
    let mut strings = Strings::default();
    all.iter().for_each(|string| strings.push(&[OsStr::new(string)]).unwrap());
    strings
}

fn requests() -> Vec<Request> {
    let order = Order {
        ticket: u64::MAX,
        lane: Some(u16::MAX),
        program: c"tool".into(),
        arguments: strings(&["tool", "", "two words"]),
        extra_environment: strings(&["A=b"]),
        directory: Some(c"/tmp".into()),
        targets: vec![1, 31],
    };
    vec![
        Request::BaseEnvironment(strings(&["A=", "B=2"])),
        Request::Spawn(order),
        Request::Spawn(Order { program: c"/bin/true".into(), ..Order::default() }),
        Request::Adopt { ticket: 6, pid: -1, started: u64::MAX },
        Request::Withdraw { ticket: 2 },
        Request::Kill { ticket: 3, signal: Signal::SIGTERM, group: true },
        Request::Kill { ticket: 4, signal: Signal::SIGKILL, group: false },
        Request::KillTree { ticket: 5 },
        Request::EndAll,
    ]
}

fn events() -> Vec<KeeperEvent> {
    let (ticket, pid) = (Ticket(u64::MAX), Pid::from_raw(i32::MAX));
    let exited = |status| {
        let exit =
            Exit { status, max_rss: 1 << 40, user: Duration::from_micros(1), system: Duration::from_secs(9) };
        KeeperEvent::Exited { ticket, pid, exit }
    };
    let (program, place) = ("tool".to_owned(), "/bin:/usr/bin".to_owned());
    let failure = SpawnFailure { stage: SpawnStage::Ending, program, place, errno: Errno::ENOENT };
    vec![
        KeeperEvent::Spawned { ticket, pid },
        KeeperEvent::SpawnFailed { ticket, failure },
        exited(ExitStatus::Code(255)),
        exited(ExitStatus::Signal { number: 34, core_dumped: false }),
        exited(ExitStatus::Signal { number: 11, core_dumped: true }),
        KeeperEvent::Signal(Signal::SIGHUP),
        KeeperEvent::AllEnded { left: 2 },
    ]
}

#[test]
fn requests_arrive_as_sent() {
    for request in requests() {
        assert_eq!(Request::decode(&request.encode()).unwrap(), request);
    }
}

#[test]
fn events_share_a_message_and_arrive_as_sent() {
    let mut message = Vec::new();
    events().iter().for_each(|event| encode_event(event, &mut message));
    let mut received = VecDeque::new();
    decode_events(&message, &mut received).unwrap();
    assert_eq!(received, events());
}

#[test]
fn a_cut_message_is_refused() {
    for request in requests() {
        let message = request.encode();
        assert!((0..message.len()).all(|length| Request::decode(&message[..length]).is_err()), "{request:?}");
    }
    for event in events() {
        let mut message = Vec::new();
        encode_event(&event, &mut message);
        let refused = |length| decode_events(&message[..length], &mut VecDeque::new()).is_err();
        assert!((1..message.len()).all(refused), "{event:?}");
    }
}

#[test]
fn strings_come_apart_as_they_were_put_together() {
    let list = strings(&["a", "", "b c"]);
    assert_eq!(list.iter().collect::<Vec<_>>(), [c"a", c"", c"b c"]);
    let refusal = Strings::default().push(&[OsStr::new("a\0b")]).unwrap_err();
    assert_eq!(refusal.to_string(), r#""a\0b" contains a NUL byte; no program can be given that"#);
}
