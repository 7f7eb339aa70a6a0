//! Machines: on each the real core of a node, with processes that are modelled.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use shared::{
    id::{ReportId, Slot, WorkerId},
    wire::worker::{FromWorker, Report, ToWorker},
};
use worker::core::{
    Core, Effect, Event, Life, ProcessEvent, Settings,
    command::Captured,
    event::{Ending, How, Reading, Toll},
};

use crate::{
    child::{Child, Next},
    net::LEASE,
    world::{Due, LifeKey, World, key},
};

/// How long a process takes to exist, and then to load its function.
const SPAWN: u64 = 2_000;
const LOAD: u64 = 40_000;

/// A machine. Without a core it is down.
#[derive(Debug, Default)]
pub struct Machine {
    pub life: u32,
    pub core: Option<Core>,
    pub link: Option<usize>,
    pub stopped_until: u64,
    /// No connection can be made before.
    pub cut_off_until: u64,
    worker: Option<WorkerId>,
    children: BTreeMap<LifeKey, Child>,
    /// What the coordinator has not acknowledged.
    reports: BTreeMap<ReportId, (Report, Bytes)>,
    /// When it is to be woken next.
    wakes: Option<u64>,
}

impl Machine {
    pub fn die(&mut self) {
        *self = Machine { life: self.life + 1, cut_off_until: self.cut_off_until, ..Machine::default() };
    }
}

impl World {
    pub fn start_machine(&mut self, at: usize) {
        self.workers += 1;
        let worker = WorkerId(self.workers);
        let settings = Settings {
            worker,
            host: format!("machine{at}"),
            slots: self.scenario.slots,
            lease: Duration::from_micros(LEASE),
        };
        let machine = &mut self.machines[at];
        (machine.worker, machine.core) = (Some(worker), Some(Core::new(settings)));
        let life = machine.life;
        self.tell_node(at, Event::PoolStarted);
        let soon = self.dice.between(0, 10_000);
        self.after(soon, Due::Connect(at, life));
    }

    fn is_up(&self, at: usize, life: u32) -> bool {
        self.machines[at].life == life && self.machines[at].core.is_some()
    }

    pub fn try_to_connect(&mut self, at: usize, life: u32) {
        if !self.is_up(at, life) || self.machines[at].link.is_some() {
            return;
        }
        if !self.is_hub_up() || self.machines[at].cut_off_until > self.now {
            let later = self.dice.between(100_000, 1_000_000);
            return self.after(later, Due::Connect(at, life));
        }
        let worker = self.machines[at].worker.expect("a machine that is up has a node");
        let link = self.connect(at, worker);
        self.machines[at].link = Some(link);
        self.tell_node(at, Event::Connected);
    }

    pub fn node_lost(&mut self, link: usize) {
        let (at, life) = (self.links[link].machine, self.links[link].lives.0);
        if self.is_up(at, life) && self.machines[at].link == Some(link) {
            self.machines[at].link = None;
            self.tell_node(at, Event::Disconnected);
            let soon = self.dice.between(1_000, 200_000);
            self.after(soon, Due::Connect(at, life));
        }
    }

    pub fn at_node(&mut self, link: usize) {
        let Some(message) = self.arrives_at_node(link) else { return };
        let (at, life) = (self.links[link].machine, self.links[link].lives.0);
        if !self.is_up(at, life) || self.machines[at].link != Some(link) {
            return;
        }
        let event = match message {
            ToWorker::Job(spec) => Event::JobDescribed(Arc::new(*spec)),
            ToWorker::JobEnded(job) => Event::JobEnded(job),
            ToWorker::Run(batch) => Event::Granted(batch),
            ToWorker::Recall(batches) => Event::Recalled(batches),
            ToWorker::Drop(batches) => Event::Dropped(batches),
            ToWorker::Forget(reports) => Event::Acknowledged(reports),
            ToWorker::Heartbeat => return,
            ToWorker::Signal { .. }
            | ToWorker::Answered { .. }
            | ToWorker::Piece { .. }
            | ToWorker::Shutdown => {
                panic!("nobody asks for {message:?}")
            }
        };
        self.tell_node(at, event);
    }

    fn tell_node(&mut self, at: usize, event: Event) {
        self.stats.events += 1;
        let now = self.instant();
        let mut effects = Vec::new();
        let core = self.machines[at].core.as_mut().expect("a machine that is up");
        core.on(event, now, &mut effects);
        let wake = core.wake_at(now);
        effects.into_iter().for_each(|effect| self.obey(at, effect));
        if let Some(wake) = wake.map(|wake| self.time_of(wake).max(self.now))
            && self.machines[at].wakes.is_none_or(|known| wake < known)
        {
            self.machines[at].wakes = Some(wake);
            self.at(wake, Due::Wake(at, self.machines[at].life));
        }
    }

    pub fn wake(&mut self, at: usize, life: u32) {
        if !self.is_up(at, life) || self.machines[at].wakes.is_none_or(|wakes| wakes > self.now) {
            return;
        }
        self.machines[at].wakes = None;
        let readings = self.machines[at].children.values().map(|child| {
            let (running, committed) = child.beacon(self.now);
            Reading { life: child.life, running, committed, memory: None }
        });
        let sampled = Event::Sampled { at: self.instant(), readings: readings.collect() };
        self.tell_node(at, sampled);
        self.tell_node(at, Event::Woken);
    }

