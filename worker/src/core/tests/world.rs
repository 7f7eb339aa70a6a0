//! The world around a node, as a model that random histories drive: processes that run, stop as they are asked, answer
//! late and die at any moment; commands that wait for their turn, are taken back or not, end in all ways and are heard
//! of in any order; a coordinator that comes and goes. It holds every task to account: heard of once, and never twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shared::{id::count, wire::worker::FromWorker};

use super::*;
use crate::core::{Effect, slot::NO_STOP};

/// What happens in the world.
#[derive(Debug, Clone)]
pub enum Op {
    Grant {
        job: u64,
        tasks: u32,
    },
    Recall(usize),
    Drop(usize),
    Acknowledge,
    EndJob(u64),
    /// A process makes progress: so many tasks, and whether it says so.
    Step {
        slot: u16,
        tasks: u64,
        tells: bool,
    },
    Die {
        slot: u16,
        exit: bool,
    },
    Look {
        memory: bool,
    },
    Pass(u64),
    Scarce(bool),
    Link(bool),
    Pool(bool),
    Shutdown,
}

/// A process of the model.
#[derive(Debug)]
struct Process {
    life: Life,
    kind: Kind,
    doomed: bool,
    leaves: bool,
}

#[derive(Debug)]
enum Kind {
    Loading,
    Child {
        runs: VecDeque<(u64, u64)>,
        at: u64,
        told: u64,
        running: u64,
        committed: u64,
        stop: u64,
    },
    /// A command that waits for its turn.
    Waiting,
    /// A command that has begun; whether the node has heard of that.
    Command {
        heard: bool,
    },
    /// A command whose end the node has not heard of.
    Over(How),
}

/// See the module.
pub struct World {
    script: Script,
    processes: BTreeMap<Life, Process>,
    /// What has not been heard of, by batch.
    open: BTreeMap<BatchId, BTreeSet<u32>>,
    reports: Vec<shared::id::ReportId>,
    batches: u32,
    connected: bool,
    pool: bool,
    pub ended: bool,
}

impl World {
    pub fn new() -> World {
        let limits = Limits { timeout: Some(ms(100)), memory: Some(1000), ..Limits::default() };
        let mut script = script(4);
        let few =
            Limits { tasks_per_process: NonZeroU32::new(7), recycle_memory: Some(50), ..Limits::default() };
        script.job(JobSpec { limits: limits.clone(), ..function_job(1) });
        script.job(JobSpec { limits: few, ..function_job(2) });
        script.job(JobSpec { limits, ..command_job(3) });
        World {
            script,
            processes: BTreeMap::new(),
            open: BTreeMap::new(),
            reports: Vec::new(),
            batches: 0,
            connected: true,
            pool: true,
            ended: false,
        }
    }

    fn tell(&mut self, event: Event) {
        self.script.on(event);
        let effects = std::mem::take(&mut self.script.out);
        effects.into_iter().for_each(|effect| self.obey(effect));
    }

    fn heard_of(&mut self, batch: BatchId, tasks: &[TaskRange]) {
        let open = self.open.get_mut(&batch).expect("a batch that was granted");
        for task in tasks.iter().flat_map(|range| range.tasks()) {
            assert!(open.remove(&task.0), "task {task} of batch {batch} is heard of twice");
        }
    }

    fn obey(&mut self, effect: Effect) {
        match effect {
            Effect::Report(report, _) => {
                self.heard_of(report.batch, &report.values);
                report
                    .failures
                    .iter()
                    .for_each(|(task, _)| self.heard_of(report.batch, &[TaskRange::one(*task)]));
                self.reports.push(report.id);
            }
            Effect::Send(FromWorker::Returned { batch, tasks }) => self.heard_of(batch, &tasks),
            Effect::Join(joined) => {
                for (batch, open) in &mut self.open {
                    let held = joined.holds.iter().filter(|held| held.batch == *batch);
                    let held: BTreeSet<u32> =
                        held.flat_map(|held| &held.tasks).flat_map(|range| range.start..range.end).collect();
                    assert!(held.is_subset(open), "it holds what it has reported");
                    open.retain(|task| held.contains(task));
                }
            }
            Effect::Start(life, _) => self.born(life, Kind::Loading),
            Effect::Execute(life, ..) => self.queue(life),
            Effect::Run(life, run) => {
                let number = u64::from(count(&run.tasks));
                match &mut self.process(life).kind {
                    Kind::Child { runs, stop, .. } => {
                        assert_eq!(*stop, NO_STOP, "a run is given to a child that may not begin it");
                        runs.push_back((run.first, run.first + number));
                    }
                    other => panic!("a run for {other:?}"),
                }
            }
            Effect::SetStop(life, at) => match &mut self.process(life).kind {
                Kind::Child { stop, .. } => *stop = at,
                other => panic!("a stop for {other:?}"),
            },
            Effect::Stop(life) => self.process(life).leaves = true,
            Effect::Withdraw(life) => self.withdraw(life),
            Effect::Kill(life) => {
                self.withdraw(life);
                self.process(life).doomed = true;
            }
            Effect::End => self.ended = true,
            Effect::Signal(life, _) | Effect::Answer(life, ..) => panic!("nobody attends to {life:?}"),
            Effect::Ask(..) => panic!("nobody asks"),
            Effect::Send(_)
            | Effect::Discard(_)
            | Effect::ForgetBatch(_)
            | Effect::DropObject(_)
            | Effect::Say(_) => {}
        }
    }

