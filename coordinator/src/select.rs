//! Picks the values that count out of a report in which some came too late.

use bytes::Bytes;
use shared::{
    id::{TaskIndex, TaskRange},
    msgpack::{self, Malformed},
};

/// The values of `wanted`, one behind the other; `payload` holds those of `reported`, of which `wanted` is a part.
///
/// All of them are the payload itself; checks that there is one value for each task.
pub fn select(payload: &Bytes, reported: &[TaskRange], wanted: &[TaskRange]) -> Result<Bytes, Malformed> {
    if reported == wanted {
        return Ok(payload.clone());
    }
    let tasks = reported.iter().flat_map(|range| range.tasks());
    let mut values = msgpack::values(payload);
    let mut picked = Vec::new();
    for task in tasks {
        let value = values.next().ok_or(Malformed)??;
        if holds(wanted, task) {
            picked.extend_from_slice(value);
        }
    }
    Ok(picked.into())
}

fn holds(ranges: &[TaskRange], task: TaskIndex) -> bool {
    ranges.iter().any(|range| (range.start..range.end).contains(&task.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_picked_in_order() {
        let range = TaskRange::new;
        let payload = Bytes::from_static(&[1, 0xa1, b'x', 3, 0xc0]);
        let picked = select(&payload, &[range(10, 12), range(20, 22)], &[range(11, 12), range(21, 22)]);
        assert_eq!(picked.as_deref(), Ok(&[0xa1, b'x', 0xc0][..]));
        assert_eq!(select(&payload, &[range(0, 4)], &[range(0, 4)]), Ok(payload.clone()));
        assert_eq!(select(&payload, &[range(0, 9)], &[range(8, 9)]), Err(Malformed));
    }
}