    fn obey(&mut self, at: usize, effect: Effect) {
        let life = self.machines[at].life;
        match effect {
            Effect::Join(joined) => {
                self.say(at, FromWorker::Joined(joined), Bytes::new());
                let kept: Vec<_> = self.machines[at].reports.values().cloned().collect();
                kept.into_iter()
                    .for_each(|(report, payload)| self.say(at, FromWorker::Report(report), payload));
            }
            Effect::Send(message) => self.say(at, message, Bytes::new()),
            Effect::Report(report, payload) => {
                self.machines[at].reports.insert(report.id, (report.clone(), payload.clone()));
                self.say(at, FromWorker::Report(report), payload);
            }
            Effect::Discard(report) => {
                self.machines[at].reports.remove(&report);
            }
            Effect::Start(process, _) => {
                self.machines[at].children.insert(key(process), Child::new(process));
                self.after(SPAWN, Due::Spawned(at, life, key(process)));
            }
            Effect::Run(process, assignment) => {
                self.change(at, process, |child, now, scenario, dice| {
                    child.give(assignment, now, scenario, dice)
                });
            }
            Effect::SetStop(process, to) => {
                self.change(at, process, |child, now, _, _| child.set_stop(to, now))
            }
            Effect::Stop(process) => self.change(at, process, |child, _, _, _| child.leave()),
            Effect::Kill(process) => self.after(1_000, Due::Ended(at, life, key(process))),
            Effect::ForgetBatch(_) | Effect::Say(_) => {}
            Effect::Execute(..)
            | Effect::Withdraw(_)
            | Effect::Signal(..)
            | Effect::Ask(..)
            | Effect::Answer(..)
            | Effect::DropObject(_)
            | Effect::End => {
                panic!("{effect:?} in a simulation")
            }
        }
    }

    fn say(&mut self, at: usize, message: FromWorker, payload: Bytes) {
        if let Some(link) = self.machines[at].link {
            self.send_to_hub(link, message, payload);
        }
    }

    /// Something is done to a process, and it plans anew.
    fn change(
        &mut self,
        at: usize,
        process: Life,
        change: impl FnOnce(&mut Child, u64, &crate::Scenario, &mut crate::dice::Dice),
    ) {
        // A process that has just died is not heard of yet.
        if let Some(child) = self.machines[at].children.get_mut(&key(process)) {
            change(child, self.now, &self.scenario, &mut self.dice);
            self.plan(at, key(process));
        }
    }

    fn plan(&mut self, at: usize, process: LifeKey) {
        let life = self.machines[at].life;
        let Some(child) = self.machines[at].children.get_mut(&process) else { return };
        child.plan += 1;
        let plan = child.plan;
        match child.next(&self.scenario) {
            Next::RunOver(when) | Next::Dies(when) => self.at(when, Due::Child(at, life, process, plan)),
            Next::Leaves => self.after(1_000, Due::Child(at, life, process, plan)),
            Next::Nothing => {}
        }
    }

    pub fn child_goes_on(&mut self, at: usize, life: u32, process: LifeKey, plan: u32) {
        if !self.is_up(at, life) {
            return;
        }
        let (now, scenario) = (self.now, &self.scenario);
        let Some(child) = self.machines[at].children.get_mut(&process).filter(|child| child.plan == plan)
        else {
            return;
        };
        match child.next(scenario) {
            Next::RunOver(_) => {
                let said = child.run_over(now, scenario, &mut self.dice);
                let process_life = child.life;
                self.plan(at, process);
                said.into_iter().for_each(|event| self.tell_node(at, Event::Process(process_life, event)));
            }
            Next::Dies(_) => self.ended(at, life, process, 11),
            Next::Leaves => self.ended(at, life, process, 0),
            Next::Nothing => {}
        }
    }

    pub fn spawned(&mut self, at: usize, life: u32, process: LifeKey) {
        if self.is_up(at, life) && self.machines[at].children.contains_key(&process) {
            self.tell_process(at, process, ProcessEvent::Spawned { pid: 7 });
            self.after(LOAD, Due::Ready(at, life, process));
        }
    }

    pub fn ready(&mut self, at: usize, life: u32, process: LifeKey) {
        if !self.is_up(at, life) {
            return;
        }
        if let Some(child) = self.machines[at].children.get_mut(&process) {
            child.ready();
            self.plan(at, process);
            self.tell_process(at, process, ProcessEvent::Ready);
        }
    }

    /// A process is gone: by a signal, or of its own accord (0).
    pub fn ended(&mut self, at: usize, life: u32, process: LifeKey, signal: i32) {
        if !self.is_up(at, life) {
            return;
        }
        if let Some(child) = self.machines[at].children.remove(&process) {
            let (running, _) = child.beacon(self.now);
            let how = if signal == 0 { How::Exited(0) } else { How::Signalled(signal) };
            let (stdout, stderr, toll) = (Captured::default(), Captured::default(), Toll::default());
            let ending = Ending { how, running, stdout, stderr, toll };
            self.tell_node(at, Event::Process(child.life, ProcessEvent::Ended(ending)));
        }
    }

    pub fn kill_in_slot(&mut self, at: usize, slot: u16) {
        let life = self.machines[at].life;
        let first = self.machines[at].children.keys().find(|(other, _)| *other == slot).copied();
        first.into_iter().for_each(|process| self.ended(at, life, process, 9));
    }

    fn tell_process(&mut self, at: usize, process: LifeKey, event: ProcessEvent) {
        let life = Life { slot: Slot(process.0), number: process.1 };
        self.tell_node(at, Event::Process(life, event));
    }
}
