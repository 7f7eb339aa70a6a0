//! The bytes of what the keeper tells the engine. Events are self-delimiting, so several share a message.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{Reader, Writer, signed, unreadable};
use crate::process::event::{Exit, ExitStatus, KeeperEvent, SpawnFailure, SpawnStage, Ticket};

const SPAWNED: u8 = 1;
const SPAWN_FAILED: u8 = 2;
const EXITED: u8 = 3;
const SIGNAL: u8 = 4;
const ALL_ENDED: u8 = 5;

const CODE: u8 = 0;
const SIGNALLED: u8 = 1;
const DUMPED: u8 = 2;

/// Every stage, at the index that stands for it on the socket.
const STAGES: [SpawnStage; 10] = [
    SpawnStage::Search,
    SpawnStage::Clone,
    SpawnStage::Session,
    SpawnStage::DeathSignal,
    SpawnStage::Directory,
    SpawnStage::Descriptors,
    SpawnStage::Execute,
    SpawnStage::Ending,
    SpawnStage::Withdrawn,
    SpawnStage::Adoption,
];

/// Appends an event to a message.
pub(in crate::process) fn encode_event(event: &KeeperEvent, message: &mut Vec<u8>) {
    let mut out = Writer(std::mem::take(message));
    match event {
        KeeperEvent::Spawned { ticket, pid } => {
            out.byte(SPAWNED);
            out.integer(ticket.0);
            signed(&mut out, pid.as_raw());
        }
        KeeperEvent::SpawnFailed { ticket, failure } => {
            out.byte(SPAWN_FAILED);
            out.integer(ticket.0);
            let stage =
                STAGES.iter().position(|stage| *stage == failure.stage).expect("every stage is listed");
            out.byte(u8::try_from(stage).expect("there are few stages"));
            out.bytes(failure.program.as_bytes());
            out.bytes(failure.place.as_bytes());
            signed(&mut out, failure.errno as i32);
        }
        KeeperEvent::Exited { ticket, pid, exit } => {
            out.byte(EXITED);
            out.integer(ticket.0);
            signed(&mut out, pid.as_raw());
            let (kind, number) = match exit.status {
                ExitStatus::Code(code) => (CODE, code),
                ExitStatus::Signal { number, core_dumped: false } => (SIGNALLED, number),
                ExitStatus::Signal { number, core_dumped: true } => (DUMPED, number),
            };
            out.byte(kind);
            signed(&mut out, number);
            out.integer(exit.max_rss);
            out.integer(exit.user.as_micros() as u64);
            out.integer(exit.system.as_micros() as u64);
        }
        KeeperEvent::Signal(signal) => {
            out.byte(SIGNAL);
            out.byte(*signal as u8);
        }
        KeeperEvent::AllEnded { left } => {
            out.byte(ALL_ENDED);
            out.integer(u64::from(*left));
        }
        // Never sent: it is what the engine concludes from the end of the connection.
        KeeperEvent::Lost => {}
    }
    *message = out.0;
}

/// Appends a message's events to `events`.
pub(in crate::process) fn decode_events(
    message: &[u8],
    events: &mut std::collections::VecDeque<KeeperEvent>,
) -> io::Result<()> {
    let mut from = Reader(message);
    while !from.0.is_empty() {
        events.push_back(decode_event(&mut from)?);
    }
    Ok(())
}

fn decode_event(from: &mut Reader<'_>) -> io::Result<KeeperEvent> {
    Ok(match from.byte()? {
        SPAWNED => {
            KeeperEvent::Spawned { ticket: Ticket(from.integer()?), pid: Pid::from_raw(from.signed()?) }
        }
        SPAWN_FAILED => KeeperEvent::SpawnFailed {
            ticket: Ticket(from.integer()?),
            failure: SpawnFailure {
                stage: *STAGES.get(usize::from(from.byte()?)).ok_or_else(unreadable)?,
                program: from.text()?,
                place: from.text()?,
                errno: Errno::from_raw(from.signed()?),
            },
        },
        EXITED => KeeperEvent::Exited {
            ticket: Ticket(from.integer()?),
            pid: Pid::from_raw(from.signed()?),
            exit: Exit {
                status: match (from.byte()?, from.signed()?) {
                    (CODE, code) => ExitStatus::Code(code),
                    (SIGNALLED, number) => ExitStatus::Signal { number, core_dumped: false },
                    (DUMPED, number) => ExitStatus::Signal { number, core_dumped: true },
                    _ => return Err(unreadable()),
                },
                max_rss: from.integer()?,
                user: Duration::from_micros(from.integer()?),
                system: Duration::from_micros(from.integer()?),
            },
        },
        SIGNAL => KeeperEvent::Signal(Signal::try_from(i32::from(from.byte()?)).map_err(|_| unreadable())?),
        ALL_ENDED => KeeperEvent::AllEnded { left: from.integer()? as u32 },
        _ => return Err(unreadable()),
    })
}
