//! Again, or failed for good: the one place where the retry of a poison task is decided.

use std::collections::HashMap;

use shared::{
    id::{Attempt, TaskIndex},
    job::Limits,
    outcome::{Cause, FailureClass},
};

/// What becomes of a task whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is tried again.
    Again,
    /// That was the last attempt; it was this one.
    Final(Attempt),
}

/// The failed attempts of a job's tasks. Tasks that never failed cost nothing.
#[derive(Debug, Default)]
pub struct Tries {
    failed: HashMap<TaskIndex, Failed>,
    retries: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Failed {
    deaths: u16,
    errors: u16,
}

impl Tries {
    /// Judges a failed attempt.
    pub fn judge(&mut self, task: TaskIndex, cause: &Cause, limits: &Limits) -> Verdict {
        let failed = self.failed.entry(task).or_default();
        let (count, limit) = match cause.class() {
            FailureClass::Death => (&mut failed.deaths, limits.death_retries),
            FailureClass::Error => (&mut failed.errors, limits.error_retries),
        };
        let again = *count < limit;
        *count += 1;
        let attempts = failed.deaths + failed.errors;
        if again {
            self.retries += 1;
            Verdict::Again
        } else {
            self.failed.remove(&task);
            Verdict::Final(Attempt(attempts))
        }
    }

    /// The attempt that a task is about to make.
    pub fn attempt(&self, task: TaskIndex) -> Attempt {
        self.failed.get(&task).map_or(Attempt::FIRST, |failed| Attempt(failed.deaths + failed.errors).next())
    }

    /// A task that is tried again has got a value: the attempt that gave it.
    pub fn succeeded(&mut self, task: TaskIndex) -> Option<Attempt> {
        self.failed.remove(&task).map(|failed| Attempt(failed.deaths + failed.errors).next())
    }

    /// Whether any task is to be tried again.
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }

    /// Attempts so far that were followed by another.
    pub fn retries(&self) -> u64 {
        self.retries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_and_errors_have_limits_of_their_own() {
        let limits = Limits { death_retries: 2, error_retries: 1, ..Limits::default() };
        let mut tries = Tries::default();
        let task = TaskIndex(7);
        let error = Cause::Exception("ValueError".into());
        assert_eq!(tries.judge(task, &Cause::Signal(11), &limits), Verdict::Again);
        assert_eq!(tries.judge(task, &error, &limits), Verdict::Again);
        assert_eq!(tries.judge(task, &Cause::Signal(11), &limits), Verdict::Again);
        assert_eq!(tries.attempt(task), Attempt(4));
        assert_eq!(tries.judge(task, &error, &limits), Verdict::Final(Attempt(4)));
        assert_eq!((tries.retries(), tries.is_empty()), (3, true));
    }

    #[test]
    fn by_default_an_exception_is_final_and_a_death_is_not() {
        let mut tries = Tries::default();
        let limits = Limits::default();
        let exception = Cause::Exception("ValueError".into());
        assert_eq!(tries.judge(TaskIndex(0), &exception, &limits), Verdict::Final(Attempt(1)));
        for _ in 0..3 {
            assert_eq!(tries.judge(TaskIndex(1), &Cause::Signal(9), &limits), Verdict::Again);
        }
        assert_eq!(tries.judge(TaskIndex(1), &Cause::Signal(9), &limits), Verdict::Final(Attempt(4)));
    }
}
