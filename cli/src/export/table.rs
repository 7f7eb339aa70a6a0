//! The second pass of a table: each frame's chosen columns become a batch of Arrow, and the sink writes it.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use shared::checkpoint::Side;

use super::{
    array::array,
    cell::Type,
    choice::{Chosen, check_distinct},
    filter::{self, Filter, Where},
    frame::{Checkpoint, Frame},
    place::Place,
    sink::Sink,
    survey::{self, Common},
};
use crate::{args::checkpoint::Format, fault::Fault};

/// What is to be written.
pub struct Options<'a> {
    pub format: Format,
    /// Columns of the values by name or number; all if empty.
    pub columns: &'a [String],
    pub filters: &'a [Where],
    pub as_json: bool,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Written {
    pub rows: u64,
    /// Rows that there are.
    pub of: u64,
    /// Names of the columns, if it is a table.
    pub columns: Option<usize>,
}

/// One half of a table.
pub struct Half {
    pub side: Side,
    pub chosen: Chosen,
    pub types: Vec<Type>,
}

impl Half {
    /// The keys.
    pub fn keys(checkpoint: &Checkpoint<'_>, as_json: bool) -> Result<Half, Fault> {
        let common = common(checkpoint, Side::Keys)?;
        Half::new(checkpoint, Side::Keys, Chosen::of_keys(&checkpoint.header, common), as_json)
    }

    fn new(checkpoint: &Checkpoint<'_>, side: Side, chosen: Chosen, as_json: bool) -> Result<Half, Fault> {
        let types = survey::types(checkpoint, side, &chosen, as_json)?;
        Ok(Half { side, chosen, types })
    }

    /// Its columns of one frame.
    pub fn arrays(&self, frame: &Frame<'_>) -> Result<Vec<ArrayRef>, Fault> {
        let columns = frame.columns(self.side, &self.chosen.shape, &self.chosen.places)?;
        let arrays = columns.into_iter().zip(&self.types).enumerate();
        let arrays = arrays.map(|(place, (column, &kind))| {
            array(column, kind, frame.rows).map_err(|misfit| match frame.key(misfit.row) {
                Ok(key) => {
                    let name = &self.chosen.names[place];
                    Fault::usage(format!("column {name:?} of the key {key}: {}", misfit.why))
                }
                Err(fault) => fault,
            })
        });
        arrays.collect()
    }

    /// The conditions on it.
    pub fn filters(&self, filters: &[Where]) -> Result<Vec<Filter>, Fault> {
        filters.iter().map(|filter| filter.on(&self.chosen, &self.types)).collect()
    }

    fn fields(&self) -> impl Iterator<Item = Field> {
        self.chosen.names.iter().zip(&self.types).map(|(name, kind)| Field::new(name, kind.of_arrow(), true))
    }
}

fn common(checkpoint: &Checkpoint<'_>, side: Side) -> Result<Common, Fault> {
    let nothing = || Fault::usage("the checkpoint holds no values, so there is nothing to export");
    survey::shape(checkpoint, side)?.ok_or_else(nothing)
}

/// See the module; `begin` makes the sink for its columns.
pub fn write(
    checkpoint: &Checkpoint<'_>,
    options: &Options<'_>,
    begin: fn(&SchemaRef, &Place) -> Result<Sink, Fault>,
    place: &Place,
) -> Result<Written, Fault> {
    let keys = common(checkpoint, Side::Keys)?;
    let keys = Chosen::of_keys(&checkpoint.header, keys);
    let values = common(checkpoint, Side::Outcomes)?;
    let values = Chosen::of_values(&checkpoint.header, values, options.columns)?;
    check_distinct(&keys, &values)?;
    let keys = Half::new(checkpoint, Side::Keys, keys, options.as_json)?;
    let filters = keys.filters(options.filters)?;
    let values = Half::new(checkpoint, Side::Outcomes, values, options.as_json)?;
    let schema: SchemaRef = Arc::new(Schema::new(keys.fields().chain(values.fields()).collect::<Vec<_>>()));
    let mut sink = begin(&schema, place)?;
    let mut written = Written { columns: Some(schema.fields().len()), ..Written::default() };
    checkpoint.frames(&mut |frame| {
        written.of += u64::from(frame.rows);
        let mut arrays = keys.arrays(&frame)?;
        let mask = filter::mask(&filters, &arrays);
        if place.has_no_reader() || mask.as_ref().is_some_and(|mask| mask.true_count() == 0) {
            return Ok(());
        }
        arrays.extend(values.arrays(&frame)?);
        let rows = RecordBatchOptions::new().with_row_count(Some(frame.rows as usize));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &rows)
            .expect("arrays of these types and this length were made");
        let batch = match mask {
            Some(mask) => filter_record_batch(&batch, &mask).expect("a mask as long as the batch"),
            None => batch,
        };
        written.rows += batch.num_rows() as u64;
        sink.write(&batch, place)
    })?;
    sink.finish(place)?;
    Ok(written)
}
