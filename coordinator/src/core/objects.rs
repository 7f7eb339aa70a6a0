//! The objects that jobs need and that this coordinator hands on: which it has, which piece it asks of whom, and which
//! worker gets a piece now. It knows no bytes: who writes and reads them is told by effects.
//!
//! Invariants: of all objects of a job one piece at a time is on its way from its client, and none is asked for before the
//! one before it was written; to all workers together at most [`WAYS`] pieces are on their way; an object that no job needs is not
//! kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shared::{
    id::{JobId, ObjectId, WorkerId},
    object::{ObjectSpec, PIECE},
    wire::client::{StopCause, Stopped},
};

/// Pieces that are on their way to workers at once: 64 MiB.
pub const WAYS: usize = 32;

/// Something happened to an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A job needs these; of some the disk has all bytes.
    Needed { job: JobId, objects: Vec<ObjectSpec>, kept: BTreeSet<ObjectId> },
    /// The job's client can be asked; what it was asked for by another connection will not come.
    ClientHere(JobId),
    /// It cannot any more.
    ClientGone(JobId),
    /// The job's client sent a piece.
    Came { job: JobId, object: ObjectId, at: u64, len: u64 },
    /// All up to here is written.
    Written { object: ObjectId, upto: u64 },
    /// It is whole, and as durable as it is going to be.
    Sealed(ObjectId),
    /// It cannot be kept.
    Failed { object: ObjectId, stopped: Stopped },
    /// A worker has all up to here and wants more.
    Asked { worker: WorkerId, object: ObjectId, at: u64, most: u32 },
    /// A worker's connection is over.
    WorkerGone(WorkerId),
    /// A job has ended.
    JobEnded(JobId),
}

/// What is to be done with an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the job's client for a piece.
    Ask { job: JobId, object: ObjectId, at: u64, most: u32 },
    /// Write the piece that has just come.
    Write { object: ObjectId, at: u64 },
    /// All of it is written: see whether it is right, and keep it.
    Seal { object: ObjectId, crc: Option<u32> },
    /// The job has all that it needs.
    Ready(JobId),
    /// The job cannot go on.
    Stop(JobId, Stopped),
    /// Send a worker a piece.
    Send { worker: WorkerId, object: ObjectId, at: u64, len: u32 },
    /// Nobody needs it any more.
    Drop(ObjectId),
}

/// How much of an object is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// So many bytes.
    Part(u64),
    /// These are being written, up to here.
    Writing(u64),
    /// All are, and it is being sealed.
    Sealing,
    /// All of it.
    Whole,
    /// It cannot be kept: its jobs are ending.
    Failed,
}

#[derive(Debug)]
struct Object {
    size: u64,
    crc: Option<u32>,
    jobs: BTreeSet<JobId>,
    stage: Stage,
    /// Whose client was asked for the next piece, until that is written.
    asked: Option<JobId>,
}

/// What a worker waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    worker: WorkerId,
    object: ObjectId,
    at: u64,
    len: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Objects {
    known: BTreeMap<ObjectId, Object>,
    /// Jobs whose clients are here.
    clients: BTreeSet<JobId>,
    wishes: VecDeque<Wish>,
    under_way: BTreeSet<(WorkerId, ObjectId)>,
}

