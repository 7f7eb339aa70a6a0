//! The clock, and what is due when. Nothing takes time but what says so.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use worker::core::Life;

use crate::{
    dice::Dice,
    hub::Hub,
    ledger::Ledger,
    machine::Machine,
    net::Link,
    scenario::{Scenario, Trouble},
};

/// How often the coordinator looks at the clock.
const TICK: u64 = 100_000;
/// A job that is not over so long after the last fault, beside what its tasks take, never will be.
const PATIENCE: u64 = 300_000_000;

/// Something that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    Fault(usize),
    AtHub(usize),
    AtNode(usize),
    HubLost(usize),
    NodeLost(usize),
    HubBack,
    Tick(u32),
    Synced(u32),
    MachineBack(usize),
    /// A machine, in this life, tries to connect.
    Connect(usize, u32),
    /// A node wanted to be woken.
    Wake(usize, u32),
    Spawned(usize, u32, LifeKey),
    Ready(usize, u32, LifeKey),
    Ended(usize, u32, LifeKey),
    /// A process does what it had planned.
    Child(usize, u32, LifeKey, u32),
}

/// A process of a node: slot and number.
pub type LifeKey = (u16, u32);

pub fn key(life: Life) -> LifeKey {
    (life.slot.0, life.number)
}

/// What a course through a scenario came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Tasks that got an outcome, each time that they got one: a coordinator that dies forgets what was not synced.
    pub completions: u64,
    /// Those that have failed in the end.
    pub failed: u64,
    /// Runs of tasks that came to nothing, since somebody else's outcome was first.
    pub late: u64,
    /// Events that the cores took in.
    pub events: u64,
    /// Microseconds of virtual time.
    pub took: u64,
}

/// See the crate.
pub struct World {
    pub scenario: Scenario,
    pub now: u64,
    pub dice: Dice,
    pub hub: Hub,
    pub machines: Vec<Machine>,
    pub links: Vec<Link>,
    pub ledger: Ledger,
    pub stats: Stats,
    base: Instant,
    due: BinaryHeap<Reverse<(u64, u64, Due)>>,
    numbers: u64,
    /// Names for nodes.
    pub workers: u64,
}

/// Takes a scenario to its end.
///
/// # Errors
/// What does not hold.
pub fn run(scenario: &Scenario) -> Result<Stats, String> {
    let course = AssertUnwindSafe(|| World::new(scenario.clone()).play());
    catch_unwind(course).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })
}

impl World {
    fn new(scenario: Scenario) -> World {
        let mut world = World {
            now: 0,
            dice: Dice(scenario.seed),
            hub: Hub::default(),
            machines: Vec::new(),
            links: Vec::new(),
            ledger: Ledger::new(scenario.tasks),
            stats: Stats::default(),
            base: Instant::now(),
            due: BinaryHeap::new(),
            numbers: 0,
            workers: 0,
            scenario,
        };
        for (place, fault) in world.scenario.faults.clone().iter().enumerate() {
            world.at(fault.at, Due::Fault(place));
        }
        world.start_hub();
        for machine in 0..world.scenario.machines as usize {
            world.machines.push(Machine::default());
            world.start_machine(machine);
        }
        world
    }

    fn play(mut self) -> Stats {
        let last = self.scenario.faults.last().map_or(0, |fault| fault.at);
        let work = u64::from(self.scenario.tasks) * self.scenario.task_us * 4;
        let end = last + work + PATIENCE;
        while !self.hub.finished {
            let Reverse((at, _, due)) = self.due.pop().expect("something is due until the job has ended");
            assert!(at <= end, "the job does not end: {}", self.ledger.shown());
            self.now = at;
            if let Some(until) = self.stopped_until(due) {
                self.at(until, due);
                continue;
            }
            self.happen(due);
        }
        self.ledger.check_end(&self.scenario);
        self.stats.took = self.now;
        self.stats.failed = self.ledger.failed();
        self.stats
    }

