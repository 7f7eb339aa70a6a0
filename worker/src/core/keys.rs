//! The keys of the batches that are held, as the bytes that came: any part of a batch is found without decoding.

use std::{collections::HashMap, ops::Range};

use bytes::{Bytes, BytesMut};
use shared::{
    id::{BatchId, TaskIndex, TaskRange, count},
    msgpack::{self, Malformed},
    wire::worker::Batch,
};

use super::ranges;

/// Keys by batch.
#[derive(Debug, Default)]
pub struct Keys {
    batches: HashMap<BatchId, (Vec<TaskRange>, Bytes)>,
}

impl Keys {
    /// Keeps a batch's keys.
    pub fn insert(&mut self, batch: &Batch, keys: Bytes) {
        self.batches.insert(batch.id, (batch.tasks.clone(), keys));
    }

    /// Lets a batch's keys go.
    pub fn forget(&mut self, batch: BatchId) {
        self.batches.remove(&batch);
    }

    /// One task's key.
    pub fn one(&self, batch: BatchId, task: TaskIndex) -> Result<Bytes, Malformed> {
        self.some(batch, &[TaskRange::one(task)])
    }

    /// The keys of some tasks of a batch, one behind the other.
    pub fn some(&self, batch: BatchId, tasks: &[TaskRange]) -> Result<Bytes, Malformed> {
        let (all, keys) = self.batches.get(&batch).ok_or(Malformed)?;
        if tasks == all.as_slice() {
            return Ok(keys.clone());
        }
        let mut spans = Vec::with_capacity(tasks.len());
        let mut cursor = Cursor { keys, position: 0, offset: 0 };
        for range in tasks {
            let first = ranges::position(all, TaskIndex(range.start)).ok_or(Malformed)?;
            spans.push(cursor.span(first, range.len())?);
        }
        Ok(match spans.as_slice() {
            [one] => keys.slice(one.clone()),
            many => many.iter().map(|span| &keys[span.clone()]).collect::<Vec<_>>().concat().into(),
        })
    }

    /// The same as one MessagePack array, for a child.
    pub fn array(&self, batch: BatchId, tasks: &[TaskRange]) -> Result<Bytes, Malformed> {
        let keys = self.some(batch, tasks)?;
        let mut marker = Vec::with_capacity(5);
        rmp::encode::write_array_len(&mut marker, count(tasks)).map_err(|_| Malformed)?;
        let mut array = BytesMut::with_capacity(marker.len() + keys.len());
        array.extend_from_slice(&marker);
        array.extend_from_slice(&keys);
        Ok(array.freeze())
    }
}

/// Walks over keys; goes back to the start only if it has to.
struct Cursor<'a> {
    keys: &'a [u8],
    position: u32,
    offset: usize,
}

impl Cursor<'_> {
    fn span(&mut self, first: u32, len: u32) -> Result<Range<usize>, Malformed> {
        if first < self.position {
            (self.position, self.offset) = (0, 0);
        }
        let start = self.walk(first - self.position)?;
        Ok(start..self.walk(len)?)
    }

    fn walk(&mut self, values: u32) -> Result<usize, Malformed> {
        for _ in 0..values {
            self.offset += msgpack::value_len(&self.keys[self.offset..])?;
            self.position += 1;
        }
        Ok(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use shared::id::{Epoch, JobId};

    use super::*;

    #[test]
    fn any_part_of_a_batch_is_found() {
        let id = BatchId { epoch: Epoch(1), number: 1 };
        let tasks = vec![TaskRange::new(10, 12), TaskRange::new(3, 6)];
        let batch = Batch { id, job: JobId(1), tasks: tasks.clone(), attempts: Vec::new() };
        let mut keys = Keys::default();
        keys.insert(&batch, Bytes::from_static(&[10, 0xa1, 11, 3, 0x91, 4, 5]));
        let some = |tasks: &[TaskRange]| keys.some(id, tasks).map(|bytes| bytes.to_vec());
        assert_eq!(some(&tasks), Ok(vec![10, 0xa1, 11, 3, 0x91, 4, 5]));
        assert_eq!(some(&[TaskRange::new(4, 6)]), Ok(vec![0x91, 4, 5]));
        assert_eq!(some(&[TaskRange::new(5, 6), TaskRange::new(11, 12)]), Ok(vec![5, 0xa1, 11]));
        assert_eq!(some(&[TaskRange::new(6, 7)]), Err(Malformed));
        assert_eq!(keys.array(id, &[TaskRange::new(4, 5)]).unwrap(), [0x91, 0x91, 4].as_slice());
        keys.forget(id);
        assert_eq!(keys.one(id, TaskIndex(3)), Err(Malformed));
    }
}
