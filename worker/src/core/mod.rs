//! What a node decides: which process runs which tasks, who is to blame for a death, what is said to the coordinator.
//!
//! Pure: no actor, no clock, no randomness, no file, no socket, no process. [`Core::on`] takes an event and the time,
//! and says what is to be done. Payloads pass through; neither keys nor values are looked at.
//!
//! - [`event`], [`notice`]: the vocabulary - [`lease`]: batches, queue, reports - [`slot`]: what lives in a slot
//! - `schedule`: who starts, who gets what - `ahead`: commands behind others - `recall`: taking back what has not begun
//! - `outcome`: runs that went well - `death`: processes that ended - `tally`: how much is told of them
//! - `watch`: timeouts, memory, stuck tasks - `weigh`: processes that grow - `pressure`, `oom`: a machine without memory
//! - `objects`: what children map - `job`: jobs that come and go - `closing`: the end
//! - [`preload`]: children that are copies of a process - [`command`]: templates and outputs
//! - [`keys`], [`ranges`]: finding a task's bytes
//!
//! Invariant (`check`): each task of a held batch waits, or is in the hands of exactly one process, until it is
//! reported or handed back; then never again.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{
    id::{JobId, Slot, TaskIndex, TaskRange, WorkerId},
    job::JobSpec,
    wire::worker::{FromWorker, Held, Joined},
};

mod ahead;
mod asks;
mod closing;
pub mod command;
mod death;
pub mod event;
mod job;
pub mod keys;
pub mod lease;
pub mod notice;
mod objects;
mod oom;
mod outcome;
pub mod preload;
mod pressure;
pub mod ranges;
mod recall;
mod schedule;
pub mod slot;
mod tally;
mod watch;
mod weigh;

#[cfg(test)]
mod check;
#[cfg(test)]
mod tests;

pub use event::{Effect, Effects, Event, Life, ProcessEvent};

use asks::Asks;
use closing::Closing;
use lease::Leases;
use objects::Objects;
use oom::OomKills;
use outcome::Gathered;
use slot::{Place, State};
use tally::Tally;

/// What a node knows of itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who it is.
    pub worker: WorkerId,
    /// Its host, for the story of a failure.
    pub host: String,
    /// How many processes it runs.
    pub slots: u16,
    /// How long commands go on without a coordinator.
    pub lease: Duration,
}

/// The state of a node.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    connected: bool,
    asks: Asks,
    /// Since when there is no coordinator.
    lost_at: Option<Instant>,
    jobs: BTreeMap<JobId, Job>,
    objects: Objects,
    leases: Leases,
    places: Vec<Place>,
    pool_up: bool,
    /// The machine's memory is nearly used up.
    scarce: bool,
    oom_kills: OomKills,
    /// The task that was stopped for want of memory, and has not ended since: until then one runs at a time.
    squeezed: Option<(shared::id::BatchId, TaskIndex)>,
    gathered: BTreeMap<shared::id::BatchId, Gathered>,
    closing: Option<Closing>,
    tally: Tally,
    /// When to look whether an idle slot can take work from another.
    look_at: Option<Instant>,
}

#[derive(Debug)]
struct Job {
    spec: Arc<JobSpec>,
    /// A command of it was executed here, or a child of it was ready.
    has_run: bool,
    /// It was told that its processes have other versions of packages than its client.
    differs: bool,
    /// Why it cannot be run here: (line, traceback).
    unloadable: Option<(String, String)>,
    /// When it last got a batch: the processes of the latest job are kept warm.
    granted: Option<Instant>,
    /// How long its commands take.
    pace: Option<Duration>,
}

