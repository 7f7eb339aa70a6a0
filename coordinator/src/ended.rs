//! How the latest jobs have ended, for clients that were away just then.
//!
//! Pure: what it lets go of, its owner removes from the disk. Of a job only the summary is kept, and of all jobs but the
//! newest only what a client may still ask for: so a coordinator stays as small as it is, however many jobs it sees.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime},
};

use shared::{id::JobId, job::JobSpec, location::Location, wire::client::Summary};

/// How long a summary is kept at most.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many of the newest are kept that long.
const NEWEST: usize = 100;
/// How long any other is kept: a client does not wait longer for a coordinator.
const AWAY: Duration = Duration::from_secs(150);
/// How many characters of a job's work are kept.
const TOLD: usize = 200;

/// What is shown of a job besides how far it is.
#[derive(Debug)]
pub struct Card {
    /// What is done with each task, cut where it is long.
    pub work: String,
    pub checkpoint: Option<Location>,
    /// The time of day when it came.
    pub began: SystemTime,
    pub detached: bool,
    pub wants_results: bool,
}

/// How a job ended.
#[derive(Debug)]
pub struct End {
    pub card: Card,
    pub summary: Summary,
    /// Keys that it had received, repeated ones included.
    pub received: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ended {
    ends: BTreeMap<JobId, End>,
    /// The oldest first.
    order: VecDeque<(SystemTime, JobId)>,
}

impl Card {
    /// That of a job.
    #[must_use]
    pub fn of(spec: &JobSpec, began: SystemTime) -> Card {
        Card {
            work: spec.work.identity().chars().take(TOLD).collect(),
            checkpoint: spec.checkpoint.as_ref().map(|kept| kept.path.clone()),
            began,
            detached: spec.detached,
            wants_results: spec.wants_results,
        }
    }
}

impl Ended {
    /// All that are known.
    pub fn iter(&self) -> impl Iterator<Item = (JobId, &End)> {
        self.ends.iter().map(|(job, end)| (*job, end))
    }

    /// How a job ended, if that is still known.
    #[must_use]
    pub fn get(&self, job: JobId) -> Option<&End> {
        self.ends.get(&job)
    }

    /// A job has ended, none that is known here later than this one; the jobs that are forgotten for it.
    #[must_use]
    pub fn add(&mut self, job: JobId, end: End, at: SystemTime, now: SystemTime) -> Vec<JobId> {
        self.ends.insert(job, end);
        self.order.push_back((at, job));
        let mut forgotten = Vec::new();
        while let Some((at, job)) = self.order.front() {
            // A clock that was set back makes nothing old.
            let age = now.duration_since(*at).unwrap_or_default();
            if age < AWAY || (age < LONGEST && self.order.len() <= NEWEST) {
                break;
            }
            self.ends.remove(job);
            forgotten.push(*job);
            self.order.pop_front();
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use shared::job::{CommandSpec, Work};

    use super::*;

    fn end() -> End {
        let spec = JobSpec::new(JobId(0), Work::Command(CommandSpec::default()));
        End { card: Card::of(&spec, SystemTime::UNIX_EPOCH), summary: Summary::default(), received: 1 }
    }

    /// Jobs that ended after so many seconds each, seen at the last one's end.
    fn ended(at: impl IntoIterator<Item = u64>) -> (Ended, Vec<u64>) {
        let mut ended = Ended::default();
        let mut forgotten = Vec::new();
        for (number, seconds) in at.into_iter().enumerate() {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            forgotten.extend(ended.add(JobId(number as u64), end(), at, at));
        }
        (ended, forgotten.into_iter().map(|job| job.0).collect())
    }

    #[test]
    fn reproduces_a_coordinator_that_kept_all_jobs_that_it_had_ever_had() {
        let (ended, forgotten) = ended((0..10_000).map(|number| number * 10));
        assert_eq!(forgotten, (0..10_000 - NEWEST as u64).collect::<Vec<_>>());
        assert_eq!((ended.ends.len(), ended.order.len()), (NEWEST, NEWEST));
        assert!(ended.get(JobId(0)).is_none() && ended.get(JobId(9_999)).is_some());
    }

    #[test]
    fn a_client_that_comes_back_in_time_finds_its_job_however_many_others_ended() {
        let (ended, forgotten) = ended((0..10_000).map(|number| number / 100));
        assert!(forgotten.is_empty(), "{forgotten:?}");
        assert_eq!(ended.ends.len(), 10_000);
    }

    #[test]
    fn what_is_a_week_old_is_forgotten() {
        let (_, forgotten) = ended([0, 1, LONGEST.as_secs()]);
        assert_eq!(forgotten, [0]);
    }
}
