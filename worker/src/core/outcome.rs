//! Outcomes of tasks that ended by themselves, on their way into reports.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use shared::{
    id::{BatchId, JobId, TaskIndex, TaskRange, count, push_task},
    msgpack,
    outcome::{Cause, Failure},
    wire::{
        child::{Raised, RaisedKind},
        worker::Report,
    },
};

use super::{
    Core,
    event::{Effect, Effects, Ran},
    ranges,
    slot::{Child, NO_STOP, Run, State},
};

/// How long outcomes of commands wait for others to go with them.
const GATHER: Duration = Duration::from_millis(100);

/// A report of more bytes of values than this is cut, as far as single values allow.
const REPORT_VALUES: usize = 16 << 20;

/// A report with more text in its failures than this is cut.
const REPORT_FAILURES: usize = 256 << 10;

/// How much of a process's output the failures of one frame keep together, and each of them at most.
const OUTPUT_SHARE: (usize, usize) = (128 << 10, 4 << 10);

/// Outcomes of one batch that wait to be reported together.
#[derive(Debug)]
pub struct Gathered {
    pub job: JobId,
    since: Instant,
    values: Vec<TaskRange>,
    failures: Vec<(TaskIndex, Failure)>,
    bytes: BytesMut,
    busy_us: u64,
}

impl Gathered {
    pub fn due(&self) -> Instant {
        self.since + GATHER
    }

    pub fn tasks(&self) -> Vec<TaskRange> {
        let mut tasks = self.values.clone();
        self.failures.iter().for_each(|(task, _)| push_task(&mut tasks, *task));
        tasks
    }
}

/// Outcomes of tasks of one batch.
#[derive(Debug, Default)]
pub struct Outcomes {
    pub values: Vec<TaskRange>,
    pub failures: Vec<(TaskIndex, Failure)>,
    pub bytes: Bytes,
    pub busy_us: u64,
}

impl Core {
    /// Outcomes from a child.
    pub(super) fn ran(&mut self, index: usize, ran: Ran, out: &mut Effects) {
        let place = &self.places[index];
        let State::Child(child) = &place.state else { return };
        let Some((run, covered)) = covered(child, &ran) else {
            let what = format!("it reports {} tasks from ordinal {} on", ran.count, ran.first);
            return self.protocol_broken(index, what, out);
        };
        if !run.dropped {
            let (batch, job) = (run.batch, child.job);
            let limit = self.jobs.get(&job).and_then(|job| job.spec.limits.memory);
            let share = (OUTPUT_SHARE.0 / ran.failures.len().max(1)).min(OUTPUT_SHARE.1);
            let (stdout, stderr) = (end(&ran.stdout, share).to_owned(), end(&ran.stderr, share).to_owned());
            let mut values = Vec::new();
            let mut failures = Vec::with_capacity(ran.failures.len());
            let mut from = run.done;
            let last = run.done + ran.count;
            for raised in ran.failures {
                let position = (raised.ordinal - run.first) as u32;
                ranges::append(&mut values, &ranges::slice(&run.tasks, from, position));
                from = position + 1;
                let task = run.task(position);
                let memory = (limit.unwrap_or(0), child.sample.peak);
                let failure = self.failure(batch, task, place.pid, cause(&raised, memory));
                let Raised { message, traceback, .. } = raised;
                let (stdout, stderr) = (stdout.clone(), stderr.clone());
                failures.push((task, Failure { message, traceback, stdout, stderr, ..failure }));
            }
            ranges::append(&mut values, &ranges::slice(&run.tasks, from, last));
            debug_assert_eq!(count(&covered), count(&values) + failures.len() as u32);
            let outcomes = Outcomes { values, failures, bytes: ran.values, busy_us: ran.busy_us };
            self.report(batch, job, outcomes, out);
        }
        let State::Child(child) = &mut self.places[index].state else { return };
        child.advance(ran.first, ran.count);
        self.places[index].early_deaths = 0;
        self.finish_runs(index, out);
    }

    /// Lets finished runs go; a child that has none left may run on.
    pub(super) fn finish_runs(&mut self, index: usize, out: &mut Effects) {
        let place = &mut self.places[index];
        let State::Child(child) = &mut place.state else { return };
        while child.runs.front().is_some_and(|run| run.done == run.count) {
            child.runs.pop_front();
        }
        if child.runs.is_empty() && child.stop.take().is_some() {
            out.push(Effect::SetStop(place.life, NO_STOP));
        }
    }

    /// The frame of a failure's story.
    pub(super) fn failure(&self, batch: BatchId, task: TaskIndex, pid: u32, cause: Cause) -> Failure {
        Failure {
            message: cause.to_string(),
            cause,
            traceback: String::new(),
            stdout: String::new(),
            stderr: String::new(),
            host: self.settings.host.clone(),
            pid,
            attempt: self.leases.attempt(batch, task),
        }
    }

