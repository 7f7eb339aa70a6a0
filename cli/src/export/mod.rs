//! Results as a table for other programs: the rows of a checkpoint, frame by frame, as Parquet, Arrow, CSV or JSON lines.
//!
//! A table needs one type for each column, and only the whole file tells it. So there are two passes: [`survey`] finds
//! what all rows have in common, from the heads alone where they tell it; [`table`] writes them. [`lines`] needs no
//! common type, since each line of JSON stands for itself. [`row`] takes a row apart, [`cell`] says what one item is,
//! [`frame`] reads chosen columns of a frame, [`array`] makes them Arrow's, [`choice`] names and chooses columns,
//! [`filter`] chooses rows, [`sink`], [`parquet`] and [`csv`] write, [`place`] is where to.
//!
//! Invariants: memory is that of one frame and one row group; a value is written as what it is or not at all.

mod array;
mod cell;
mod choice;
mod csv;
mod filter;
mod frame;
mod json;
mod lines;
mod parquet;
mod place;
mod row;
mod sink;
mod survey;
mod table;

pub use self::{
    filter::Where,
    frame::Checkpoint,
    place::Place,
    table::{Options, Written},
};

use self::sink::Sink;
use crate::{args::checkpoint::Format, fault::Fault};

/// Writes the rows of a checkpoint to a place; what was written.
pub fn write(checkpoint: &Checkpoint<'_>, options: &Options<'_>, place: &Place) -> Result<Written, Fault> {
    match options.format {
        Format::Jsonl => lines::write(checkpoint, options.filters, place),
        Format::Parquet => table::write(checkpoint, options, Sink::parquet, place),
        Format::Arrow => table::write(checkpoint, options, Sink::arrow, place),
        Format::Csv => table::write(checkpoint, options, Sink::csv, place),
    }
}

#[cfg(test)]
mod tests;