    /// For the cores, the time as they know it.
    pub fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.now)
    }

    /// When an instant of a core is, rounded up: nobody is woken too early.
    pub fn time_of(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.base).as_nanos().div_ceil(1_000) as u64
    }

    pub fn at(&mut self, at: u64, due: Due) {
        self.numbers += 1;
        self.due.push(Reverse((at.max(self.now), self.numbers, due)));
    }

    pub fn after(&mut self, time: u64, due: Due) {
        self.at(self.now + time, due);
    }

    /// What concerns a machine that stands still waits until it goes on.
    fn stopped_until(&self, due: Due) -> Option<u64> {
        let machine = match due {
            Due::AtNode(link) | Due::NodeLost(link) => self.links[link].machine,
            Due::Connect(machine, _)
            | Due::Wake(machine, _)
            | Due::Spawned(machine, ..)
            | Due::Ready(machine, ..)
            | Due::Ended(machine, ..)
            | Due::Child(machine, ..) => machine,
            Due::Fault(_)
            | Due::AtHub(_)
            | Due::HubLost(_)
            | Due::HubBack
            | Due::Tick(_)
            | Due::Synced(_)
            | Due::MachineBack(_) => return None,
        };
        Some(self.machines[machine].stopped_until).filter(|until| *until > self.now)
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Fault(place) => self.befall(self.scenario.faults[place].what),
            Due::AtHub(link) => self.at_hub(link),
            Due::AtNode(link) => self.at_node(link),
            Due::HubLost(link) => self.hub_lost(link),
            Due::NodeLost(link) => self.node_lost(link),
            Due::HubBack => self.start_hub(),
            Due::Tick(life) => {
                if self.tick(life) {
                    self.after(TICK, Due::Tick(life));
                }
            }
            Due::Synced(life) => self.synced(life),
            Due::MachineBack(machine) => self.start_machine(machine),
            Due::Connect(machine, life) => self.try_to_connect(machine, life),
            Due::Wake(machine, life) => self.wake(machine, life),
            Due::Spawned(machine, life, process) => self.spawned(machine, life, process),
            Due::Ready(machine, life, process) => self.ready(machine, life, process),
            Due::Ended(machine, life, process) => self.ended(machine, life, process, 9),
            Due::Child(machine, life, process, plan) => self.child_goes_on(machine, life, process, plan),
        }
    }

    fn befall(&mut self, what: Trouble) {
        match what {
            Trouble::KillMachine { machine, back_after } => {
                let machine = machine as usize;
                if self.machines[machine].core.is_some() {
                    let link = self.machines[machine].link;
                    self.machines[machine].die();
                    // A machine that vanishes says nothing; a process that is killed has its sockets closed.
                    let heard = [1_000, crate::net::LEASE][self.dice.between(0, 2) as usize];
                    link.into_iter().for_each(|link| self.break_link(link, heard, 0));
                    self.after(back_after, Due::MachineBack(machine));
                }
            }
            Trouble::KillProcess { machine, slot } => self.kill_in_slot(machine as usize, slot),
            Trouble::Break { machine } => {
                if let Some(link) = self.machines[machine as usize].link {
                    let (hub, node) = (self.dice.between(0, 20_000), self.dice.between(0, 20_000));
                    self.break_link(link, hub, node);
                }
            }
            Trouble::Silence { machine, lasts } => {
                let until = self.now + lasts;
                self.machines[machine as usize].cut_off_until = until;
                self.machines[machine as usize].link.into_iter().for_each(|link| self.silence(link, lasts));
            }
            Trouble::Stop { machine, lasts } => {
                let until = self.now + lasts;
                self.machines[machine as usize].stopped_until = until;
                if lasts >= crate::net::LEASE
                    && let Some(link) = self.machines[machine as usize].link
                {
                    self.break_link(link, crate::net::LEASE, crate::net::LEASE);
                }
            }
            Trouble::KillCoordinator { back_after } => self.kill_hub(back_after),
        }
    }
}
