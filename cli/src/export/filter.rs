//! Which rows are wanted, by the columns of their keys: `--where NAME=FROM..TO`, `--where NAME=A,B`.
//!
//! The column decides what a bound means: numbers are compared as numbers, texts by their bytes.

use std::{borrow::Borrow, str::FromStr};

use arrow_array::{
    Array, ArrayRef, BooleanArray,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};

use super::{cell::Type, choice::Chosen};
use crate::fault::Fault;

/// A condition as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Where {
    name: String,
    wanted: Wanted<String>,
}

/// Values that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted<T> {
    /// From one to the other, both included.
    Within(Option<T>, Option<T>),
    OneOf(Vec<T>),
}

/// A condition on a column whose type is known.
pub struct Filter {
    column: usize,
    test: Test,
}

enum Test {
    Int(Wanted<i64>),
    Float(Wanted<f64>),
    Text(Wanted<String>),
}

impl FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Where, String> {
        let (name, wanted) = text
            .split_once('=')
            .filter(|(name, wanted)| !name.is_empty() && !wanted.is_empty() && *wanted != "..")
            .ok_or("expected NAME=FROM..TO, NAME=FROM.., NAME=..TO or NAME=A,B")?;
        let bound = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let wanted = match wanted.split_once("..") {
            Some((from, to)) => Wanted::Within(bound(from), bound(to)),
            None => Wanted::OneOf(wanted.split(',').map(str::to_owned).collect()),
        };
        Ok(Where { name: name.to_owned(), wanted })
    }
}

impl<T> Wanted<T> {
    fn map<U>(&self, mut parse: impl FnMut(&T) -> Result<U, Fault>) -> Result<Wanted<U>, Fault> {
        Ok(match self {
            Wanted::Within(from, to) => Wanted::Within(
                from.as_ref().map(&mut parse).transpose()?,
                to.as_ref().map(&mut parse).transpose()?,
            ),
            Wanted::OneOf(values) => Wanted::OneOf(values.iter().map(parse).collect::<Result<_, _>>()?),
        })
    }

    fn has<V: PartialOrd + ?Sized>(&self, value: &V) -> bool
    where
        T: Borrow<V>,
    {
        match self {
            Wanted::Within(from, to) => {
                from.as_ref().is_none_or(|from| value >= from.borrow())
                    && to.as_ref().is_none_or(|to| value <= to.borrow())
            }
            Wanted::OneOf(values) => values.iter().any(|wanted| value == wanted.borrow()),
        }
    }
}

impl Where {
    /// The condition on these columns of the keys.
    pub fn on(&self, keys: &Chosen, types: &[Type]) -> Result<Filter, Fault> {
        let name = &self.name;
        let column = keys.names.iter().position(|key| key == name).ok_or_else(|| {
            Fault::usage(format!(
                "--where {name}: the keys have no such column, but {}",
                keys.names.join(", ")
            ))
        })?;
        let test = match types[column] {
            Type::Int64 => Test::Int(self.wanted.map(|text| self.number(text, "an integer"))?),
            Type::Float64 => Test::Float(self.wanted.map(|text| self.number(text, "a number"))?),
            Type::Text => Test::Text(self.wanted.clone()),
            kind @ (Type::Bool | Type::Json) => {
                return Err(Fault::usage(format!(
                    "--where {name}: a column of {} cannot be compared",
                    kind.plural()
                )));
            }
        };
        Ok(Filter { column, test })
    }

    fn number<T: FromStr>(&self, text: &str, what: &str) -> Result<T, Fault> {
        text.parse()
            .map_err(|_| Fault::usage(format!("--where {}: expected {what}, found {text:?}", self.name)))
    }
}

impl Filter {
    fn mask(&self, keys: &[ArrayRef]) -> BooleanArray {
        let column = &keys[self.column];
        let has = |row: usize| {
            column.is_valid(row)
                && match &self.test {
                    Test::Int(wanted) => wanted.has(&column.as_primitive::<Int64Type>().value(row)),
                    Test::Float(wanted) => wanted.has(&column.as_primitive::<Float64Type>().value(row)),
                    Test::Text(wanted) => wanted.has(column.as_string::<i32>().value(row)),
                }
        };
        (0..column.len()).map(|row| Some(has(row))).collect()
    }
}

/// Which rows meet all conditions; `None` if there are no conditions.
pub fn mask(filters: &[Filter], keys: &[ArrayRef]) -> Option<BooleanArray> {
    let masks = filters.iter().map(|filter| filter.mask(keys));
    masks.reduce(|all, one| all.values().iter().zip(one.values()).map(|(a, b)| Some(a && b)).collect())
}
