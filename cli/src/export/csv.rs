//! Rows as CSV after RFC 4180, with a line of names first.
//!
//! A null is an empty field and the empty text is `""`. A text stands in quotes where it has to, so that the others stay
//! as they are: the code `000001` keeps its zeros. Floats are the shortest digits that give the same number; those that
//! are none are `nan`, `inf` and `-inf`.

use std::io::{self, Write};

use arrow_array::{
    Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use arrow_schema::{DataType, Schema};

use super::place::Out;

/// See the module.
pub struct Csv {
    out: Out,
    text: Vec<u8>,
}

/// A column on the way to text.
enum Column<'a> {
    Bool(&'a BooleanArray),
    Int(&'a Int64Array),
    Float(&'a Float64Array),
    Text(&'a StringArray),
}

impl Csv {
    pub fn begin(out: Out, schema: &Schema) -> io::Result<Csv> {
        let mut csv = Csv { out, text: Vec::new() };
        for (place, field) in schema.fields().iter().enumerate() {
            csv.separate(place);
            quote(field.name(), &mut csv.text);
        }
        csv.end_line()?;
        Ok(csv)
    }

    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns: Vec<Column<'_>> = batch.columns().iter().map(|column| Column::of(column)).collect();
        for row in 0..batch.num_rows() {
            for (place, column) in columns.iter().enumerate() {
                self.separate(place);
                column.put(row, &mut self.text)?;
            }
            self.end_line()?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn separate(&mut self, place: usize) {
        if place > 0 {
            self.text.push(b',');
        }
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.text.extend_from_slice(b"\r\n");
        self.out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

impl<'a> Column<'a> {
    fn of(array: &'a dyn Array) -> Column<'a> {
        match array.data_type() {
            DataType::Boolean => Column::Bool(array.as_boolean()),
            DataType::Int64 => Column::Int(array.as_primitive::<Int64Type>()),
            DataType::Float64 => Column::Float(array.as_primitive::<Float64Type>()),
            _ => Column::Text(array.as_string()),
        }
    }

    fn put(&self, row: usize, text: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Column::Bool(values) if values.is_valid(row) => write!(text, "{}", values.value(row)),
            Column::Int(values) if values.is_valid(row) => write!(text, "{}", values.value(row)),
            Column::Float(values) if values.is_valid(row) => put_float(values.value(row), text),
            Column::Text(values) if values.is_valid(row) => {
                quote(values.value(row), text);
                Ok(())
            }
            Column::Bool(_) | Column::Int(_) | Column::Float(_) | Column::Text(_) => Ok(()),
        }
    }
}

fn put_float(number: f64, text: &mut Vec<u8>) -> io::Result<()> {
    if number.is_nan() { text.write_all(b"nan") } else { write!(text, "{number:?}") }
}

fn quote(field: &str, text: &mut Vec<u8>) {
    if !field.is_empty() && !field.contains(['"', ',', '\r', '\n']) {
        text.extend_from_slice(field.as_bytes());
        return;
    }
    text.push(b'"');
    text.extend_from_slice(field.replace('"', "\"\"").as_bytes());
    text.push(b'"');
}
