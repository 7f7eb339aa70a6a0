//! Batches of rows as Parquet, a row group at a time and in it a column at a time.
//!
//! The library's own writer keeps all columns of a row group open: each has pages and a compressor of its own, and with
//! hundreds of columns these take more than the rows, and leave the heap in pieces. Here rows wait as they are until they
//! make a row group.
//!
//! Invariant: what is in memory is a row group, one column of it compressed, and what the end of the file says of each
//! column chunk.

use ::parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};

use super::place::Out;

/// Bytes that make a row group, uncompressed.
const ROW_GROUP: usize = 64 << 20;

/// See the module.
pub struct Parquet {
    file: SerializedFileWriter<Out>,
    columns: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    waiting: Vec<RecordBatch>,
    bytes: usize,
}

impl Parquet {
    pub fn begin(out: Out, schema: &SchemaRef) -> Result<Parquet, ParquetError> {
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties(schema)))?;
        let (file, columns) = writer.into_serialized_writer()?;
        Ok(Parquet { file, columns, schema: schema.clone(), waiting: Vec::new(), bytes: 0 })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.bytes += batch.get_array_memory_size();
        self.waiting.push(batch.clone());
        if self.bytes >= ROW_GROUP { self.end_group() } else { Ok(()) }
    }

    pub fn finish(mut self) -> Result<(), ParquetError> {
        if !self.waiting.is_empty() {
            self.end_group()?;
        }
        self.file.close().map(drop)
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let columns = self.columns.create_column_writers(self.file.flushed_row_groups().len())?;
        let mut group = self.file.next_row_group()?;
        // No type is nested, so each field is one column.
        for (place, mut column) in columns.into_iter().enumerate() {
            for batch in &self.waiting {
                let leaves = compute_leaves(self.schema.field(place), batch.column(place))?;
                leaves.iter().try_for_each(|leaf| column.write(leaf))?;
            }
            column.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Zstandard; a dictionary for texts alone, since floats hardly ever repeat and each column would try in a megabyte.
fn properties(schema: &Schema) -> WriterProperties {
    let numbers = schema.fields().iter().filter(|field| *field.data_type() != DataType::Utf8);
    let properties = WriterProperties::builder()
        .set_created_by(concat!("maniple ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    numbers
        .fold(properties, |properties, field| {
            properties.set_column_dictionary_enabled(ColumnPath::new(vec![field.name().clone()]), false)
        })
        .build()
}
