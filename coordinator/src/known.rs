//! The values that a checkpoint had of a job's tasks before the job began, for a client that wants them, too.
//!
//! They are read a frame at a time and given out in pieces, as the client can take them. It changes nothing, and is read
//! while nobody writes.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use shared::{
    checkpoint::{BadRows, Depth, FrameAt, Kind, Pair, Rows, Scanner},
    id::push_task,
    location::Location,
    msgpack,
    task_set::TaskSet,
    tasks::TaskList,
};

use crate::{
    disk::{self, DiskFile},
    untaken::Results,
};

/// How much is given out at once; a single value may be larger.
const PIECE_TASKS: usize = 4096;
const PIECE_BYTES: usize = 1 << 20;

/// See the module.
pub struct Known {
    file: Box<dyn DiskFile>,
    frames: std::vec::IntoIter<FrameAt>,
    /// Tasks whose value has not been given out yet.
    left: TaskSet,
    tasks: Arc<RwLock<TaskList>>,
    rows: Rows,
    /// Where the rows go on that have not been looked at.
    at: (usize, usize),
}

impl Known {
    /// What the checkpoint at `path` holds of these tasks.
    pub fn new(path: &Location, left: TaskSet, tasks: Arc<RwLock<TaskList>>) -> io::Result<Known> {
        let disk = disk::of(path)?;
        let file = disk.open(&disk.resolve(path.name())?)?.ok_or(io::ErrorKind::NotFound)?;
        let mut frames = Vec::new();
        Pair::alone(&*file).inspect(Depth::Heads, &mut |_, _, seen| {
            if matches!(seen.head.kind, Kind::Values { .. }) {
                frames.push(seen.frame);
            }
        })?;
        let rows = Rows { keys: Vec::new(), values: Vec::new(), count: 0 };
        Ok(Known { file, frames: frames.into_iter(), left, tasks, rows, at: (0, 0) })
    }

    /// The next piece; `None` when that was all.
    pub fn piece(&mut self) -> Result<Option<Results>, BadRows> {
        loop {
            let piece = self.cut();
            if !piece.tasks.is_empty() {
                return Ok(Some(piece));
            }
            let Some(frame) = self.frames.next() else { return Ok(None) };
            let mut scanner = Scanner::new(&*self.file, frame.offset, frame.end(), None);
            let Ok(head) = scanner.head(&frame)? else { continue };
            if let Some(rows) = Rows::read(&*self.file, &frame, &head)? {
                (self.rows, self.at) = (rows, (0, 0));
            }
        }
    }

    /// As much as is given out at once of the rows at hand, or what is left of them.
    fn cut(&mut self) -> Results {
        let list = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        let keys = msgpack::values(&self.rows.keys[self.at.0..]).map_while(Result::ok);
        let values = msgpack::values(&self.rows.values[self.at.1..]).map_while(Result::ok);
        let (mut tasks, mut piece, mut count) = (Vec::new(), Vec::new(), 0);
        for (key, value) in keys.zip(values) {
            self.at.0 += key.len();
            self.at.1 += value.len();
            let mut task = None;
            list.find_all(key, |found| task = Some(found));
            // Of two values of a task the first counts.
            let Some(task) = task.filter(|&task| self.left.remove(task)) else { continue };
            push_task(&mut tasks, task);
            piece.extend_from_slice(value);
            count += 1;
            if count == PIECE_TASKS || piece.len() >= PIECE_BYTES {
                break;
            }
        }
        Results { tasks, values: piece.into() }
    }
}
