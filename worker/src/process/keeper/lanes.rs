//! Orders that wait for their turn: in a lane one process runs at a time, in the order in which they were asked for.
//!
//! So the next process of a lane starts without asking the engine. It does not know how a process is made. Invariant:
//! a lane is there as long as a process is in it, and only then can anything wait.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;

use crate::process::event::Ticket;
use crate::process::protocol::Order;

/// An order with the descriptors that came with it.
pub(super) struct Waiting {
    pub order: Order,
    pub fds: Vec<OwnedFd>,
}

#[derive(Default)]
pub(super) struct Lanes(HashMap<u16, Lane>);

struct Lane {
    taken_by: Ticket,
    waiting: VecDeque<Waiting>,
}

impl Lanes {
    /// Gives an order back if it may be carried out at once, and lets it wait otherwise.
    pub(super) fn enter(&mut self, new: Waiting) -> Option<Waiting> {
        let Some(number) = new.order.lane else { return Some(new) };
        if let Some(lane) = self.0.get_mut(&number) {
            lane.waiting.push_back(new);
            return None;
        }
        self.0.insert(number, Lane { taken_by: Ticket(new.order.ticket), waiting: VecDeque::new() });
        Some(new)
    }

    /// A process is gone, or could not be made: the next one of its lane.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waiting> {
        let (&number, lane) = self.0.iter_mut().find(|(_, lane)| lane.taken_by == ticket)?;
        let next = lane.waiting.pop_front();
        match &next {
            Some(next) => lane.taken_by = Ticket(next.order.ticket),
            None => drop(self.0.remove(&number)),
        }
        next
    }

    /// Whether something waits behind a process.
    pub(super) fn has_more(&self, ticket: Ticket) -> bool {
        self.0.values().any(|lane| lane.taken_by == ticket && !lane.waiting.is_empty())
    }

    /// Takes back what waits under this ticket.
    pub(super) fn withdraw(&mut self, ticket: Ticket) -> Option<Waiting> {
        self.0.values_mut().find_map(|lane| {
            let at = lane.waiting.iter().position(|waiting| waiting.order.ticket == ticket.0)?;
            lane.waiting.remove(at)
        })
    }

    /// Takes back all that waits, and forgets what runs.
    pub(super) fn clear(&mut self) -> Vec<Waiting> {
        self.0.drain().flat_map(|(_, lane)| lane.waiting).collect()
    }
}