impl Core {
    /// A node that has nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Core {
        let places = (0..settings.slots).map(|slot| Place::new(Slot(slot))).collect();
        Core {
            settings,
            connected: false,
            asks: Asks::default(),
            lost_at: None,
            jobs: BTreeMap::new(),
            objects: Objects::default(),
            leases: Leases::default(),
            places,
            pool_up: false,
            scarce: false,
            oom_kills: OomKills::default(),
            squeezed: None,
            gathered: BTreeMap::new(),
            closing: None,
            tally: Tally::default(),
            look_at: None,
        }
    }

    /// Takes note of an event; what is to be done is put behind `out`.
    pub fn on(&mut self, event: Event, now: Instant, out: &mut Effects) {
        let begun = out.len();
        match event {
            Event::Connected => self.connected(out),
            Event::Disconnected => {
                self.connected = false;
                self.lost_at.get_or_insert(now);
                self.drop_asks(out);
            }
            Event::JobDescribed(spec) => self.job_described(spec, now, out),
            Event::JobEnded(job) => self.job_ended(job, now, out),
            Event::Granted(batch) => self.granted(batch, now, out),
            Event::Recalled(batches) => self.recalled(&batches, now, out),
            Event::Dropped(batches) => self.dropped(&batches, out),
            Event::Acknowledged(reports) => {
                let known = reports.into_iter().filter(|id| self.leases.reports.remove(id).is_some());
                out.extend(known.map(Effect::Discard));
            }
            Event::Answered { ask, answer, payload } => self.answered(ask, answer, payload, out),
            Event::ObjectGrew { object, have } => self.object_grew(object, have, out),
            Event::ObjectFailed { object, message } => {
                for job in self.jobs_with(object) {
                    self.give_up_job(job, message.clone(), String::new(), now, out);
                }
            }
            Event::SignalAsked { job, number } => self.signal_asked(job, number, out),
            Event::ShutdownAsked { grace } => self.shutdown_asked(grace, now, out),
            Event::PoolStarted => self.pool_up = true,
            Event::PoolLost => self.pool_lost(out),
            Event::Process(life, event) => {
                let index = usize::from(life.slot.0);
                if self.places.get(index).is_some_and(|place| place.holds(life)) {
                    self.process(index, life, event, now, out);
                }
            }
            Event::Sampled { at, readings } => self.sampled(&readings, at, now, out),
            Event::MemoryRead(memory) => self.memory_read(&memory, now, out),
            Event::Woken => {}
            Event::Paused(lasted) => self.paused(lasted),
        }
        self.settle(now, out);
        self.tally(begun, now, out);
    }

    fn process(&mut self, index: usize, life: Life, event: ProcessEvent, now: Instant, out: &mut Effects) {
        match event {
            ProcessEvent::Spawned { pid } => self.spawned(index, life, pid, now, out),
            ProcessEvent::Ready => self.ready(index, now),
            ProcessEvent::Differs(packages) => self.child_differs(index, packages, out),
            ProcessEvent::Unloadable { message, traceback } => {
                self.child_unloadable(index, message, traceback, now, out);
            }
            ProcessEvent::Ran(ran) => self.ran(index, ran, out),
            ProcessEvent::Stopped { at } => self.stopped(index, at, out),
            ProcessEvent::Asked(request, payload) => self.asked(life, request, payload, out),
            ProcessEvent::Ended(ending) => self.ended(index, life, ending, now, out),
        }
    }

    /// Does what the time and the new state ask for.
    fn settle(&mut self, now: Instant, out: &mut Effects) {
        self.cut_off(now, out);
        self.send_gathered(now, out);
        self.lose_patience(now, out);
        self.withdraw_late(now, out);
        if self.closing.is_some() {
            self.close(now, out);
            return;
        }
        self.schedule(now, out);
        self.steal(now, out);
    }

    /// When [`Event::Woken`] is due, after readings of all beacons.
    #[must_use]
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let closing = self.closing.as_ref().and_then(Closing::wake_at);
        let gathered = self.gathered.values().map(Gathered::due);
        let places = self.places.iter().filter_map(|place| self.place_due(place, now));
        // One that is over already is seen at the next look anyway.
        let timeouts = self.places.iter().filter_map(|place| self.timeout_at(place)).filter(|at| *at > now);
        let all = closing.into_iter().chain(gathered).chain(places).chain(timeouts).chain(self.cut_off_at());
        all.chain(self.look_at).chain(self.tally.due()).min()
    }

    fn place_due(&self, place: &Place, now: Instant) -> Option<Instant> {
        match &place.state {
            State::Empty => place.not_before.filter(|at| *at > now && self.closing.is_none()),
            State::Child(child) => {
                child.stop.filter(|stop| !stop.passed).map(|stop| stop.asked + recall::SETTLED)
            }
            State::Stopping { since, killed: false } => Some(*since + closing::PATIENCE),
            State::Commands(_) => place.withdraw_at(),
            State::Starting(_) | State::Stopping { killed: true, .. } => None,
        }
    }

    /// How many processes run tasks.
    #[must_use]
    pub fn busy(&self) -> u16 {
        self.places.iter().filter(|place| place.is_busy()).count() as u16
    }

    /// Whether tasks have to be watched for limits of (time, memory).
    #[must_use]
    pub fn watches(&self) -> (bool, bool) {
        let has =
            |limit: fn(&shared::job::Limits) -> bool| self.jobs.values().any(|job| limit(&job.spec.limits));
        let memory = has(|limits| limits.memory.is_some() || limits.recycle_memory.is_some());
        (has(|limits| limits.timeout.is_some()), memory)
    }

    /// The job as it was described.
    #[must_use]
    pub fn job(&self, job: JobId) -> Option<&Arc<JobSpec>> {
        self.jobs.get(&job).map(|job| &job.spec)
    }

    /// How long commands go on without a coordinator: what it said itself.
    pub fn set_lease(&mut self, lease: Duration) {
        self.settings.lease = lease;
    }

    fn connected(&mut self, out: &mut Effects) {
        self.connected = true;
        self.lost_at = None;
        let Settings { worker, slots, .. } = self.settings;
        let jobs = self.jobs.keys().copied().collect();
        out.push(Effect::Join(Joined { worker, slots, holds: self.holds(), jobs }));
        self.fetch_again(out);
        for (id, job) in &self.jobs {
            if let Some((message, traceback)) = job.unloadable.clone() {
                out.push(Effect::Send(FromWorker::Unloadable { job: *id, message, traceback }));
            }
        }
    }

    /// What is left of each lease.
    fn holds(&self) -> Vec<Held> {
        let mut holds = BTreeMap::new();
        let held = |batch, job| Held { batch, job, tasks: Vec::new(), unacknowledged: Vec::new() };
        let mut tasks = |batch, job, tasks: &[TaskRange]| {
            ranges::append(&mut holds.entry(batch).or_insert_with(|| held(batch, job)).tasks, tasks);
        };
        for piece in &self.leases.queue {
            tasks(piece.batch, piece.job, &piece.tasks);
        }
        for place in &self.places {
            match &place.state {
                State::Child(child) => {
                    for run in child.runs.iter().filter(|run| !run.dropped) {
                        tasks(run.batch, child.job, &run.rest());
                    }
                }
                State::Commands(commands) => {
                    for command in commands.iter().filter(|command| !command.dropped) {
                        tasks(command.batch, command.job, &[TaskRange::one(command.task)]);
                    }
                }
                State::Empty | State::Starting(_) | State::Stopping { .. } => {}
            }
        }
        for (batch, gathered) in &self.gathered {
            tasks(*batch, gathered.job, &gathered.tasks());
        }
        for kept in self.leases.reports.values() {
            let entry = holds.entry(kept.batch).or_insert_with(|| held(kept.batch, kept.job));
            ranges::append(&mut entry.unacknowledged, &kept.tasks);
        }
        holds
            .into_values()
            .filter(|held| !(held.tasks.is_empty() && held.unacknowledged.is_empty()))
            .collect()
    }

    fn send(&self, message: FromWorker, out: &mut Effects) {
        if self.connected {
            out.push(Effect::Send(message));
        }
    }
}
