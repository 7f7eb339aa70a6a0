//! Tickets: what has been handed to the checkpointer and is not known to be durable yet.
//!
//! Invariant: a worker's report is forgotten only after the ticket that recorded it is durable (promise P2).

use std::collections::VecDeque;

use shared::id::{ReportId, WorkerId};

/// The number of one recording, rising within a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The tickets of one job that are still open, oldest first.
#[derive(Debug, Default)]
pub struct Tickets {
    next: u64,
    open: VecDeque<Open>,
    bytes: u64,
}

/// What waits for a ticket to become durable.
#[derive(Debug)]
pub struct Open {
    /// Its number.
    pub ticket: Ticket,
    /// Who may forget what.
    pub source: Option<(WorkerId, ReportId)>,
    /// Outcomes that it holds.
    pub outcomes: u64,
    bytes: u64,
}

impl Tickets {
    /// Opens a ticket for so many outcomes of so many bytes.
    pub fn open(&mut self, source: Option<(WorkerId, ReportId)>, outcomes: u64, bytes: u64) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.bytes += bytes;
        self.open.push_back(Open { ticket, source, outcomes, bytes });
        ticket
    }

    /// Takes out those that are durable now.
    pub fn settle(&mut self, upto: Ticket) -> impl Iterator<Item = Open> + '_ {
        std::iter::from_fn(move || {
            let oldest = self.open.pop_front_if(|open| open.ticket <= upto)?;
            self.bytes -= oldest.bytes;
            Some(oldest)
        })
    }

    /// Whether something that this report brought waits for the disk.
    pub fn holds(&self, worker: WorkerId, report: ReportId) -> bool {
        self.open.iter().any(|open| open.source == Some((worker, report)))
    }

    /// Bytes that wait for the disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives up on the disk: nothing that is open will become durable.
    pub fn abandon(&mut self) {
        self.open.clear();
        self.bytes = 0;
    }
}
