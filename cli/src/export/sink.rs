//! Where batches of rows go: one writer a format.
//!
//! Invariant: what waits in memory is bounded by a row group, whatever the number of columns.

use arrow_array::RecordBatch;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{DataType, Schema, SchemaRef};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::{
    csv::Csv,
    place::{Out, Place},
};
use crate::fault::Fault;

/// Bytes that wait for the end of a row group.
const ROW_GROUP: usize = 64 << 20;

/// See the module.
pub enum Sink {
    Parquet(Box<ArrowWriter<Out>>),
    /// With an index at its end.
    ArrowFile(Box<FileWriter<Out>>),
    /// For pipes.
    ArrowStream(Box<StreamWriter<Out>>),
    Csv(Csv),
}

impl Sink {
    pub fn parquet(schema: &SchemaRef, place: &Place) -> Result<Sink, Fault> {
        let writer = ArrowWriter::try_new(place.out(), schema.clone(), Some(properties(schema)));
        writer.map(|writer| Sink::Parquet(Box::new(writer))).map_err(|error| place.fault(&error.to_string()))
    }

    pub fn arrow(schema: &SchemaRef, place: &Place) -> Result<Sink, Fault> {
        let sink = if place.is_stream() {
            StreamWriter::try_new(place.out(), schema).map(|writer| Sink::ArrowStream(Box::new(writer)))
        } else {
            FileWriter::try_new(place.out(), schema).map(|writer| Sink::ArrowFile(Box::new(writer)))
        };
        sink.map_err(|error| place.fault(&error.to_string()))
    }

    pub fn csv(schema: &SchemaRef, place: &Place) -> Result<Sink, Fault> {
        Csv::begin(place.out(), schema).map(Sink::Csv).map_err(|error| place.fault(&error.to_string()))
    }

    pub fn write(&mut self, batch: &RecordBatch, place: &Place) -> Result<(), Fault> {
        let written = match self {
            Sink::Parquet(writer) => writer
                .write(batch)
                .and_then(|()| if writer.memory_size() >= ROW_GROUP { writer.flush() } else { Ok(()) })
                .map_err(|error| error.to_string()),
            Sink::ArrowFile(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Sink::ArrowStream(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Sink::Csv(csv) => csv.write(batch).map_err(|error| error.to_string()),
        };
        place.unless_gone(written)
    }

    pub fn finish(self, place: &Place) -> Result<(), Fault> {
        let finished = match self {
            Sink::Parquet(writer) => writer.close().map(drop).map_err(|error| error.to_string()),
            Sink::ArrowFile(mut writer) => writer.finish().map_err(|error| error.to_string()),
            Sink::ArrowStream(mut writer) => writer.finish().map_err(|error| error.to_string()),
            Sink::Csv(csv) => csv.finish().map_err(|error| error.to_string()),
        };
        place.unless_gone(finished)
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
