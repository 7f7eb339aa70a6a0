//! Which columns a table has and what they are called.
//!
//! Names come from the checkpoint's header, else from the rows themselves, else they are made up.

use shared::checkpoint::FileHeader;

use super::{row::Shape, survey::Common};
use crate::fault::Fault;

/// Columns of one half.
pub struct Chosen {
    /// Of all rows of that half.
    pub shape: Shape,
    /// Where each column stands in a row of that shape.
    pub places: Vec<usize>,
    /// What each is called.
    pub names: Vec<String>,
}

impl Chosen {
    /// All fields of the keys.
    pub fn of_keys(header: &FileHeader, keys: Common) -> Chosen {
        let usual = keys.starts_as_usual.then(|| vec!["date".to_owned(), "code".to_owned()]);
        let names = told(&header.key_columns, &keys.shape).or(usual);
        Chosen::all(keys.shape, names, "key")
    }

    /// Columns of the values: those asked for, or all.
    pub fn of_values(header: &FileHeader, values: Common, asked: &[String]) -> Result<Chosen, Fault> {
        let names = told(&header.columns, &values.shape);
        let all = match values.shape {
            Shape::One => {
                Chosen::all(Shape::One, Some(names.unwrap_or_else(|| vec!["value".to_owned()])), "c")
            }
            shape @ (Shape::Many(_) | Shape::Named(_)) => Chosen::all(shape, names, "c"),
        };
        if asked.is_empty() { Ok(all) } else { all.choose(asked) }
    }

    fn all(shape: Shape, names: Option<Vec<String>>, prefix: &str) -> Chosen {
        let names =
            names.unwrap_or_else(|| (0..shape.width()).map(|place| format!("{prefix}{place}")).collect());
        Chosen { places: (0..shape.width()).collect(), shape, names }
    }

    fn choose(self, asked: &[String]) -> Result<Chosen, Fault> {
        let mut places = Vec::with_capacity(asked.len());
        for text in asked {
            let named = self.names.iter().position(|name| name == text);
            let numbered = || text.parse().ok().filter(|&place: &usize| place < self.names.len());
            let place = named.or_else(numbered).ok_or_else(|| {
                let few: Vec<&str> = self.names.iter().take(5).map(String::as_str).collect();
                let more = if self.names.len() > few.len() { ", .." } else { "" };
                Fault::usage(format!(
                    "--columns: there is no column {text:?} among the {} of the values ({}{more})",
                    self.names.len(),
                    few.join(", ")
                ))
            })?;
            if places.contains(&place) {
                return Err(Fault::usage(format!("--columns: {text:?} is asked for twice")));
            }
            places.push(place);
        }
        let names = places.iter().map(|&place| self.names[place].clone()).collect();
        Ok(Chosen { places, names, ..self })
    }
}

/// The header's names if there are as many as columns, else those of the rows.
fn told(header: &[String], shape: &Shape) -> Option<Vec<String>> {
    match shape {
        _ if !header.is_empty() && header.len() == shape.width() => Some(header.to_vec()),
        Shape::Named(names) => Some(names.clone()),
        Shape::One | Shape::Many(_) => None,
    }
}

/// A table has no two columns of one name.
pub fn check_distinct(keys: &Chosen, values: &Chosen) -> Result<(), Fault> {
    match keys.names.iter().find(|name| values.names.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Fault::usage(format!(
            "both the keys and the values have a column {name:?}; choose the values' columns with --columns, without it"
        ))),
    }
}
