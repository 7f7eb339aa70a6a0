//! The objects of a node's jobs that lie on no place of this machine: how much of each is here, and what is asked for.
//!
//! A job's children are started when all of its objects are here. Of each object one piece is on its way; after a lost
//! connection it is gone on where it was. It knows no bytes: what has come is kept by others, who say how far it is.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    id::{JobId, ObjectId},
    job::JobSpec,
    object::PIECE,
    wire::worker::FromWorker,
};

use super::{
    Core,
    event::{Effect, Effects},
};

/// What a node has of its jobs' objects.
#[derive(Debug, Default)]
pub struct Objects {
    known: BTreeMap<ObjectId, Object>,
    /// Memory of the machine that nobody uses, in bytes, once that was read.
    pub free: Option<u64>,
}

#[derive(Debug)]
struct Object {
    size: u64,
    have: u64,
    jobs: BTreeSet<JobId>,
}

impl Objects {
    fn lacks(&self, job: JobId) -> bool {
        self.known.values().any(|object| object.have < object.size && object.jobs.contains(&job))
    }

    fn release(&mut self, job: JobId, out: &mut Effects) {
        self.known.retain(|id, object| {
            if object.jobs.remove(&job) && object.jobs.is_empty() {
                out.push(Effect::DropObject(*id));
            }
            !object.jobs.is_empty()
        });
    }
}

fn fetch(object: ObjectId, at: u64) -> Effect {
    Effect::Send(FromWorker::Fetch { object, at, most: PIECE })
}

impl Core {
    /// Whether something that a job's children need is not here yet.
    pub(super) fn lacks_objects(&self, job: JobId) -> bool {
        self.objects.lacks(job)
    }

    /// A job was described: has its objects come, if there is room.
    pub(super) fn need_objects(&mut self, spec: &JobSpec, out: &mut Effects) -> Result<(), String> {
        let remote = spec.objects.iter().filter(|object| object.is_remote());
        let new: Vec<_> = remote.clone().filter(|spec| !self.objects.known.contains_key(&spec.id)).collect();
        let size = new.iter().map(|object| object.size).fold(0, u64::saturating_add);
        let left = |object: &Object| object.size.saturating_sub(object.have);
        let coming = self.objects.known.values().map(left).fold(0, u64::saturating_add);
        let free = self.objects.free.map(|free| free.saturating_sub(coming));
        if let Some(free) = free.filter(|free| *free < size) {
            out.extend(new.iter().map(|object| Effect::DropObject(object.id)));
            return Err(format!(
                "what the tasks share takes {} MB, and {} has {} MB of memory left",
                size / 1_000_000,
                self.settings.host,
                free / 1_000_000
            ));
        }
        for object in remote {
            let fresh = || Object { size: object.size, have: 0, jobs: BTreeSet::new() };
            self.objects.known.entry(object.id).or_insert_with(fresh).jobs.insert(spec.id);
        }
        out.extend(new.into_iter().map(|object| fetch(object.id, 0)));
        Ok(())
    }

    /// There is a coordinator again: goes on where it was.
    pub(super) fn fetch_again(&self, out: &mut Effects) {
        let partly = self.objects.known.iter().filter(|(_, object)| object.have < object.size);
        out.extend(partly.map(|(id, object)| fetch(*id, object.have)));
    }

    /// So much of an object is here. That it is all of it is said, too.
    pub(super) fn object_grew(&mut self, id: ObjectId, have: u64, out: &mut Effects) {
        if let Some(object) = self.objects.known.get_mut(&id) {
            object.have = have;
            self.send_if(fetch(id, have), out);
        }
    }

    fn send_if(&self, effect: Effect, out: &mut Effects) {
        if self.connected {
            out.push(effect);
        }
    }

    /// The jobs that need an object.
    pub(super) fn jobs_with(&self, id: ObjectId) -> Vec<JobId> {
        self.objects.known.get(&id).map(|object| object.jobs.iter().copied().collect()).unwrap_or_default()
    }

    /// A job needs nothing any more.
    pub(super) fn release_objects(&mut self, job: JobId, out: &mut Effects) {
        self.objects.release(job, out);
    }
}
