//! Processes that end: who is to blame, and what becomes of the tasks that they held (promise P5).
//!
//! The beacon names the task that ran; it alone is charged. The others wait again, uncharged, under their old batch.
//! If tasks were held and none ran (the child died over their keys, say), nobody can be named: after the second such
//! death the piece is cut in two each time, until the culprit is alone.

use std::time::{Duration, Instant};

use shared::{
    id::{BatchId, JobId, TaskIndex, TaskRange, count},
    outcome::{Cause, Failure},
    wire::worker::FromWorker,
};

use super::{
    Core,
    command::value,
    event::{Effect, Effects, Ending, How, Life},
    lease::{Piece, cut},
    notice::Notice,
    outcome::{Outcomes, end},
    ranges,
    slot::{Child, Command, Doom, Run, State},
};

/// Deaths in a row, in one slot and before it was ready, after which a job is given up.
const EARLY_DEATHS: u32 = 3;

/// The same if the last one was killed: somebody may have meant another process, but the kernel ends each that takes too
/// much memory by its imports.
const EARLY_KILLS: u32 = 10;

/// The same if a process of the job has been ready here: it does not die of its imports, so somebody kills whatever there
/// is. By the waits between them this takes three minutes.
const LATER_KILLS: u32 = 100;

const SIGKILL: i32 = 9;

/// The wait after the first of them; doubled each time.
const BACKOFF: Duration = Duration::from_millis(100);

/// The longest wait.
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// Deaths without a culprit from which on a piece is cut in two.
const STRIKES: u32 = 2;

/// How much of a dead process's output is kept, and of its fault handler's traceback.
const OUTPUT: (usize, usize) = (4 << 10, 32 << 10);

