//! What the next coordinator has to know of the end of a job, before anybody is told.

use std::{io, path::Path, time::Duration};

use shared::wire::client::Summary;

use super::{Answer, Writer};
use crate::shelf;

impl<A: FnMut(Answer)> Writer<A> {
    pub(super) fn keep_stop(&mut self, grace: Duration) {
        match self.dir.as_deref().map_or(Ok(()), |dir| shelf::keep_stop(dir, grace)) {
            Ok(()) => (self.answer)(Answer::StopKept),
            Err(error) => {
                tracing::warn!(job = %self.spec.id, %error, "failed to keep that a job is to stop; a restart goes on with it");
            }
        }
    }

    pub(super) fn keep_end(&mut self, summary: Box<Summary>) {
        if let Some(dir) = &self.dir
            && let Err(error) = keep_end(dir, &summary)
        {
            tracing::warn!(job = %self.spec.id, %error, "failed to keep the end of a job; it is forgotten");
            // Without an end it would begin again with the next coordinator. To remove it takes no room.
            if let Err(error) = std::fs::remove_dir_all(dir).and_then(|()| shelf::sync_folder_of(dir)) {
                tracing::warn!(path = %dir.display(), %error, "failed to remove an ended job");
            }
        }
        (self.answer)(Answer::Ended(summary));
    }
}

fn keep_end(dir: &Path, summary: &Summary) -> io::Result<()> {
    let bytes = rmp_serde::to_vec_named(summary).map_err(io::Error::other)?;
    shelf::write_durably(&dir.join("summary"), &bytes)?;
    std::fs::remove_file(dir.join("tasks")).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}
