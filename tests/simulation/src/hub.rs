//! The coordinator: its real core, with a disk that is slow and forgets what was not synced.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Buf;
use coordinator::core::{
    Core,
    effect::{Effect, Record},
    event::{Event, Reported},
    ticket::Ticket,
};
use shared::{
    id::{Epoch, JobId, ReportId, TaskRange, WorkerId},
    job::{FunctionSpec, JobSpec, Limits, Work},
    wire::worker::{FromWorker, Joined, Report, ToWorker},
};

use crate::{
    ledger::RETRIES,
    net::LEASE,
    world::{Due, World},
};

/// The one job.
pub const JOB: JobId = JobId(1);

/// An outcome on its way to the disk.
#[derive(Debug)]
struct Unsynced {
    source: Option<(WorkerId, ReportId)>,
    ticket: Ticket,
    values: Vec<TaskRange>,
    failures: Vec<u32>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Hub {
    pub life: u32,
    pub finished: bool,
    core: Option<Core>,
    epoch: u32,
    /// The connection of each node, as far as the coordinator knows.
    links: BTreeMap<WorkerId, usize>,
    unsynced: VecDeque<Unsynced>,
    syncing: bool,
    closing: bool,
    /// On the disk: nodes that may hold tasks.
    here: BTreeSet<WorkerId>,
    /// Tasks whose values are in reports that are not forgotten, to check that this is not done too early.
    reports: BTreeMap<(WorkerId, ReportId), Vec<TaskRange>>,
}

impl World {
    /// A coordinator starts, and goes on from what is durable.
    pub fn start_hub(&mut self) {
        self.hub.epoch += 1;
        self.hub.life += 1;
        let predecessors: Vec<WorkerId> = self.hub.here.iter().copied().collect();
        let adopt_until = self.instant() + Duration::from_micros(LEASE);
        self.hub.core = Some(Core::new(Epoch(self.hub.epoch), predecessors, adopt_until));
        let limits = Limits { death_retries: RETRIES, ..Limits::default() };
        let batch_size = self.scenario.batch_size;
        self.tell_hub(Event::JobOpened { job: JOB, limits, batch_size });
        let (count, skipped) = (self.scenario.tasks, self.ledger.done().into_iter().collect());
        self.tell_hub(Event::TasksAdded { job: JOB, count, bytes: u64::from(count) * 8, skipped });
        self.tell_hub(Event::TasksComplete(JOB));
        self.after(0, Due::Tick(self.hub.life));
    }

    pub fn kill_hub(&mut self, back_after: u64) {
        if self.hub.core.take().is_none() {
            return;
        }
        // Of what was not synced, the disk may have the beginning.
        let kept = self.dice.between(0, self.hub.unsynced.len() as u64 + 1) as usize;
        let unsynced = std::mem::take(&mut self.hub.unsynced);
        for record in unsynced.into_iter().take(kept) {
            self.ledger.durable(&record.values, record.failures.into_iter());
        }
        self.ledger.forget();
        (self.hub.syncing, self.hub.closing) = (false, false);
        self.hub.reports.clear();
        self.hub.links.clear();
        for link in 0..self.links.len() {
            let node_hears = self.dice.between(0, 20_000);
            self.break_link(link, 0, node_hears);
        }
        self.after(back_after, Due::HubBack);
    }

    pub fn is_hub_up(&self) -> bool {
        self.hub.core.is_some()
    }

    pub fn tick(&mut self, life: u32) -> bool {
        let lives = self.hub.life == life && self.hub.core.is_some();
        if lives {
            self.tell_hub(Event::Tick);
        }
        lives
    }

    pub fn hub_lost(&mut self, link: usize) {
        let Some(worker) = self.hub_worker(link) else { return };
        if self.hub.links.get(&worker) == Some(&link) {
            self.hub.links.remove(&worker);
            self.tell_hub(Event::WorkerAway(worker));
        }
    }

    /// Whose connection it is, if this life of the coordinator knows it.
    fn hub_worker(&self, link: usize) -> Option<WorkerId> {
        let link = &self.links[link];
        (self.hub.core.is_some() && link.lives.1 == self.hub.life).then_some(link.worker)
    }

    pub fn at_hub(&mut self, link: usize) {
        let Some((message, payload)) = self.arrives_at_hub(link) else { return };
        let Some(worker) = self.hub_worker(link) else { return };
        match message {
            FromWorker::Joined(Joined { worker, slots, holds, jobs: _ }) => {
                self.hub.links.insert(worker, link);
                self.hub.here.insert(worker);
                let host = format!("machine{}", self.links[link].machine);
                self.tell_hub(Event::WorkerJoined { worker, host, slots, holds });
            }
            FromWorker::Report(report) => self.reported(worker, report, &payload),
            FromWorker::Returned { batch, tasks } => self.tell_hub(Event::Returned { worker, batch, tasks }),
            FromWorker::Unloadable { .. }
            | FromWorker::Began { .. }
            | FromWorker::Ask { .. }
            | FromWorker::Fetch { .. }
            | FromWorker::Differs { .. }
            | FromWorker::Leaving => {
                panic!("{message:?} in a simulation")
            }
            FromWorker::Status(_) | FromWorker::Heartbeat => {}
        }
    }

