//! Where batches of rows go: one writer a format.
//!
//! Invariant: what waits in memory is bounded by a row group, whatever the number of columns.

use arrow_array::RecordBatch;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::SchemaRef;

use super::{
    csv::Csv,
    parquet::Parquet,
    place::{Out, Place},
};
use crate::fault::Fault;

/// See the module.
pub enum Sink {
    Parquet(Box<Parquet>),
    /// With an index at its end.
    ArrowFile(Box<FileWriter<Out>>),
    /// For pipes.
    ArrowStream(Box<StreamWriter<Out>>),
    Csv(Csv),
}

impl Sink {
    pub fn parquet(schema: &SchemaRef, place: &Place) -> Result<Sink, Fault> {
        let begun = Parquet::begin(place.out(), schema);
        begun.map(|writer| Sink::Parquet(Box::new(writer))).map_err(|error| place.fault(&error.to_string()))
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
            Sink::Parquet(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Sink::ArrowFile(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Sink::ArrowStream(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Sink::Csv(csv) => csv.write(batch).map_err(|error| error.to_string()),
        };
        place.unless_gone(written)
    }

    pub fn finish(self, place: &Place) -> Result<(), Fault> {
        let finished = match self {
            Sink::Parquet(writer) => writer.finish().map_err(|error| error.to_string()),
            Sink::ArrowFile(mut writer) => writer.finish().map_err(|error| error.to_string()),
            Sink::ArrowStream(mut writer) => writer.finish().map_err(|error| error.to_string()),
            Sink::Csv(csv) => csv.finish().map_err(|error| error.to_string()),
        };
        place.unless_gone(finished)
    }
}