impl Objects {
    /// Takes note of an event, and says what is to be done.
    pub fn on(&mut self, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Needed { job, objects, kept } => self.needed(job, &objects, &kept, out),
            Event::ClientHere(job) => {
                self.nobody_answers(job);
                self.clients.insert(job);
                self.ask_for(job, out);
            }
            Event::ClientGone(job) => {
                self.clients.remove(&job);
                let others = self.nobody_answers(job);
                self.ask_all(&others, out);
            }
            Event::Came { job, object, at, len } => self.came(job, object, at, len, out),
            Event::Written { object, upto } => self.written(object, upto, out),
            Event::Sealed(object) => self.sealed(object, out),
            Event::Failed { object, stopped } => {
                if let Some(known) = self.known.get_mut(&object) {
                    (known.stage, known.asked) = (Stage::Failed, None);
                    out.extend(known.jobs.iter().map(|job| Effect::Stop(*job, stopped.clone())));
                }
            }
            Event::Asked { worker, object, at, most } => self.wished(worker, object, at, most),
            Event::WorkerGone(worker) => {
                self.wishes.retain(|wish| wish.worker != worker);
                self.under_way.retain(|(other, _)| *other != worker);
            }
            Event::JobEnded(job) => self.job_ended(job, out),
        }
        self.grant_wishes(out);
    }

    /// Whether something that a job needs is not here yet.
    #[must_use]
    pub fn lacks(&self, job: JobId) -> bool {
        self.known.values().any(|known| known.jobs.contains(&job) && known.stage != Stage::Whole)
    }

    fn needed(
        &mut self,
        job: JobId,
        objects: &[ObjectSpec],
        kept: &BTreeSet<ObjectId>,
        out: &mut Vec<Effect>,
    ) {
        for spec in objects.iter().filter(|spec| spec.is_remote()) {
            let stage = if kept.contains(&spec.id) { Stage::Whole } else { Stage::Part(0) };
            let known = self.known.entry(spec.id).or_insert_with(|| Object {
                size: spec.size,
                crc: spec.crc,
                jobs: BTreeSet::new(),
                stage,
                asked: None,
            });
            if known.stage == Stage::Failed {
                // Of jobs that are ending: this one may have better luck.
                known.stage = Stage::Part(0);
            }
            known.jobs.insert(job);
            if spec.size == 0 || (known.size, known.crc) != (spec.size, spec.crc) {
                out.push(Effect::Stop(job, nonsense("describes an object that cannot be")));
            }
        }
    }

    /// What the job's client was asked for will not come: who else needs it.
    fn nobody_answers(&mut self, job: JobId) -> BTreeSet<JobId> {
        let mut others = BTreeSet::new();
        for known in self.known.values_mut().filter(|known| known.asked == Some(job)) {
            if matches!(known.stage, Stage::Part(_)) {
                known.asked = None;
                others.extend(&known.jobs);
            }
        }
        others
    }

    /// Asks a job's client for a piece of what the job lacks, if it is there and not busy with another.
    fn ask_for(&mut self, job: JobId, out: &mut Vec<Effect>) {
        let is_busy = self.known.values().any(|known| known.asked == Some(job));
        if is_busy || !self.clients.contains(&job) {
            return;
        }
        let own =
            self.known.iter_mut().filter(|(_, known)| known.jobs.contains(&job) && known.asked.is_none());
        let mut lacking = own.filter_map(|(id, known)| match known.stage {
            Stage::Part(at) => Some((*id, at, known)),
            Stage::Writing(_) | Stage::Sealing | Stage::Whole | Stage::Failed => None,
        });
        if let Some((object, at, known)) = lacking.next() {
            known.asked = Some(job);
            out.push(Effect::Ask { job, object, at, most: PIECE });
        }
    }

    /// The same of all jobs that need an object.
    fn ask_all(&mut self, jobs: &BTreeSet<JobId>, out: &mut Vec<Effect>) {
        for job in jobs {
            self.ask_for(*job, out);
        }
    }

    fn came(&mut self, job: JobId, object: ObjectId, at: u64, len: u64, out: &mut Vec<Effect>) {
        let expected = self.known.get_mut(&object).filter(|known| {
            let fits = len > 0 && len <= u64::from(PIECE) && len <= known.size.saturating_sub(at);
            known.asked == Some(job) && known.stage == Stage::Part(at) && fits
        });
        match expected {
            Some(known) => {
                known.stage = Stage::Writing(at + len);
                out.push(Effect::Write { object, at });
            }
            None => out.push(Effect::Stop(job, nonsense("sent a piece of an object that nobody asked for"))),
        }
    }

    fn written(&mut self, object: ObjectId, upto: u64, out: &mut Vec<Effect>) {
        let Some(known) = self.known.get_mut(&object) else { return };
        if known.stage != Stage::Writing(upto) {
            return; // of an earlier object of this id
        }
        known.asked = None;
        if upto == known.size {
            known.stage = Stage::Sealing;
            out.push(Effect::Seal { object, crc: known.crc });
        } else {
            known.stage = Stage::Part(upto);
        }
        let jobs = known.jobs.clone();
        self.ask_all(&jobs, out);
    }

    fn sealed(&mut self, object: ObjectId, out: &mut Vec<Effect>) {
        let Some(known) = self.known.get_mut(&object).filter(|known| known.stage == Stage::Sealing) else {
            return;
        };
        known.stage = Stage::Whole;
        let jobs = known.jobs.clone();
        out.extend(jobs.into_iter().filter(|job| !self.lacks(*job)).map(Effect::Ready));
    }

    fn wished(&mut self, worker: WorkerId, object: ObjectId, at: u64, most: u32) {
        self.under_way.remove(&(worker, object));
        self.wishes.retain(|wish| (wish.worker, wish.object) != (worker, object));
        let Some(known) = self.known.get(&object) else { return };
        let left = known.size.saturating_sub(at).min(u64::from(most.min(PIECE)));
        if left > 0 {
            let len = u32::try_from(left).unwrap_or(PIECE);
            self.wishes.push_back(Wish { worker, object, at, len });
        }
    }

    fn grant_wishes(&mut self, out: &mut Vec<Effect>) {
        let whole = |known: &Object| known.stage == Stage::Whole;
        while self.under_way.len() < WAYS {
            let granted = |wish: &Wish| self.known.get(&wish.object).is_some_and(whole);
            let Some(at) = self.wishes.iter().position(granted) else { return };
            let Some(Wish { worker, object, at, len }) = self.wishes.remove(at) else { return };
            self.under_way.insert((worker, object));
            out.push(Effect::Send { worker, object, at, len });
        }
    }

    fn job_ended(&mut self, job: JobId, out: &mut Vec<Effect>) {
        self.clients.remove(&job);
        let others = self.nobody_answers(job);
        let mut dropped = BTreeSet::new();
        self.known.retain(|object, known| {
            if known.jobs.remove(&job) && known.jobs.is_empty() {
                dropped.insert(*object);
            }
            !known.jobs.is_empty()
        });
        self.wishes.retain(|wish| !dropped.contains(&wish.object));
        self.under_way.retain(|(_, object)| !dropped.contains(object));
        out.extend(dropped.into_iter().map(Effect::Drop));
        self.ask_all(&others, out);
    }
}

fn nonsense(what: &str) -> Stopped {
    let message = format!("the client {what}; is it of another version?");
    Stopped { why: StopCause::Internal, message }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
