//! The coordinator's decisions, pure: events in, effects out.
//!
//! It knows no actor, socket, file, clock or randomness, and no keys and values either: tasks are positions. Time is
//! an argument; ids come with the events. What it promises:
//! - a task has one outcome, the first that comes (P1); later ones are counted and dropped;
//! - a report is forgotten by its worker only when what it brought is durable, or was not needed (P2);
//! - an attempt that fails is repeated within the job's limits, and no other task is charged for it (P5);
//! - a lease is named by the epoch that granted it; what a worker of an earlier epoch still holds is adopted.

pub mod effect;
pub mod event;
mod failures;
mod hands;
mod job;
mod jobs;
pub mod kv;
mod lease;
pub mod objects;
pub mod pace;
mod place;
mod retry;
mod table;
pub mod ticket;
mod workers;

#[cfg(test)]
mod reproduced;
#[cfg(test)]
mod script;
#[cfg(test)]
mod stopping_tests;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Instant};

use bytes::Bytes;
use shared::{
    id::{Epoch, JobId, TaskIndex, WorkerId},
    wire::client::{FailureGroup, Progress, Summary},
};

use self::{
    effect::Effects, event::Event, job::Job, kv::KeyValues, lease::Leases, objects::Objects, workers::Workers,
};

/// The state of a coordinator.
#[derive(Debug)]
pub struct Core {
    epoch: Epoch,
    batches: u32,
    jobs: BTreeMap<JobId, Job>,
    /// Jobs in the order of their coming.
    order: Vec<JobId>,
    leases: Leases,
    workers: Workers,
    /// Until when nobody is asked to give work back.
    content_until: Option<Instant>,
    /// What tasks and callers share.
    pub kv: KeyValues,
    /// What jobs need besides their tasks.
    pub objects: Objects,
}

impl Core {
    /// A coordinator that starts now. The workers of its predecessor are waited for until `adopt_until` before their
    /// tasks could be given to somebody else.
    #[must_use]
    pub fn new(epoch: Epoch, predecessors: impl IntoIterator<Item = WorkerId>, adopt_until: Instant) -> Core {
        Core {
            epoch,
            batches: 0,
            jobs: BTreeMap::new(),
            order: Vec::new(),
            leases: Leases::default(),
            workers: Workers::new(predecessors, adopt_until),
            content_until: None,
            kv: KeyValues::default(),
            objects: Objects::default(),
        }
    }

    /// Takes in an event and says what is to be done.
    pub fn on(&mut self, event: Event, now: Instant, out: &mut Effects) {
        match event {
            Event::JobOpened { job, limits, batch_size } => self.job_opened(job, limits, batch_size),
            Event::TasksAdded { job, count, bytes, skipped } => self.tasks_added(job, count, bytes, &skipped),
            Event::TasksComplete(job) => self.tasks_complete(job, out),
            Event::JobCancelled { job, by } => self.job_cancelled(job, by, now, out),
            Event::ClientBehind { job, behind } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.client_behind = behind;
                }
            }
            Event::ObjectsLack { job, lack } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.objects_lack = lack;
                }
            }
            Event::JobFailed { job, stopped } => self.job_failed(job, stopped, out),
            Event::WorkerJoined { worker, host, slots, holds } => {
                self.worker_joined(worker, host, slots, holds, now, out);
            }
            Event::WorkerAway(worker) => {
                self.workers.away(worker, now);
                self.leases.set_slots(worker, None);
            }
            Event::WorkerLost(worker) => self.worker_lost(worker, out),
            Event::Reported(reported) => {
                self.workers.reported(reported.worker);
                self.reported(&reported, out);
            }
            Event::Returned { worker: _, batch, tasks } => self.returned(batch, &tasks, out),
            Event::Unloadable { worker, job, message } => self.unloadable(worker, job, message, out),
            Event::Durable { job, upto } => self.durable(job, upto, out),
            Event::Closed(job) => self.closed(job, out),
            Event::Tick => {
                self.stop_what_is_due(now, out);
                for worker in self.workers.overdue(now) {
                    self.worker_lost(worker, out);
                }
                for (worker, slots) in self.workers.cooled(now) {
                    self.leases.set_slots(worker, Some(slots));
                }
            }
        }
        self.place(now, out);
    }

    /// How far a job is.
    #[must_use]
    pub fn progress(&self, job: JobId) -> Option<Progress> {
        let job = self.jobs.get(&job)?;
        let (workers, slots) = self.leases.hands().count();
        Some(Progress { workers, slots, ..job.progress() })
    }

    /// Whether a job goes on.
    #[must_use]
    pub fn is_running(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| job.phase == job::Phase::Running)
    }

    /// Failed tasks by reason; `key` gives a task's key.
    #[must_use]
    pub fn failures(&self, job: JobId, key: impl Fn(TaskIndex) -> Bytes) -> Vec<FailureGroup> {
        self.jobs.get(&job).map(|job| job.failures.groups(key)).unwrap_or_default()
    }

    /// Removes what is known of a job that has ended.
    pub fn remove(&mut self, job: JobId) {
        self.jobs.remove(&job);
        self.order.retain(|other| *other != job);
    }

    fn summary(&self, job: &Job) -> Summary {
        let (workers, slots) = self.leases.hands().count();
        Summary {
            job: Some(job.id),
            progress: Progress { workers, slots, ..job.progress() },
            groups: Vec::new(),
            stopped: job.stopped.clone(),
            incidents: job.incidents(),
        }
    }

    /// What must hold after every event.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        self.leases.check_invariants();
        for job in self.jobs.values() {
            job.table.check_invariants();
            let mut leased = std::collections::HashSet::new();
            for (id, lease) in self.leases.of_job(job.id) {
                assert!(!lease.left.is_empty(), "lease {id} has nothing left");
                for task in lease.left.iter().flat_map(|range| range.tasks()) {
                    assert!(leased.insert(task), "task {task} is in two leases");
                    assert_eq!(
                        job.table.state(task),
                        Some(table::State::Leased),
                        "task {task} of lease {id}"
                    );
                }
            }
            let open = job.table.open() - job.table.waiting();
            assert_eq!(leased.len() as u64, open, "each leased task is in a lease");
        }
    }
}
