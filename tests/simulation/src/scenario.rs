//! What a cluster is to compute, and what goes wrong meanwhile. Times are microseconds since the beginning.

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// One job on one cluster, with its misfortunes. As JSON it is what a report of a failure shows, and what repeats it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// For everything that is left to chance.
    pub seed: u64,
    /// Machines, a node on each.
    pub machines: u32,
    /// Processes on each.
    pub slots: u16,
    /// Tasks of the job.
    pub tasks: u32,
    /// How long one takes, on the average.
    pub task_us: u64,
    /// Tasks a batch; `None`: learned.
    pub batch_size: Option<u32>,
    /// How long the disk takes from one sync to the next.
    pub sync_us: u64,
    /// Tasks that end their process, each time.
    pub poison: Vec<u32>,
    /// Tasks that raise an exception, each time.
    pub raising: Vec<u32>,
    /// In the order of time.
    pub faults: Vec<Fault>,
}

/// Something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: u64,
    /// What.
    pub what: Trouble,
}

/// What can go wrong. A machine that does not exist any more, or a process that is not there, is no fault.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Trouble {
    /// A machine is gone, with all that it ran; one with nothing in its hands comes in its place.
    KillMachine { machine: u32, back_after: u64 },
    /// A process that runs tasks is killed.
    KillProcess { machine: u32, slot: u16 },
    /// The connection breaks, what was on its way is lost, both ends hear of it.
    Break { machine: u32 },
    /// Nothing passes for a while. Longer than the lease, and both ends give the connection up.
    Silence { machine: u32, lasts: u64 },
    /// The node and its processes stand still for a while (SIGSTOP, SIGCONT).
    Stop { machine: u32, lasts: u64 },
    /// The coordinator is killed: what it had not synced is lost, or some of it. Another one goes on.
    KillCoordinator { back_after: u64 },
}

impl Trouble {
    /// The machine that it befalls.
    #[must_use]
    pub fn machine(self) -> Option<u32> {
        match self {
            Trouble::KillMachine { machine, .. }
            | Trouble::KillProcess { machine, .. }
            | Trouble::Break { machine }
            | Trouble::Silence { machine, .. }
            | Trouble::Stop { machine, .. } => Some(machine),
            Trouble::KillCoordinator { .. } => None,
        }
    }
}

impl Scenario {
    /// A small cluster with as many faults as it can bear, all by chance.
    #[must_use]
    pub fn drawn(seed: u64) -> Scenario {
        let mut dice = Dice(seed);
        let machines = dice.between(1, 6) as u32;
        let tasks = dice.between(1, 600) as u32;
        let task_us = [100, 1_000, 20_000, 300_000][dice.between(0, 4) as usize];
        let slots = dice.between(1, 4) as u16;
        let mut some = |most: u64| -> Vec<u32> {
            (0..dice.between(0, most)).map(|_| dice.between(0, u64::from(tasks)) as u32).collect()
        };
        let (poison, raising) = (some(3), some(4));
        let span = u64::from(tasks) * task_us / u64::from(machines * u32::from(slots)) + 2_000_000;
        let scenario = Scenario {
            seed,
            machines,
            slots,
            tasks,
            task_us,
            batch_size: dice.once_in(3).then(|| dice.between(1, 50) as u32),
            sync_us: [1_000, 50_000, 1_000_000][dice.between(0, 3) as usize],
            poison,
            raising,
            faults: Vec::new(),
        };
        let count = dice.between(0, 12) as usize;
        scenario.with_faults(count, span)
    }

    /// The same with so many faults by chance, in the first `span` microseconds.
    #[must_use]
    pub fn with_faults(mut self, count: usize, span: u64) -> Scenario {
        let mut dice = Dice(self.seed ^ 0xFA);
        self.faults = (0..count)
            .map(|_| {
                let machine = dice.between(0, self.machines.into()) as u32;
                let lasts = [200_000, 2_000_000, 15_000_000, 40_000_000][dice.between(0, 4) as usize];
                let what = match dice.between(0, 10) {
                    0 | 1 => Trouble::KillMachine { machine, back_after: lasts },
                    2..=4 => {
                        Trouble::KillProcess { machine, slot: dice.between(0, self.slots.into()) as u16 }
                    }
                    5 | 6 => Trouble::Break { machine },
                    7 => Trouble::Silence { machine, lasts },
                    8 => Trouble::Stop { machine, lasts },
                    _ => Trouble::KillCoordinator { back_after: lasts.min(15_000_000) },
                };
                Fault { at: dice.between(0, span), what }
            })
            .collect();
        self.faults.sort_by_key(|fault| fault.at);
        self
    }

    /// How one task of a run takes its time: a few take much longer.
    pub(crate) fn pace(&self, dice: &mut Dice) -> u64 {
        let usual = dice.between(self.task_us / 2, self.task_us * 3 / 2).max(1);
        if dice.once_in(50) { usual * 20 } else { usual }
    }
}
