//! What a checkpoint has of a job's tasks, before work begins: found by a scan, and told to a client that wants it.

use std::sync::{Arc, PoisonError, RwLock};

use shared::{task_set::TaskSet, tasks::TaskList, wire::client::StopCause};

use super::{Answer, FULL_PATIENCE, Writer};
use crate::{checkpoint::Recorded, known::Known};

impl<A: FnMut(Answer)> Writer<A> {
    pub(super) fn scan(&mut self, list: &Arc<RwLock<TaskList>>) {
        let tasks = list.read().unwrap_or_else(PoisonError::into_inner);
        let mut values = TaskSet::below(tasks.len());
        let opened = self.open(FULL_PATIENCE, &mut |recorded, keys, _| match recorded {
            Recorded::Values => tasks.find_all(keys, |task| {
                values.insert(task);
            }),
            // A failure, before or after, does not hide a value.
            Recorded::Failures => {}
        });
        let Some(shape) = opened else { return };
        let Some(checkpoint) = self.spec.checkpoint.as_ref().filter(|_| self.spec.wants_known) else {
            return (self.answer)(Answer::Scanned(values, shape));
        };
        match Known::new(&checkpoint.path, values.clone(), Arc::clone(list)) {
            Ok(known) => {
                self.telling = Some((known, values, shape));
                self.tell();
            }
            Err(error) => self.fail_to_tell(&error),
        }
    }

    pub(super) fn tell(&mut self) {
        let Some((known, ..)) = &mut self.telling else { return };
        match known.piece() {
            Ok(Some(piece)) => (self.answer)(Answer::Known(piece)),
            Ok(None) => self.begin_work(),
            Err(error) => self.fail_to_tell(&error),
        }
    }

    pub(super) fn begin_work(&mut self) {
        if let Some((_, values, shape)) = self.telling.take() {
            (self.answer)(Answer::Scanned(values, shape));
        }
    }

    fn fail_to_tell(&mut self, error: &dyn std::error::Error) {
        let path = self.spec.checkpoint.as_ref().map_or("".into(), |kept| kept.path.name().to_string_lossy());
        let message = format!("failed to read {path}: {error}; maniple checkpoint verify says more");
        self.telling = None;
        self.fail(StopCause::Checkpoint, message);
    }
}
