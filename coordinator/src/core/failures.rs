//! Failed tasks by reason, bounded: the counts of all, the stories of a few (promise P8).

use std::collections::HashMap;

use bytes::Bytes;
use shared::{
    id::TaskIndex,
    outcome::{Cause, Failure},
    wire::client::FailureGroup,
};

/// Stories kept per reason.
const EXAMPLES: usize = 5;
/// Reasons kept apart; the rest is one group.
const REASONS: usize = 50;
/// Longest text of a story that is kept: all stories together stay well below a message's limit.
const TOLD_TEXT: usize = 640;
/// The group of what does not fit.
const OTHER: &str = "other reasons";

/// What has failed so far in a job.
#[derive(Debug, Default)]
pub struct Failures {
    groups: HashMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    examples: Vec<(TaskIndex, Failure)>,
}

impl Failures {
    /// One more task has failed for good.
    pub fn add(&mut self, task: TaskIndex, failure: &Failure) {
        let reason = reason(&failure.cause);
        let full = self.groups.len() >= REASONS && !self.groups.contains_key(&reason);
        let group = self.groups.entry(if full { OTHER.into() } else { reason }).or_default();
        group.count += 1;
        if group.examples.len() < EXAMPLES {
            group.examples.push((task, failure.cut(TOLD_TEXT)));
        }
    }

    /// The groups, the largest first; `key` gives a task's key.
    pub fn groups(&self, key: impl Fn(TaskIndex) -> Bytes) -> Vec<FailureGroup> {
        let told = |(reason, group): (&String, &Group)| FailureGroup {
            reason: reason.clone(),
            count: group.count,
            examples: group.examples.iter().map(|(task, failure)| (key(*task), failure.clone())).collect(),
        };
        let mut groups: Vec<FailureGroup> = self.groups.iter().map(told).collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
        groups
    }
}

/// What failures have in common: the cause without its measurements.
fn reason(cause: &Cause) -> String {
    match cause {
        Cause::OutOfMemory(..) => "out of memory".into(),
        Cause::KilledForMemory(_) => "out of memory: the kernel killed its process".into(),
        Cause::Exception(_)
        | Cause::ExitCode { .. }
        | Cause::Signal(_)
        | Cause::Timeout(_)
        | Cause::NodeLost
        | Cause::NotExecuted
        | Cause::BadValue => cause.to_string(),
    }
}