    fn reported(&mut self, worker: WorkerId, report: Report, mut payload: &[u8]) {
        let bytes = payload.len() as u64;
        for task in report.values.iter().flat_map(|range| range.start..range.end) {
            assert!(payload.len() >= 4 && payload.get_u32_le() == task, "task {task} gets a foreign value");
        }
        assert!(payload.is_empty(), "a report brings more values than tasks");
        self.hub.reports.insert((worker, report.id), report.values.clone());
        let Report { id, batch, job, values, failures, busy_us } = report;
        let reported = Reported { worker, report: id, batch, job, values, bytes, failures, busy_us };
        self.tell_hub(Event::Reported(reported));
    }

    pub fn synced(&mut self, life: u32) {
        if self.hub.life != life || self.hub.core.is_none() {
            return;
        }
        self.hub.syncing = false;
        let mut upto = None;
        while let Some(record) = self.hub.unsynced.pop_front() {
            self.ledger.durable(&record.values, record.failures.into_iter());
            upto = Some(record.ticket);
        }
        if let Some(upto) = upto {
            self.tell_hub(Event::Durable { job: JOB, upto });
        }
        if self.hub.closing && self.hub.unsynced.is_empty() {
            self.tell_hub(Event::Closed(JOB));
        }
    }

    fn sync_soon(&mut self) {
        if !std::mem::replace(&mut self.hub.syncing, true) {
            self.after(self.scenario.sync_us, Due::Synced(self.hub.life));
        }
    }

    fn tell_hub(&mut self, event: Event) {
        self.stats.events += 1;
        let now = self.instant();
        let mut effects = Vec::new();
        self.hub.core.as_mut().expect("a coordinator that is up").on(event, now, &mut effects);
        effects.into_iter().for_each(|effect| self.carry_out(effect));
    }

    fn tell_worker(&mut self, worker: WorkerId, message: ToWorker) {
        if let Some(&link) = self.hub.links.get(&worker) {
            self.send_to_node(link, message);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Grant { worker, batch } => {
                if let Some(&link) = self.hub.links.get(&worker) {
                    if !std::mem::replace(&mut self.links[link].described, true) {
                        let spec = spec(self.scenario.batch_size);
                        self.send_to_node(link, ToWorker::Job(Box::new(spec)));
                    }
                    self.send_to_node(link, ToWorker::Run(batch));
                }
            }
            Effect::Recall { worker, batches } => self.tell_worker(worker, ToWorker::Recall(batches)),
            Effect::Drop { worker, batches } => self.tell_worker(worker, ToWorker::Drop(batches)),
            Effect::Forget { worker, reports } => {
                for report in &reports {
                    let source = Some((worker, *report));
                    let waits = self.hub.unsynced.iter().any(|record| record.source == source);
                    assert!(!waits, "report {report} is forgotten before it is durable");
                    let tasks = self.hub.reports.remove(&(worker, *report)).unwrap_or_default();
                    self.ledger.check_forgotten(&tasks);
                }
                self.tell_worker(worker, ToWorker::Forget(reports));
            }
            Effect::Strike(worker) => {
                self.hub.here.remove(&worker);
            }
            Effect::Record(record) => self.record(record),
            Effect::Deliver { .. } => {}
            Effect::Close(_) => {
                self.hub.closing = true;
                self.sync_soon();
            }
            Effect::Finish { summary, .. } => {
                assert_eq!(summary.stopped, None, "the job is stopped");
                self.stats.late += summary.incidents.late;
                self.hub.finished = true;
            }
        }
    }

    fn record(&mut self, record: Record) {
        let Record { ticket, source, values, failures, .. } = record;
        for (task, failure) in &failures {
            self.ledger.check_failure(task.0, failure, &self.scenario);
        }
        let failures: Vec<u32> = failures.into_iter().map(|(task, _)| task.0).collect();
        let all = values.iter().flat_map(|range| range.start..range.end).chain(failures.iter().copied());
        self.ledger.recorded(all);
        self.stats.completions += u64::from(shared::id::count(&values)) + failures.len() as u64;
        self.hub.unsynced.push_back(Unsynced { source, ticket, values, failures });
        self.sync_soon();
    }
}

/// The job as the nodes hear of it.
fn spec(batch_size: Option<u32>) -> JobSpec {
    let function = FunctionSpec { module: "m".into(), function: "f".into(), ..FunctionSpec::default() };
    JobSpec {
        limits: Limits { death_retries: RETRIES, ..Limits::default() },
        batch_size,
        ..JobSpec::new(JOB, Work::Function(function))
    }
}