impl Core {
    pub(super) fn spawned(&mut self, index: usize, life: Life, pid: u32, now: Instant, out: &mut Effects) {
        let place = &mut self.places[index];
        match place.command(life) {
            Some(command) => {
                (command.pid, command.since) = (pid, now);
                let (job, task) = (command.job, command.task);
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.has_run = true;
                }
                if self.is_attended(job) {
                    self.send(FromWorker::Began { job, task, pid }, out);
                }
            }
            None => place.pid = pid,
        }
    }

    pub(super) fn ready(&mut self, index: usize, now: Instant) {
        let place = &mut self.places[index];
        if let State::Starting(job) = place.state {
            place.state = State::Child(Child::new(job, now));
            if let Some(job) = self.jobs.get_mut(&job) {
                job.has_run = true;
            }
        }
    }

    pub(super) fn child_unloadable(
        &mut self,
        index: usize,
        message: String,
        traceback: String,
        now: Instant,
        out: &mut Effects,
    ) {
        if let State::Starting(job) = self.places[index].state {
            self.stop(index, now, out);
            self.give_up_job(job, message, traceback, now, out);
        }
    }

    /// A child said what makes no sense: nothing more of it can be believed.
    pub(super) fn protocol_broken(&mut self, index: usize, what: String, out: &mut Effects) {
        let place = &mut self.places[index];
        let State::Child(child) = &mut place.state else { return };
        if child.doom.is_none() {
            child.doom = Some((0, Doom::BrokeProtocol));
            out.push(Effect::Say(Notice::ProtocolBroken { slot: place.life.slot, what }));
            out.push(Effect::Kill(place.life));
        }
    }

    /// Lets a process that nobody needs end by itself.
    pub(super) fn stop(&mut self, index: usize, now: Instant, out: &mut Effects) {
        let place = &mut self.places[index];
        place.state = State::Stopping { since: now, killed: false };
        out.push(Effect::Stop(place.life));
    }

    pub(super) fn ended(
        &mut self,
        index: usize,
        life: Life,
        ending: Ending,
        now: Instant,
        out: &mut Effects,
    ) {
        let ending = self.named(index, life, ending, now);
        let place = &mut self.places[index];
        if let Some(command) = place.take_command(life) {
            return self.command_ended(command, &ending, now, out);
        }
        let pid = std::mem::take(&mut place.pid);
        match std::mem::replace(&mut place.state, State::Empty) {
            State::Starting(job) => self.died_early(index, job, &ending, now, out),
            State::Child(child) => self.child_died(index, pid, child, &ending, now, out),
            State::Commands(_) | State::Empty | State::Stopping { .. } => {}
        }
    }

    /// The same, if it was killed by nobody here and memory had run out: then the kernel has ended it.
    fn named(&mut self, index: usize, life: Life, ending: Ending, now: Instant) -> Ending {
        let place = &mut self.places[index];
        let is_doomed = match &place.state {
            State::Child(child) => child.doom.is_some(),
            State::Stopping { killed, .. } => *killed,
            State::Commands(_) => place.command(life).is_some_and(|command| command.doom.is_some()),
            State::Starting(_) | State::Empty => false,
        };
        match (&ending.how, ending.toll.oom_kills) {
            (How::Signalled(SIGKILL), Some(count)) if !is_doomed && self.oom_kills.explain(count, now) => {
                Ending { how: How::Starved(ending.toll.peak), ..ending }
            }
            _ => ending,
        }
    }

    fn died_early(&mut self, index: usize, job: JobId, ending: &Ending, now: Instant, out: &mut Effects) {
        self.back_off(index, now);
        let works_elsewhere =
            self.places.iter().any(|place| matches!(&place.state, State::Child(child) if child.job == job));
        let has_run = self.jobs.get(&job).is_some_and(|job| job.has_run);
        let most = match ending.how {
            How::Signalled(SIGKILL) | How::Starved(_) if has_run => LATER_KILLS,
            How::Signalled(SIGKILL) | How::Starved(_) => EARLY_KILLS,
            _ => EARLY_DEATHS,
        };
        let is_hopeless = self.places[index].early_deaths >= most || ending.how.is_no_program();
        if is_hopeless && !works_elsewhere {
            let stderr = ending.stderr.end(OUTPUT.1);
            let last = stderr.trim_end().lines().next_back().unwrap_or("it wrote nothing to stderr").trim();
            let message = match &ending.how {
                How::NotStarted(why) | How::NoProgram(why) => why.clone(),
                how => format!("its process was lost before it was ready, {how}: {last}"),
            };
            self.places[index].early_deaths = 0;
            self.give_up_job(job, message, stderr, now, out);
        }
    }

    fn back_off(&mut self, index: usize, now: Instant) {
        let place = &mut self.places[index];
        place.early_deaths += 1;
        let wait = BACKOFF * 2u32.pow(place.early_deaths.min(10) - 1);
        place.not_before = Some(now + wait.min(BACKOFF_CAP));
    }

    fn child_died(
        &mut self,
        index: usize,
        pid: u32,
        child: Child,
        ending: &Ending,
        now: Instant,
        out: &mut Effects,
    ) {
        let slot = self.places[index].life.slot;
        let is_ours = child.doom.is_some();
        let (blamed, is_fault) = match child.doom {
            Some((ordinal, Doom::Guilty(cause))) => (Some((ordinal, ending.measured(cause))), false),
            Some((_, Doom::Withdrawn | Doom::Squeezed)) => (None, false),
            Some((_, Doom::BrokeProtocol)) => (None, true),
            None if ending.how == How::Lost => (None, false),
            None if ending.running == 0 => (None, true),
            None => (Some((ending.running, ending.how.cause(true))), true),
        };
        let mut runs = child.runs;
        runs.retain(|run| !run.dropped);
        let blamed = blamed.and_then(|(ordinal, cause)| {
            runs.iter().find_map(|run| {
                Some((run.batch, run.task(run.position(ordinal)?))).map(|at| (at, cause.clone()))
            })
        });
        if let Some(((batch, task), cause)) = &blamed {
            out.push(Effect::Say(Notice::TaskKilled { slot, task: *task, cause: cause.clone() }));
            self.charge(*batch, child.job, *task, pid, cause.clone(), ending, out);
        } else if !is_ours {
            out.push(Effect::Say(Notice::ProcessLost { slot, end: ending.how.to_string() }));
        }
        let mut struck = blamed.is_none() && is_fault;
        if struck && !runs.iter().any(|run| run.kept > run.done) {
            self.back_off(index, now);
            struck = false;
        }
        let culprit = blamed.map(|(at, _)| at);
        let mut pieces = Vec::new();
        for run in runs {
            let strike = struck && run.kept > run.done;
            struck &= !strike;
            pieces.extend(self.left_of(&run, culprit, strike, (pid, child.job), ending, out));
        }
        for piece in pieces.into_iter().rev() {
            self.requeue(piece, out);
        }
    }

    /// What waits again of a dead child's run.
    fn left_of(
        &mut self,
        run: &Run,
        culprit: Option<(BatchId, TaskIndex)>,
        strike: bool,
        (pid, job): (u32, JobId),
        ending: &Ending,
        out: &mut Effects,
    ) -> Vec<Piece> {
        let mut tasks = run.rest();
        if let Some((batch, task)) = culprit
            && batch == run.batch
            && let Some(position) = ranges::position(&tasks, task)
        {
            let behind = ranges::slice(&tasks, position + 1, u32::MAX);
            tasks = ranges::slice(&tasks, 0, position);
            ranges::append(&mut tasks, &behind);
        }
        let strikes = run.strikes + u32::from(strike);
        let alone = count(&tasks) == 1;
        if strike && alone && strikes > STRIKES {
            let task = TaskIndex(tasks[0].start);
            self.charge(run.batch, job, task, pid, ending.how.cause(true), ending, out);
            return Vec::new();
        }
        let piece = Piece { batch: run.batch, job, tasks, strikes };
        if piece.tasks.is_empty() {
            Vec::new()
        } else {
            cut(piece, if strike && strikes >= STRIKES { 2 } else { 1 })
        }
    }

    /// Reports the task that a process died of.
    #[expect(clippy::too_many_arguments, reason = "the story of a failure has many parts")]
    fn charge(
        &mut self,
        batch: BatchId,
        job: JobId,
        task: TaskIndex,
        pid: u32,
        cause: Cause,
        ending: &Ending,
        out: &mut Effects,
    ) {
        let failure = self.story(batch, task, pid, cause, ending);
        self.report(batch, job, Outcomes { failures: vec![(task, failure)], ..Outcomes::default() }, out);
    }

    fn story(&self, batch: BatchId, task: TaskIndex, pid: u32, cause: Cause, ending: &Ending) -> Failure {
        let stderr = ending.stderr.end(OUTPUT.1);
        let traceback =
            stderr.rfind("Fatal Python error").map(|at| stderr[at..].to_owned()).unwrap_or_default();
        let stderr = end(&stderr, OUTPUT.0).to_owned();
        let stdout = ending.stdout.end(OUTPUT.0);
        Failure { traceback, stdout, stderr, ..self.failure(batch, task, pid, cause) }
    }

    fn command_ended(&mut self, command: Command, ending: &Ending, now: Instant, out: &mut Effects) {
        let Command { job, batch, task, pid, since, doom, dropped, .. } = command;
        if dropped {
            return;
        }
        let cause = match (doom, &ending.how) {
            (Some(Doom::Withdrawn | Doom::BrokeProtocol), _) => {
                return self.hand_back(batch, vec![TaskRange::one(task)], out);
            }
            (Some(Doom::Squeezed), _) | (None, How::Lost | How::Withdrawn) => {
                return self.again(batch, job, task, out);
            }
            (Some(Doom::Guilty(cause)), _) => Some(ending.measured(cause)),
            (None, How::NoProgram(why)) if self.never_ran(job) => {
                self.give_up_job(job, why.clone(), String::new(), now, out);
                return self.hand_back(batch, vec![TaskRange::one(task)], out);
            }
            (None, How::Exited(0)) => None,
            (None, how) => Some(how.cause(false)),
        };
        let outcome = match cause {
            None => Ok(value(&ending.stdout, &ending.stderr)),
            Some(cause) => {
                let story = self.story(batch, task, pid, cause, ending);
                Err(match &ending.how {
                    How::NotStarted(why) | How::NoProgram(why) => Failure { message: why.clone(), ..story },
                    How::Exited(_) | How::Signalled(_) | How::Starved(_) | How::Withdrawn | How::Lost => {
                        story
                    }
                })
            }
        };
        let took = now.saturating_duration_since(since);
        self.learn_pace(job, took);
        self.gather(batch, job, task, outcome, took.as_micros() as u64, now);
    }

    /// A task waits again, uncharged.
    fn again(&mut self, batch: BatchId, job: JobId, task: TaskIndex, out: &mut Effects) {
        self.requeue(Piece { batch, job, tasks: vec![TaskRange::one(task)], strikes: 0 }, out);
    }

    /// All processes are gone and none of them is to blame.
    pub(super) fn pool_lost(&mut self, out: &mut Effects) {
        self.pool_up = false;
        let mut pieces = Vec::new();
        for place in &mut self.places {
            (place.pid, place.not_before) = (0, None);
            match std::mem::replace(&mut place.state, State::Empty) {
                State::Child(child) => {
                    let runs = child.runs.into_iter().filter(|run| !run.dropped);
                    pieces.extend(runs.map(|run| Piece {
                        batch: run.batch,
                        job: child.job,
                        tasks: run.rest(),
                        strikes: run.strikes,
                    }));
                }
                State::Commands(commands) => {
                    let commands = commands.into_iter().filter(|command| !command.dropped);
                    pieces.extend(commands.map(|Command { batch, job, task, .. }| Piece {
                        batch,
                        job,
                        tasks: vec![TaskRange::one(task)],
                        strikes: 0,
                    }));
                }
                State::Empty | State::Starting(_) | State::Stopping { .. } => {}
            }
        }
        for piece in pieces.into_iter().rev() {
            self.requeue(piece, out);
        }
    }
}

impl Ending {
    /// The cause with the peak that the system has counted, which no reading may have seen.
    fn measured(&self, cause: Cause) -> Cause {
        match cause {
            Cause::OutOfMemory(limit, peak) => Cause::OutOfMemory(limit, peak.max(self.toll.peak)),
            other => other,
        }
    }
}

impl How {
    fn is_no_program(&self) -> bool {
        matches!(self, How::NoProgram(_))
    }

    fn cause(&self, died: bool) -> Cause {
        match self {
            How::Exited(code) => Cause::ExitCode { code: *code, died },
            How::Signalled(number) => Cause::Signal(*number),
            How::Starved(peak) => Cause::KilledForMemory(*peak),
            How::NotStarted(_) | How::NoProgram(_) | How::Withdrawn | How::Lost => Cause::NotExecuted,
        }
    }
}
