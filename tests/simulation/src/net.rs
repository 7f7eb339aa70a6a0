//! Connections between nodes and the coordinator. A message arrives late, in order, or not at all.

use std::collections::VecDeque;

use bytes::Bytes;
use shared::{
    id::WorkerId,
    wire::worker::{FromWorker, ToWorker},
};

use crate::{
    dice::Dice,
    world::{Due, World},
};

/// How long the coordinator and a node bear silence.
pub const LEASE: u64 = 10_000_000;

/// One connection.
#[derive(Debug)]
pub struct Link {
    pub machine: usize,
    /// The node, which may be gone by now.
    pub worker: WorkerId,
    /// Which life of the machine, and of the coordinator.
    pub lives: (u32, u32),
    /// What was on its way is lost, and nothing passes any more.
    pub broken: bool,
    /// Nothing passes before this.
    pub held_until: u64,
    pub described: bool,
    to_hub: VecDeque<(FromWorker, Bytes)>,
    to_node: VecDeque<ToWorker>,
    /// When the last message of each direction arrives.
    clear: [u64; 2],
}

impl World {
    /// A new connection of a machine; its number.
    pub fn connect(&mut self, machine: usize, worker: WorkerId) -> usize {
        let lives = (self.machines[machine].life, self.hub.life);
        self.links.push(Link {
            machine,
            worker,
            lives,
            broken: false,
            held_until: 0,
            described: false,
            to_hub: VecDeque::new(),
            to_node: VecDeque::new(),
            clear: [0; 2],
        });
        self.links.len() - 1
    }

    fn arrival(&mut self, link: usize, direction: usize) -> u64 {
        let latency = self.dice.between(50, 2_000);
        let link = &mut self.links[link];
        let at = (self.now + latency).max(link.clear[direction]).max(link.held_until);
        link.clear[direction] = at;
        at
    }

    pub fn send_to_hub(&mut self, link: usize, message: FromWorker, payload: Bytes) {
        if !self.links[link].broken {
            self.links[link].to_hub.push_back((message, payload));
            let at = self.arrival(link, 0);
            self.at(at, Due::AtHub(link));
        }
    }

    pub fn send_to_node(&mut self, link: usize, message: ToWorker) {
        if !self.links[link].broken {
            self.links[link].to_node.push_back(message);
            let at = self.arrival(link, 1);
            self.at(at, Due::AtNode(link));
        }
    }

    /// What arrives at the coordinator now, if it still can.
    pub fn arrives_at_hub(&mut self, link: usize) -> Option<(FromWorker, Bytes)> {
        let held = &mut self.links[link];
        if !held.broken && held.held_until > self.now {
            let at = held.held_until;
            self.at(at, Due::AtHub(link));
            return None;
        }
        held.to_hub.pop_front().filter(|_| !held.broken)
    }

    /// What arrives at the node now, if it still can.
    pub fn arrives_at_node(&mut self, link: usize) -> Option<ToWorker> {
        let held = &mut self.links[link];
        if !held.broken && held.held_until > self.now {
            let at = held.held_until;
            self.at(at, Due::AtNode(link));
            return None;
        }
        held.to_node.pop_front().filter(|_| !held.broken)
    }

    /// Nothing passes any more; both ends hear of it so much later.
    pub fn break_link(&mut self, link: usize, hub_hears: u64, node_hears: u64) {
        if !std::mem::replace(&mut self.links[link].broken, true) {
            (self.links[link].to_hub, self.links[link].to_node) = Default::default();
            self.after(hub_hears, Due::HubLost(link));
            self.after(node_hears, Due::NodeLost(link));
        }
    }

    /// A connection falls silent for a while.
    pub fn silence(&mut self, link: usize, lasts: u64) {
        if lasts < LEASE {
            let until = self.now + lasts;
            self.links[link].held_until = until.max(self.links[link].held_until);
        } else {
            let (hub, node) = (self.about(LEASE), self.about(LEASE));
            self.break_link(link, hub, node);
        }
    }

    fn about(&mut self, time: u64) -> u64 {
        let dice: &mut Dice = &mut self.dice;
        dice.between(time, time + time / 3)
    }
}
