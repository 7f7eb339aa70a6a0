//! Scripts for the core: a test says what happens and what it expects, on a clock that it turns itself.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use shared::{
    id::{Attempt, BatchId, Epoch, JobId, ReportId, TaskIndex, TaskRange, WorkerId, count},
    job::Limits,
    outcome::{Cause, Failure},
    task_set::TaskSet,
    wire::worker::{Batch, Held},
};

use super::{
    Core,
    effect::{Effect, Effects, Record},
    event::{Event, Reported},
    ticket::Ticket,
};

/// The job of a script that has one.
pub const JOB: JobId = JobId(1);

/// A core, its clock, and what it has asked for.
pub struct Script {
    pub core: Core,
    pub now: Instant,
    pub effects: Effects,
    reports: u64,
    /// Batches in the hands of each worker.
    pub hands: BTreeMap<WorkerId, Vec<Batch>>,
    /// Outcomes recorded, by task.
    pub recorded: BTreeMap<TaskIndex, Result<(), Cause>>,
    pub open_tickets: Vec<(JobId, Ticket)>,
}

pub fn range(start: u32, end: u32) -> TaskRange {
    TaskRange::new(start, end)
}

pub fn worker(number: u64) -> WorkerId {
    WorkerId(number)
}

pub fn failure(cause: Cause) -> Failure {
    let text = String::new;
    Failure {
        cause,
        message: text(),
        traceback: text(),
        stdout: text(),
        stderr: text(),
        host: text(),
        pid: 1,
        attempt: Attempt(1),
    }
}

impl Script {
    pub fn new() -> Script {
        Script::restarted(Epoch(1), [])
    }

    pub fn restarted(epoch: Epoch, predecessors: impl IntoIterator<Item = WorkerId>) -> Script {
        let now = Instant::now();
        Script {
            core: Core::new(epoch, predecessors, now + Duration::from_secs(10)),
            now,
            effects: Vec::new(),
            reports: 0,
            hands: BTreeMap::new(),
            recorded: BTreeMap::new(),
            open_tickets: Vec::new(),
        }
    }

    pub fn on(&mut self, event: Event) -> &mut Script {
        let mut out = Vec::new();
        self.core.on(event, self.now, &mut out);
        self.core.check_invariants();
        for effect in &out {
            self.carry_out(effect);
        }
        self.effects.extend(out);
        self
    }

    fn carry_out(&mut self, effect: &Effect) {
        match effect {
            Effect::Grant { worker, batch } => self.hands.entry(*worker).or_default().push(batch.clone()),
            Effect::Record(Record { job, ticket, values, failures, .. }) => {
                self.open_tickets.push((*job, *ticket));
                let values = values.iter().flat_map(|range| range.tasks()).map(|task| (task, Ok(())));
                let failures = failures.iter().map(|(task, failure)| (*task, Err(failure.cause.clone())));
                for (task, outcome) in values.chain(failures) {
                    let earlier = self.recorded.insert(task, outcome);
                    assert!(earlier.is_none(), "task {task} has got a second outcome");
                }
            }
            Effect::Drop { worker, batches } => {
                self.hands.entry(*worker).or_default().retain(|batch| !batches.contains(&batch.id));
            }
            Effect::Strike(_)
            | Effect::Recall { .. }
            | Effect::Forget { .. }
            | Effect::Deliver { .. }
            | Effect::Close(_)
            | Effect::Finish { .. } => {}
        }
    }

    pub fn submit(&mut self, tasks: u32) -> &mut Script {
        self.submit_with(tasks, Limits::default(), None)
    }

    pub fn submit_with(&mut self, tasks: u32, limits: Limits, batch_size: Option<u32>) -> &mut Script {
        self.on(Event::JobOpened { job: JOB, limits, batch_size });
        self.on(Event::TasksAdded {
            job: JOB,
            count: tasks,
            bytes: u64::from(tasks) * 8,
            skipped: TaskSet::default(),
        });
        self.on(Event::TasksComplete(JOB))
    }

    pub fn join(&mut self, number: u64, slots: u16) -> &mut Script {
        self.rejoin(number, slots, Vec::new())
    }

    pub fn rejoin(&mut self, number: u64, slots: u16, holds: Vec<Held>) -> &mut Script {
        let host = format!("host{number}");
        self.on(Event::WorkerJoined { worker: worker(number), host, slots, holds })
    }

    pub fn lose(&mut self, number: u64) -> &mut Script {
        self.hands.remove(&worker(number));
        self.on(Event::WorkerLost(worker(number)))
    }

    pub fn pass(&mut self, time: Duration) -> &mut Script {
        self.now += time;
        self.on(Event::Tick)
    }

    pub fn held(&self, number: u64) -> Vec<Vec<TaskRange>> {
        let batches = self.hands.get(&worker(number)).map(Vec::as_slice).unwrap_or_default();
        batches.iter().map(|batch| batch.tasks.clone()).collect()
    }

    /// The worker's oldest batch is done: every task has a value, each took `each`.
    pub fn finish_batch(&mut self, number: u64, each: Duration) -> &mut Script {
        let batch = self.hands.get_mut(&worker(number)).expect("a worker").remove(0);
        let busy = each * count(&batch.tasks);
        self.report(number, batch.id, batch.tasks, Vec::new(), busy)
    }

    /// The worker's oldest batch ends with a failure of its first task; the others have values.
    pub fn fail_first(&mut self, number: u64, cause: Cause) -> &mut Script {
        let batch = self.hands.get_mut(&worker(number)).expect("a worker").remove(0);
        let task = TaskIndex(batch.tasks[0].start);
        let mut values = batch.tasks;
        super::lease::subtract(&mut values, &[TaskRange::one(task)]);
        self.report(number, batch.id, values, vec![(task, failure(cause))], Duration::from_millis(1))
    }

    pub fn report(
        &mut self,
        number: u64,
        batch: BatchId,
        values: Vec<TaskRange>,
        failures: Vec<(TaskIndex, Failure)>,
        busy: Duration,
    ) -> &mut Script {
        self.reports += 1;
        self.on(Event::Reported(Reported {
            worker: worker(number),
            report: ReportId(self.reports),
            batch,
            job: JOB,
            bytes: u64::from(count(&values)) * 9,
            values,
            failures,
            busy_us: busy.as_micros() as u64,
        }))
    }

    /// The disk has caught up.
    pub fn sync(&mut self) -> &mut Script {
        for (job, upto) in std::mem::take(&mut self.open_tickets) {
            self.on(Event::Durable { job, upto });
        }
        self
    }

    /// Lets all workers work until the job closes.
    pub fn run_to_the_end(&mut self) -> &mut Script {
        for _ in 0..10_000 {
            if self.effects.iter().any(|effect| matches!(effect, Effect::Close(_))) {
                return self.sync().on(Event::Closed(JOB));
            }
            let busy = self.hands.iter().find(|(_, batches)| !batches.is_empty()).map(|(worker, _)| worker.0);
            self.finish_batch(
                busy.expect("somebody has work as long as the job is open"),
                Duration::from_millis(1),
            );
            self.sync();
        }
        panic!("the job does not end");
    }

    /// How the job ended.
    pub fn summary(&self) -> &shared::wire::client::Summary {
        let finish = |effect: &'_ Effect| matches!(effect, Effect::Finish { .. });
        match self.effects.iter().find(|effect| finish(effect)) {
            Some(Effect::Finish { summary, .. }) => summary,
            _ => panic!("the job has not ended"),
        }
    }

    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
