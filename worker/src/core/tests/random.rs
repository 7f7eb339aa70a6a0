//! Any sequence of events: every granted task is reported exactly once, or handed back, or nobody wants it any more.
//!
//! The world is a model: children that run, stop as they are asked, answer late and die at any moment; commands that
//! end in all ways; a coordinator that comes and goes. At the end the world turns kind, and nothing may be left over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use shared::{id::count, wire::worker::FromWorker};

use super::*;
use crate::core::{Effect, slot::NO_STOP};

#[derive(Debug, Clone)]
enum Op {
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

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..4u64, 1..12u32).prop_map(|(job, tasks)| Op::Grant { job, tasks }),
        2 => (0..20usize).prop_map(Op::Recall),
        1 => (0..20usize).prop_map(Op::Drop),
        1 => Just(Op::Acknowledge),
        1 => (1..4u64).prop_map(Op::EndJob),
        20 => (0..4u16, 0..8u64, any::<bool>()).prop_map(|(slot, tasks, tells)| Op::Step { slot, tasks, tells }),
        2 => (0..4u16, any::<bool>()).prop_map(|(slot, exit)| Op::Die { slot, exit }),
        6 => prop::bool::weighted(0.1).prop_map(|memory| Op::Look { memory }),
        6 => (0..30u64).prop_map(Op::Pass),
        1 => any::<bool>().prop_map(Op::Scarce),
        1 => any::<bool>().prop_map(Op::Link),
        1 => prop::bool::weighted(0.8).prop_map(Op::Pool),
        1 => prop::bool::weighted(0.05).prop_map(|ends| if ends { Op::Shutdown } else { Op::Acknowledge }),
    ]
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
    Child { runs: VecDeque<(u64, u64)>, at: u64, told: u64, running: u64, committed: u64, stop: u64 },
    Command,
}

struct World {
    script: Script,
    processes: BTreeMap<u16, Process>,
    /// What has not been heard of, by batch.
    open: BTreeMap<BatchId, BTreeSet<u32>>,
    reports: Vec<shared::id::ReportId>,
    batches: u32,
    connected: bool,
    pool: bool,
    ended: bool,
}

impl World {
    fn new() -> World {
        let limits = Limits { timeout: Some(ms(100)), memory: Some(1000), ..Limits::default() };
        let mut script = script(4);
        script.job(JobSpec { limits: limits.clone(), ..function_job(1) }).job(function_job(2));
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
            Effect::Execute(life, ..) => self.born(life, Kind::Command),
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
            Effect::Kill(life) => self.process(life).doomed = true,
            Effect::End => self.ended = true,
            Effect::Send(_) | Effect::Discard(_) | Effect::ForgetBatch(_) | Effect::Say(_) => {}
        }
    }

    fn born(&mut self, life: Life, kind: Kind) {
        assert!(self.pool, "a process without a pool");
        let old = self.processes.insert(life.slot.0, Process { life, kind, doomed: false, leaves: false });
        assert!(old.is_none(), "two processes in one slot");
    }

    fn process(&mut self, life: Life) -> &mut Process {
        self.processes.get_mut(&life.slot.0).filter(|process| process.life == life).expect("a living process")
    }

    fn die(&mut self, slot: u16, how: How) {
        let Some(process) = self.processes.remove(&slot) else { return };
        let running = if let Kind::Child { running, .. } = process.kind { running } else { 0 };
        let ending = Ending { how, running, stdout: Captured::default(), stderr: Captured::default() };
        self.tell(Event::Process(process.life, ProcessEvent::Ended(ending)));
    }

    fn step(&mut self, slot: u16, tasks: u64, tells: bool) {
        let Some(process) = self.processes.get_mut(&slot) else { return };
        let life = process.life;
        if process.doomed && tells {
            return self.die(slot, How::Signalled(9));
        }
        let mut said = Vec::new();
        match &mut process.kind {
            Kind::Command => {
                return if tells {
                    self.die(slot, How::Exited(tasks as i32 % 2))
                };
            }
            Kind::Loading if process.leaves => return self.die(slot, How::Exited(0)),
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
                return self.die(slot, How::Exited(0));
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
        let readings = self.processes.values().map(|process| {
            let (running, committed) = match process.kind {
                Kind::Child { running, committed, .. } => (running, committed),
                Kind::Loading | Kind::Command => (0, 0),
            };
            Reading { life: process.life, running, committed, memory: memory.then_some(2000) }
        });
        let readings = readings.collect();
        self.tell(Event::Sampled { at: self.script.now, readings });
        self.tell(Event::Woken);
    }

    fn apply(&mut self, op: &Op) {
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
            Op::Die { slot, exit } => self.die(slot, if exit { How::Exited(3) } else { How::Signalled(11) }),
            Op::Look { memory } => self.look(memory),
            Op::Pass(time) => {
                self.script.pass(ms(time));
            }
            Op::Scarce(is) => self.tell(Event::MemoryRead { used: if is { 95 } else { 5 }, total: 100 }),
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
    fn settle(&mut self) {
        for op in [Op::Link(true), Op::Pool(true), Op::Scarce(false)] {
            self.apply(&op);
        }
        for _ in 0..2000 {
            if self.processes.is_empty() && self.open.values().all(BTreeSet::is_empty) {
                return;
            }
            if self
                .processes
                .values()
                .all(|process| matches!(&process.kind, Kind::Child { runs, .. } if runs.is_empty()))
                && self.open.values().all(BTreeSet::is_empty)
            {
                return;
            }
            (0..4).for_each(|slot| self.step(slot, 3, true));
            self.script.pass(ms(3));
            self.look(false);
        }
        panic!("it never ends: {:?}", self.script.core);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_task_is_reported_once_or_handed_back(ops in prop::collection::vec(op(), 1..160)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
            if world.ended {
                break;
            }
        }
        world.settle();
    }
}