    fn born(&mut self, life: Life, kind: Kind) {
        assert!(self.pool, "a process without a pool");
        assert!(self.in_slot(life.slot.0).is_empty(), "two processes in one slot");
        self.processes.insert(life, Process { life, kind, doomed: false, leaves: false });
    }

    /// A command is ordered: it begins when those before it are over.
    fn queue(&mut self, life: Life) {
        assert!(self.pool, "a process without a pool");
        let others = self.in_slot(life.slot.0);
        let kinds = others.iter().map(|other| &self.processes[other].kind);
        let is_free = kinds.clone().all(|kind| matches!(kind, Kind::Over(_)));
        let are_commands = |kind| matches!(kind, &Kind::Waiting | &Kind::Command { .. } | &Kind::Over(_));
        assert!(kinds.clone().all(are_commands), "a command behind a child");
        let kind = if is_free { Kind::Command { heard: false } } else { Kind::Waiting };
        self.processes.insert(life, Process { life, kind, doomed: false, leaves: false });
    }

    fn withdraw(&mut self, life: Life) {
        let kind = &mut self.process(life).kind;
        if matches!(kind, Kind::Waiting) {
            *kind = Kind::Over(How::Withdrawn);
        }
    }

    fn in_slot(&self, slot: u16) -> Vec<Life> {
        self.processes.keys().copied().filter(|life| life.slot.0 == slot).collect()
    }

    fn process(&mut self, life: Life) -> &mut Process {
        self.processes.get_mut(&life).expect("a living process")
    }

    fn die(&mut self, life: Life, how: How) {
        let Some(process) = self.processes.remove(&life) else { return };
        let running = if let Kind::Child { running, .. } = process.kind { running } else { 0 };
        let how = if let Kind::Over(how) = process.kind { how } else { how };
        let (stdout, stderr, toll) = (Captured::default(), Captured::default(), Toll::default());
        let ending = Ending { how, running, stdout, stderr, toll };
        self.tell(Event::Process(life, ProcessEvent::Ended(ending)));
    }

    /// A command that ran is over, and the next of its slot begins.
    fn exit(&mut self, life: Life, how: How, tells: bool) {
        self.process(life).kind = Kind::Over(how.clone());
        let waits = |life: &Life| matches!(self.processes[life].kind, Kind::Waiting);
        if let Some(next) = self.in_slot(life.slot.0).into_iter().find(waits) {
            self.process(next).kind = Kind::Command { heard: tells };
            if tells {
                self.tell(Event::Process(next, ProcessEvent::Spawned { pid: 7 }));
            }
        }
        if tells {
            self.die(life, how);
        }
    }

    fn step(&mut self, slot: u16, tasks: u64, tells: bool) {
        let here = self.in_slot(slot);
        let Some(life) = here.get(tasks as usize % here.len().max(1)).copied() else { return };
        let process = self.process(life);
        let is_doomed = process.doomed;
        let mut said = Vec::new();
        match &mut process.kind {
            Kind::Waiting => return,
            Kind::Command { heard: heard @ false } => {
                *heard = true;
                said.push(ProcessEvent::Spawned { pid: 7 });
            }
            Kind::Command { heard: true } => {
                let how = if is_doomed { How::Signalled(9) } else { How::Exited(tasks as i32 % 2) };
                return self.exit(life, how, tells);
            }
            Kind::Over(how) => {
                let how = how.clone();
                return self.die(life, how);
            }
            Kind::Loading | Kind::Child { .. } if is_doomed && tells => {
                return self.die(life, How::Signalled(9));
            }
            Kind::Loading if process.leaves => return self.die(life, How::Exited(0)),
            Kind::Loading => {
                process.kind = Kind::Child {
                    runs: VecDeque::new(),
                    at: 0,
                    told: 0,
                    running: 0,
                    committed: 0,
                    stop: NO_STOP,
                };
                said.push(ProcessEvent::Ready);
            }
            Kind::Child { runs, .. } if process.leaves && runs.is_empty() => {
                return self.die(life, How::Exited(0));
            }
            Kind::Child { runs, at, told, running, committed, stop } => {
                let Some((first, end)) = runs.front().copied() else { return };
                if *at < first {
                    (*at, *told) = (first, first);
                }
                let ran = |told: u64, at: u64| {
                    let count = (at - told) as u32;
                    ProcessEvent::Ran(Ran { first: told, count, ..Ran::default() })
                };
                // The last task of a stretch may still run when nothing is told.
                *running = 0;
                let is_stopped = *stop <= *at && *at < end;
                let begun = *at;
                *at = (*at + tasks).min(end).min((*stop).max(*at));
                *committed = *at;
                if !tells && *at > begun {
                    *running = *at - 1;
                }
                let done = if *running > 0 { *running } else { *at };
                if done > *told && (tells || is_stopped || done == end) {
                    said.push(ran(*told, done));
                    *told = done;
                }
                if is_stopped {
                    said.push(ProcessEvent::Stopped { at: *at });
                }
                if is_stopped || done == end {
                    runs.pop_front();
                }
            }
        }
        said.into_iter().for_each(|event| self.tell(Event::Process(life, event)));
    }

