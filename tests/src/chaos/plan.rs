//! A schedule of faults, drawn from a seed. Pure: the same seed gives the same schedule on any machine.

use std::fmt;

use crate::dice::Dice;

/// How long a worker may be silent in these runs, in seconds.
pub const LEASE: u64 = 1;

/// What is over at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// `kill -9`; it is started again.
    KillCoordinator,
    /// `kill -9` of keeper and engine in the same moment; another worker is started.
    KillWorker(usize),
    KillKeeper(usize),
    KillEngine(usize),
    /// `kill -9` of a process of the worker's pool.
    KillProcess(usize),
    /// `kill -9` of a client that waits for its job.
    KillClient,
    /// The worker's connection is closed.
    CutWorker(usize),
    CutClient,
    /// Every connection of the coordinator is reset. Needs root.
    ResetAll,
}

/// What lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// SIGSTOP of all of a worker's processes, then SIGCONT.
    StopWorker(usize),
    StopCoordinator,
    /// Nothing comes through to the coordinator, or from it, or neither.
    Mute(usize, [bool; 2]),
    /// What is sent takes its time.
    Slow(usize),
    /// No room on the disk of the checkpoint. Needs root.
    FillDisk,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Blow(Blow),
    /// For so many milliseconds, with another fault in their midst.
    Hold(Hold, u64, Option<Blow>),
}

/// A fault, and how many tasks have to be begun before it.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    pub at: usize,
    pub fault: Fault,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub tasks: u64,
    /// Processes of each worker.
    pub workers: Vec<u32>,
    pub detached: bool,
    /// Milliseconds between syncs.
    pub flush_ms: u64,
    pub faults: Vec<Planned>,
}

impl Dice {
    fn blow(&mut self, workers: u64, detached: bool) -> Blow {
        let worker = self.below(workers) as usize;
        match self.below(12) {
            0..=2 => Blow::KillCoordinator,
            3 => Blow::KillWorker(worker),
            4 => Blow::KillKeeper(worker),
            5 => Blow::KillEngine(worker),
            6 | 7 => Blow::KillProcess(worker),
            8 if !detached => Blow::KillClient,
            8 | 9 => Blow::CutWorker(worker),
            10 => Blow::CutClient,
            _ => Blow::ResetAll,
        }
    }

    fn fault(&mut self, workers: u64, detached: bool) -> Fault {
        if self.below(5) < 3 {
            return Fault::Blow(self.blow(workers, detached));
        }
        let worker = self.below(workers) as usize;
        let hold = match self.below(8) {
            0 | 1 => Hold::StopWorker(worker),
            2 => Hold::StopCoordinator,
            3 => Hold::Mute(worker, [true, true]),
            4 => Hold::Mute(worker, [true, false]),
            5 => Hold::Mute(worker, [false, true]),
            6 => Hold::Slow(worker),
            _ => Hold::FillDisk,
        };
        // Well below a lease, or well beyond it.
        let ms = [200, 400, 1_600 * LEASE, 2_200 * LEASE][self.below(4) as usize];
        let within = (self.below(3) == 0).then(|| self.blow(workers, detached));
        // SIGCONT is for the coordinator that was stopped, not for its successor.
        let within = within.filter(|_| hold != Hold::StopCoordinator);
        Fault::Hold(hold, ms, within)
    }
}

impl Plan {
    /// The schedule of a seed.
    pub fn of(seed: u64) -> Plan {
        let mut dice = Dice(seed);
        let workers: Vec<u32> = (0..2 + dice.below(2)).map(|_| 1 + dice.below(2) as u32).collect();
        let tasks = 800 + dice.below(1_200);
        let detached = dice.below(2) == 0;
        let flush_ms = [0, 50, 300][dice.below(3) as usize];
        let count = 2 + dice.below(5);
        let mut places: Vec<u64> = (0..count).map(|_| tasks / 20 + dice.below(tasks * 8 / 10)).collect();
        places.sort_unstable();
        let planned =
            |at: u64| Planned { at: at as usize, fault: dice.fault(workers.len() as u64, detached) };
        let faults = places.into_iter().map(planned).collect();
        Plan { seed, tasks, workers, detached, flush_ms, faults }
    }
}

impl Fault {
    /// Its parts.
    fn blows(self) -> Option<Blow> {
        match self {
            Fault::Blow(blow) => Some(blow),
            Fault::Hold(_, _, within) => within,
        }
    }

    /// Whether a worker may still hold tasks afterwards that have been given to another.
    pub fn may_double(self) -> bool {
        let holds = matches!(
            self,
            Fault::Hold(Hold::StopWorker(_) | Hold::StopCoordinator | Hold::Mute(..) | Hold::Slow(_), ..)
        );
        holds || self.blows().is_some_and(|blow| matches!(blow, Blow::CutWorker(_) | Blow::ResetAll))
    }

    /// Whether a running client is killed.
    pub fn kills_client(self) -> bool {
        self.blows() == Some(Blow::KillClient)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, tasks, workers, detached, flush_ms, faults } = self;
        write!(
            f,
            "seed {seed}: {tasks} tasks, workers {workers:?}, detached {detached}, flush {flush_ms} ms"
        )?;
        faults.iter().try_for_each(|Planned { at, fault }| write!(f, "\n  after {at} tasks: {fault:?}"))
    }
}
