//! A checkpoint whose frames are gone over, and the columns of one of them: those that are wanted, and nothing else read.

use std::io;

use shared::{
    checkpoint::{
        BadRows, Block, Column, Contents, FileHeader, Head, Judgement, Kind, Layout, Pair, ReadAt, RowKind,
        Side, Table, show,
    },
    msgpack,
};

use super::row::{Row, Shape};
use crate::fault::Fault;

/// A checkpoint that was judged and is not corrupt.
pub struct Checkpoint<'a> {
    pub pair: Pair<'a, dyn ReadAt>,
    pub found: Judgement,
    pub header: FileHeader,
    /// Makes a failure to read one of this file.
    pub fault: &'a dyn Fn(BadRows) -> Fault,
}

/// A frame of values.
pub struct Frame<'a> {
    pub rows: u32,
    contents: Contents<'a, dyn ReadAt>,
    keys: &'a Layout,
    values: &'a Layout,
    fault: &'a dyn Fn(BadRows) -> Fault,
}

impl Checkpoint<'_> {
    /// Shows each frame of values, in order.
    pub fn frames(&self, show: &mut dyn FnMut(Frame<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        for listed in self.pair.frames(&self.found) {
            let listed = listed.map_err(|error| (self.fault)(error.into()))?;
            if let Head { kind: Kind::Values { rows, keys, values, .. }, .. } = &listed.head {
                let contents = Contents::new(listed.source, &listed.frame, &listed.head);
                show(Frame { rows: *rows, contents, keys, values, fault: self.fault })?;
            }
        }
        Ok(())
    }
}

impl Frame<'_> {
    pub fn layout(&self, side: Side) -> &Layout {
        match side {
            Side::Keys => self.keys,
            Side::Outcomes => self.values,
        }
    }

    /// One half as rows of MessagePack.
    pub fn rows(&self, side: Side) -> Result<Vec<u8>, Fault> {
        let block = self.read(self.contents.block(side))?;
        Ok(block.map(Block::into_rows).unwrap_or_default())
    }

    /// Some columns of one half, whose rows all are like `shape`, in the order asked for.
    pub fn columns(&self, side: Side, shape: &Shape, wanted: &[usize]) -> Result<Vec<Column>, Fault> {
        let Some(schema) = &self.layout(side).schema else { return self.split(side, shape, wanted) };
        // The first column of a series is its own name.
        let hidden = usize::from(schema.row == RowKind::Series);
        let places: Vec<usize> =
            shape.places(&Shape::of(schema), wanted).into_iter().map(|place| place + hidden).collect();
        let columns = self.read(self.contents.columns(side, &places))?;
        Ok(columns.expect("it lies in columns"))
    }

    /// The same where rows lie one behind the other.
    fn split(&self, side: Side, shape: &Shape, wanted: &[usize]) -> Result<Vec<Column>, Fault> {
        let bytes = self.rows(side)?;
        let mut columns = vec![Vec::new(); wanted.len()];
        for row in msgpack::values(&bytes).map_while(Result::ok).map(Row::of) {
            if !shape.is_like(&row.shape) {
                let changed = io::Error::other("changed while it was read; export it again");
                return Err((self.fault)(changed.into()));
            }
            for (column, place) in columns.iter_mut().zip(shape.places(&row.shape, wanted)) {
                column.extend_from_slice(&row.items[place]);
            }
        }
        Ok(columns.into_iter().map(Column::Packed).collect())
    }

    /// The key of one row, for people.
    pub fn key(&self, row: usize) -> Result<String, Fault> {
        let keys = self.rows(Side::Keys)?;
        let key = msgpack::values(&keys).flatten().nth(row).map(show::key);
        Ok(key.unwrap_or_default())
    }

    fn read<T>(&self, read: Result<T, BadRows>) -> Result<T, Fault> {
        read.map_err(self.fault)
    }
}

/// A column's items as MessagePack, one behind the other.
pub fn packed(column: Column, rows: u32) -> Vec<u8> {
    match column {
        Column::Packed(bytes) => bytes,
        column @ (Column::Float64(_) | Column::Int64(_) | Column::Text { .. }) => {
            let mut bytes = Vec::new();
            let table = Table { row: RowKind::Scalar, names: Vec::new(), count: rows, columns: vec![column] };
            table.put_rows(&mut bytes);
            bytes
        }
    }
}