    /// Reports outcomes, in several reports if they are many bytes.
    pub(super) fn report(&mut self, batch: BatchId, job: JobId, outcomes: Outcomes, out: &mut Effects) {
        let Outcomes { values, mut failures, bytes, mut busy_us } = outcomes;
        let mut values = cut_values(values, bytes).into_iter();
        loop {
            let (tasks, bytes) = values.next().unwrap_or_default();
            let later =
                if values.len() > 0 { std::mem::take(&mut failures) } else { cut_failures(&mut failures) };
            let mut all = tasks.clone();
            failures.iter().for_each(|(task, _)| push_task(&mut all, *task));
            let number = count(&all);
            if number > 0 {
                let id = self.leases.report(batch, job, all);
                let report = Report { id, batch, job, values: tasks, failures, busy_us };
                out.push(Effect::Report(report, bytes));
                self.leases.release(batch, number, out);
                busy_us = 0;
            }
            failures = later;
            if values.len() == 0 && failures.is_empty() {
                return;
            }
        }
    }

    /// Puts a command's outcome to the others of its batch.
    pub(super) fn gather(
        &mut self,
        batch: BatchId,
        job: JobId,
        task: TaskIndex,
        outcome: Result<Bytes, Failure>,
        busy_us: u64,
        now: Instant,
    ) {
        let fresh = || Gathered {
            job,
            since: now,
            values: Vec::new(),
            failures: Vec::new(),
            bytes: BytesMut::new(),
            busy_us: 0,
        };
        let gathered = self.gathered.entry(batch).or_insert_with(fresh);
        gathered.busy_us += busy_us;
        match outcome {
            Ok(value) => {
                push_task(&mut gathered.values, task);
                gathered.bytes.extend_from_slice(&value);
            }
            Err(failure) => gathered.failures.push((task, failure)),
        }
    }

    /// Reports what has been gathered for long enough, or is all that its batch waits for.
    pub(super) fn send_gathered(&mut self, now: Instant, out: &mut Effects) {
        let is_due = |batch: &BatchId, gathered: &Gathered| {
            let left = self.leases.get(*batch).map_or(0, |lease| lease.left);
            let is_all = left == count(&gathered.values) + gathered.failures.len() as u32;
            is_all || gathered.due() <= now || gathered.bytes.len() >= REPORT_VALUES / 4
        };
        let due: Vec<BatchId> =
            self.gathered.iter().filter(|(batch, one)| is_due(batch, one)).map(|(batch, _)| *batch).collect();
        for batch in due {
            let Some(gathered) = self.gathered.remove(&batch) else { continue };
            let Gathered { job, values, failures, bytes, busy_us, .. } = gathered;
            self.report(batch, job, Outcomes { values, failures, bytes: bytes.freeze(), busy_us }, out);
        }
    }
}

/// The run that these outcomes belong to and the tasks that they cover, if they make sense.
fn covered<'a>(child: &'a Child, ran: &Ran) -> Option<(&'a Run, Vec<TaskRange>)> {
    let run = child.runs.front()?;
    let is_next = ran.count > 0 && ran.first == run.first + u64::from(run.done);
    let last = run.done.checked_add(ran.count).filter(|last| is_next && *last <= run.kept)?;
    let ordinals = ran.first..ran.first + u64::from(ran.count);
    let all_in = ran.failures.iter().all(|raised| ordinals.contains(&raised.ordinal));
    let rising = ran.failures.is_sorted_by(|one, next| one.ordinal < next.ordinal);
    (all_in && rising).then(|| (run, ranges::slice(&run.tasks, run.done, last)))
}

impl Child {
    fn advance(&mut self, first: u64, count: u32) {
        if let Some(run) = self.runs.front_mut() {
            run.done += count;
        }
        if self.sample.running < first + u64::from(count) {
            self.sample.running = 0;
        }
    }
}

fn cause(raised: &Raised, (limit, peak): (u64, u64)) -> Cause {
    match raised.kind {
        RaisedKind::Exception => Cause::Exception(raised.type_name.clone()),
        RaisedKind::BadValue => Cause::BadValue,
        RaisedKind::OutOfMemory => Cause::OutOfMemory(limit, peak),
    }
}

/// The last bytes of a text, from a whole character on.
pub(super) fn end(text: &str, limit: usize) -> &str {
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// Cuts values into reports. Values that cannot be walked over stay together: the coordinator will say so.
fn cut_values(tasks: Vec<TaskRange>, bytes: Bytes) -> Vec<(Vec<TaskRange>, Bytes)> {
    if bytes.len() <= REPORT_VALUES {
        return vec![(tasks, bytes)];
    }
    let mut parts = Vec::new();
    let (mut start, mut offset, mut first, mut position) = (0, 0, 0, 0);
    for value in msgpack::values(&bytes) {
        let Ok(value) = value else { return vec![(tasks, bytes)] };
        if offset > start && offset + value.len() - start > REPORT_VALUES {
            parts.push((ranges::slice(&tasks, first, position), bytes.slice(start..offset)));
            (start, first) = (offset, position);
        }
        offset += value.len();
        position += 1;
    }
    parts.push((ranges::slice(&tasks, first, u32::MAX), bytes.slice(start..)));
    parts
}

/// Leaves as many failures as fit into one report; returns the others.
fn cut_failures(failures: &mut Vec<(TaskIndex, Failure)>) -> Vec<(TaskIndex, Failure)> {
    let size = |failure: &Failure| {
        let Failure { message, traceback, stdout, stderr, host, .. } = failure;
        [message, traceback, stdout, stderr, host].iter().map(|text| text.len()).sum::<usize>() + 64
    };
    let mut total = 0;
    let beyond = failures.iter().position(|(_, failure)| {
        total += size(failure);
        total > REPORT_FAILURES
    });
    failures.split_off(beyond.map_or(failures.len(), |at| at.max(1)))
}
