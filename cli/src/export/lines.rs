//! JSON lines: `{"key":..,"value":..}` for each row, whatever its shape.

use std::io::Write;

use arrow_array::BooleanArray;
use shared::{checkpoint::Side, msgpack};

use super::{
    filter::{self, Where},
    frame::Checkpoint,
    json,
    place::Place,
    table::{Half, Written},
};
use crate::fault::Fault;

/// See the module.
pub fn write(checkpoint: &Checkpoint<'_>, filters: &[Where], place: &Place) -> Result<Written, Fault> {
    // Only a condition needs to know what the keys have in common.
    let keys = if filters.is_empty() { None } else { Some(Half::keys(checkpoint, false)?) };
    let filters = keys.as_ref().map(|keys| keys.filters(filters)).transpose()?.unwrap_or_default();
    let (mut written, mut out, mut line) = (Written::default(), place.out(), String::new());
    checkpoint.frames(&mut |frame| {
        written.of += u64::from(frame.rows);
        let mask = match &keys {
            Some(keys) => filter::mask(&filters, &keys.arrays(&frame)?),
            None => None,
        };
        if place.has_no_reader() || mask.as_ref().is_some_and(|mask| mask.true_count() == 0) {
            return Ok(());
        }
        let is_wanted = |row: usize| mask.as_ref().is_none_or(|mask: &BooleanArray| mask.value(row));
        let (keys, values) = (frame.rows(Side::Keys)?, frame.rows(Side::Outcomes)?);
        let pairs = msgpack::values(&keys).flatten().zip(msgpack::values(&values).flatten());
        for (_, (key, value)) in pairs.enumerate().filter(|(row, _)| is_wanted(*row)) {
            line.clear();
            line.push_str(r#"{"key":"#);
            json::put(key, &mut line);
            line.push_str(r#","value":"#);
            json::put(value, &mut line);
            line.push_str("}\n");
            let put = out.write_all(line.as_bytes()).map_err(|error| error.to_string());
            place.unless_gone(put)?;
            written.rows += 1;
        }
        Ok(())
    })?;
    place.unless_gone(out.flush().map_err(|error| error.to_string()))?;
    Ok(written)
}
