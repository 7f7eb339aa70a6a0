//! What the engine asks of the keeper, and its bytes.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;

use super::{Reader, Strings, Writer, signed, unreadable};

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::process) enum Request {
    /// The environment that every child gets from now on.
    BaseEnvironment(Strings),
    Spawn(Order),
    /// Take over a process that was forked by another and has become the keeper's child.
    Adopt {
        ticket: u64,
        pid: i32,
        /// Clock ticks after boot.
        started: u64,
    },
    /// Take back the order of this ticket, unless its process has begun.
    Withdraw {
        ticket: u64,
    },
    /// A signal for the process behind a ticket, or for its whole process group.
    Kill {
        ticket: u64,
        signal: Signal,
        group: bool,
    },
    /// SIGKILL for the process behind a ticket and all its descendants; an order that waits is taken back.
    KillTree {
        ticket: u64,
    },
    EndAll,
}

/// A process to make. The message's descriptors become the numbers in `targets`, in that order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::process) struct Order {
    pub ticket: u64,
    /// Where it waits until what was asked for before is gone. Without one it starts at once.
    pub lane: Option<u16>,
    pub program: CString,
    pub arguments: Strings,
    pub extra_environment: Strings,
    pub directory: Option<CString>,
    pub targets: Vec<u8>,
}

const BASE_ENVIRONMENT: u8 = 1;
const SPAWN: u8 = 2;
const KILL: u8 = 3;
const KILL_TREE: u8 = 4;
const END_ALL: u8 = 5;
const WITHDRAW: u8 = 6;
const ADOPT: u8 = 7;

/// What stands for no lane.
const NO_LANE: u64 = u64::MAX;

impl Request {
    /// The message that says: the request is in the first descriptor, a memory file.
    pub(in crate::process) const IN_FILE: &[u8] = &[0];

    /// A request from its message, or from the memory file that came with it.
    pub(in crate::process) fn read(message: &[u8], fds: &mut Vec<OwnedFd>) -> io::Result<Self> {
        if message != Self::IN_FILE || fds.is_empty() {
            return Self::decode(message);
        }
        let mut file = File::from(fds.remove(0));
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Self::decode(&bytes)
    }

    pub(in crate::process) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::BaseEnvironment(strings) => {
                out.byte(BASE_ENVIRONMENT);
                out.bytes(&strings.0);
            }
            Self::Spawn(order) => {
                out.byte(SPAWN);
                out.integer(order.ticket);
                out.integer(order.lane.map_or(NO_LANE, u64::from));
                out.bytes(order.program.as_bytes());
                out.bytes(&order.arguments.0);
                out.bytes(&order.extra_environment.0);
                out.bytes(order.directory.as_deref().map_or(&[], CStr::to_bytes));
                out.bytes(&order.targets);
            }
            Self::Adopt { ticket, pid, started } => {
                out.byte(ADOPT);
                out.integer(*ticket);
                signed(&mut out, *pid);
                out.integer(*started);
            }
            Self::Withdraw { ticket } => {
                out.byte(WITHDRAW);
                out.integer(*ticket);
            }
            Self::Kill { ticket, signal, group } => {
                out.byte(KILL);
                out.integer(*ticket);
                out.byte(*signal as u8);
                out.byte(u8::from(*group));
            }
            Self::KillTree { ticket } => {
                out.byte(KILL_TREE);
                out.integer(*ticket);
            }
            Self::EndAll => out.byte(END_ALL),
        }
        out.0
    }

    pub(in crate::process) fn decode(message: &[u8]) -> io::Result<Self> {
        let mut from = Reader(message);
        Ok(match from.byte()? {
            BASE_ENVIRONMENT => Self::BaseEnvironment(from.strings()?),
            SPAWN => Self::Spawn(Order {
                ticket: from.integer()?,
                lane: match from.integer()? {
                    NO_LANE => None,
                    lane => Some(u16::try_from(lane).map_err(|_| unreadable())?),
                },
                program: c_string(from.bytes()?)?,
                arguments: from.strings()?,
                extra_environment: from.strings()?,
                directory: Some(c_string(from.bytes()?)?).filter(|directory| !directory.is_empty()),
                targets: from.bytes()?.to_vec(),
            }),
            ADOPT => Self::Adopt { ticket: from.integer()?, pid: from.signed()?, started: from.integer()? },
            WITHDRAW => Self::Withdraw { ticket: from.integer()? },
            KILL => Self::Kill {
                ticket: from.integer()?,
                signal: Signal::try_from(i32::from(from.byte()?)).map_err(|_| unreadable())?,
                group: from.byte()? != 0,
            },
            KILL_TREE => Self::KillTree { ticket: from.integer()? },
            END_ALL => Self::EndAll,
            _ => return Err(unreadable()),
        })
    }
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| unreadable())
}
