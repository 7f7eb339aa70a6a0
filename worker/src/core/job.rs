//! Jobs and batches as they come and go.

use std::{sync::Arc, time::Instant};

use shared::{
    id::{BatchId, JobId, TaskRange, count},
    job::{JobSpec, Work},
    wire::{
        child::Difference,
        worker::{Batch, FromWorker},
    },
};

use super::{
    Core, Job,
    command::Template,
    event::{Effect, Effects},
    lease::Piece,
    notice::Notice,
    slot::{Doom, State},
};

impl Core {
    pub(super) fn job_described(&mut self, spec: Arc<JobSpec>, now: Instant, out: &mut Effects) {
        let id = spec.id;
        if self.jobs.contains_key(&id) {
            return;
        }
        let job = Job {
            spec: Arc::clone(&spec),
            has_run: false,
            pace: None,
            differs: false,
            unloadable: None,
            granted: None,
        };
        self.jobs.insert(id, job);
        if let Err(message) = self.need_objects(&spec, out) {
            self.give_up_job(id, message, String::new(), now, out);
        }
    }

    pub(super) fn is_command(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| matches!(job.spec.work, Work::Command(_)))
    }

    /// Whether somebody attends to the job's commands while they run.
    pub(super) fn is_attended(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| match &job.spec.work {
            Work::Command(command) => command.attended.is_some(),
            Work::Function(_) => false,
        })
    }

    pub(super) fn signal_asked(&mut self, job: JobId, number: i32, out: &mut Effects) {
        if self.is_attended(job) {
            for place in &self.places {
                let State::Commands(commands) = &place.state else { continue };
                let own = commands.iter().filter(|command| command.job == job);
                out.extend(own.map(|command| Effect::Signal(command.life, number)));
            }
        }
    }

    /// Whether no command of this job has been seen to start here, although all of them are the same program.
    pub(super) fn never_ran(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| match &job.spec.work {
            Work::Command(command) => !job.has_run && Template::has_one_program(command),
            Work::Function(_) => false,
        })
    }

    pub(super) fn granted(&mut self, batch: Batch, now: Instant, out: &mut Effects) {
        let takes = self.closing.is_none();
        match self.jobs.get_mut(&batch.job) {
            Some(job) if takes && job.unloadable.is_none() => {
                job.granted = Some(now);
                self.leases.grant(batch);
            }
            known => {
                if known.is_none() {
                    out.push(Effect::Say(Notice::JobUnknown(batch.job)));
                }
                out.push(Effect::ForgetBatch(batch.id));
                self.send(FromWorker::Returned { batch: batch.id, tasks: batch.tasks }, out);
            }
        }
    }

    /// Hands tasks back to the coordinator. Without one, they are missing from what is held when it asks.
    pub(super) fn hand_back(&mut self, batch: BatchId, tasks: Vec<TaskRange>, out: &mut Effects) {
        if tasks.is_empty() {
            return;
        }
        let number = count(&tasks);
        self.send(FromWorker::Returned { batch, tasks }, out);
        self.leases.release(batch, number, out);
    }

    /// Tasks that were in a process's hands wait again, or are handed back if they were recalled.
    pub(super) fn requeue(&mut self, piece: Piece, out: &mut Effects) {
        let Some(lease) = self.leases.get(piece.batch) else { return };
        if lease.recalled {
            self.hand_back(piece.batch, piece.tasks, out);
        } else if !piece.tasks.is_empty() {
            self.leases.queue.push_front(piece);
        }
    }

    pub(super) fn job_ended(&mut self, job: JobId, now: Instant, out: &mut Effects) {
        if self.jobs.remove(&job).is_none() {
            return;
        }
        self.release_objects(job, out);
        let batches: Vec<BatchId> =
            self.leases.batches().filter(|(_, lease)| lease.job == job).map(|(id, _)| id).collect();
        self.dropped(&batches, out);
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            match &place.state {
                State::Starting(own) if *own == job => self.stop(index, now, out),
                State::Child(child) if child.job == job => self.stop(index, now, out),
                State::Starting(_)
                | State::Child(_)
                | State::Commands(_)
                | State::Empty
                | State::Stopping { .. } => {}
            }
        }
    }

    /// Forgets batches: what waits of them will not run, what runs will not be reported.
    pub(super) fn dropped(&mut self, batches: &[BatchId], out: &mut Effects) {
        for batch in batches {
            self.leases.forget(*batch, out);
            self.gathered.remove(batch);
        }
        for place in &mut self.places {
            match &mut place.state {
                State::Child(child) => {
                    let runs = child.runs.iter_mut().filter(|run| batches.contains(&run.batch));
                    runs.for_each(|run| run.dropped = true);
                }
                State::Commands(commands) => {
                    for command in commands.iter_mut().filter(|command| batches.contains(&command.batch)) {
                        command.dropped = true;
                        if command.doom.replace(Doom::Withdrawn).is_none() {
                            out.push(Effect::Kill(command.life));
                        }
                    }
                }
                State::Empty | State::Starting(_) | State::Stopping { .. } => {}
            }
        }
    }

    /// Says once that a job's processes have other versions of packages than its client.
    pub(super) fn child_differs(&mut self, index: usize, packages: Vec<Difference>, out: &mut Effects) {
        let State::Starting(id) = self.places[index].state else { return };
        let Some(job) = self.jobs.get_mut(&id).filter(|job| self.connected && !job.differs) else { return };
        job.differs = true;
        out.push(Effect::Send(FromWorker::Differs { job: id, packages }));
    }

    /// Says that a job cannot be run here, hands back what is held of it, and ends its processes.
    pub(super) fn give_up_job(
        &mut self,
        id: JobId,
        message: String,
        traceback: String,
        now: Instant,
        out: &mut Effects,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.unloadable.is_some() {
            return;
        }
        job.unloadable = Some((message.clone(), traceback.clone()));
        self.release_objects(id, out);
        out.push(Effect::Say(Notice::JobUnloadable { job: id, message: message.clone() }));
        self.send(FromWorker::Unloadable { job: id, message, traceback }, out);
        for piece in self.leases.take_where(|piece| piece.job == id) {
            self.hand_back(piece.batch, piece.tasks, out);
        }
        for index in 0..self.places.len() {
            if matches!(self.places[index].state, State::Starting(job) if job == id) {
                self.stop(index, now, out);
            }
        }
    }
}