    fn look(&mut self, memory: bool) {
        let readings = self.processes.values().filter_map(|process| {
            let (running, committed) = match process.kind {
                Kind::Child { running, committed, .. } => (running, committed),
                Kind::Loading | Kind::Command { heard: true } => (0, 0),
                Kind::Waiting | Kind::Command { heard: false } | Kind::Over(_) => return None,
            };
            Some(Reading { life: process.life, running, committed, memory: memory.then_some(2000) })
        });
        let readings = readings.collect();
        self.tell(Event::Sampled { at: self.script.now, readings });
        self.tell(Event::Woken);
    }

    pub fn apply(&mut self, op: &Op) {
        match *op {
            Op::Grant { job, tasks } if self.connected => {
                self.batches += 1;
                let (id, start) = (batch_id(self.batches), self.batches * 1000);
                self.open.insert(id, (start..start + tasks).collect());
                let tasks = vec![TaskRange::new(start, start + tasks)];
                self.tell(Event::Granted(Batch { id, job: JobId(job), tasks, attempts: Vec::new() }));
            }
            Op::Recall(pick) if self.connected => {
                let batches = self.open.keys().copied().skip(pick).take(2).collect();
                self.tell(Event::Recalled(batches));
            }
            Op::Drop(pick) if self.connected => {
                let batches: Vec<BatchId> = self.open.keys().copied().skip(pick).take(1).collect();
                batches.iter().for_each(|batch| self.open.get_mut(batch).expect("it was granted").clear());
                self.tell(Event::Dropped(batches));
            }
            Op::Acknowledge if self.connected => {
                let reports = std::mem::take(&mut self.reports);
                self.tell(Event::Acknowledged(reports));
            }
            Op::EndJob(job) if self.connected => {
                let of_job = |lease: &crate::core::lease::Lease| lease.job == JobId(job);
                let ended =
                    self.script.core.leases.batches().filter(|(_, lease)| of_job(lease)).map(|(id, _)| id);
                ended.for_each(|batch| self.open.get_mut(&batch).expect("it was granted").clear());
                self.tell(Event::JobEnded(JobId(job)));
            }
            Op::Grant { .. } | Op::Recall(_) | Op::Drop(_) | Op::Acknowledge | Op::EndJob(_) => {}
            Op::Step { slot, tasks, tells } => self.step(slot, tasks, tells),
            Op::Die { slot, exit } => {
                let how = if exit { How::Exited(3) } else { How::Signalled(11) };
                let runs = |life: &Life| !matches!(self.processes[life].kind, Kind::Waiting | Kind::Over(_));
                let first = self.in_slot(slot).into_iter().find(runs);
                match first.map(|life| (life, &self.process(life).kind)) {
                    Some((life, Kind::Command { .. })) => self.exit(life, how, exit),
                    Some((life, _)) => self.die(life, how),
                    None => {}
                }
            }
            Op::Look { memory } => self.look(memory),
            Op::Pass(time) => {
                self.script.pass(ms(time));
            }
            Op::Scarce(is) => {
                let event = super::memory::machine(&self.script, if is { 95 } else { 5 });
                self.tell(event);
            }
            Op::Link(up) if up != self.connected => {
                self.connected = up;
                self.tell(if up { Event::Connected } else { Event::Disconnected });
            }
            Op::Pool(up) if up != self.pool => {
                self.pool = up;
                self.processes.clear();
                self.tell(if up { Event::PoolStarted } else { Event::PoolLost });
            }
            Op::Link(_) | Op::Pool(_) => {}
            Op::Shutdown => self.tell(Event::ShutdownAsked { grace: ms(500) }),
        }
    }

    /// From now on all goes well.
    pub fn settle(&mut self) {
        for op in [Op::Link(true), Op::Pool(true), Op::Scarce(false)] {
            self.apply(&op);
        }
        for round in 0..2000 {
            let rests =
                |process: &Process| matches!(&process.kind, Kind::Child { runs, .. } if runs.is_empty());
            if self.processes.values().all(rests) && self.open.values().all(BTreeSet::is_empty) {
                return;
            }
            (0..4).for_each(|slot| self.step(slot, round % 5 + 1, true));
            self.script.pass(ms(3));
            self.look(false);
        }
        panic!("it never ends: {:?}", self.script.core);
    }
}
