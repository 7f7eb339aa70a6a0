//! `maniple checkpoint merge`: the values of several checkpoints in a new one.
//!
//! Memory: 16 bytes for each key, and 48 more for each that is in two of them.

use std::collections::HashMap;

use coordinator::checkpoint::Recorded;
use shared::checkpoint::{CommonShape, Depth, Kind, Shape};

use super::{
    files::Files,
    hashes::{Hashes, LastFailures, hash},
    lost,
    new_file::{NewFile, of_write, terms_like},
    reading::Reading,
};
use crate::{
    args::checkpoint::{Merge as Args, Prefer},
    fault::Fault,
    output,
    progress::count,
};

/// Keys with different values that are named.
const SHOWN: usize = 10;
/// Numbers of failures that each checkpoint has at most.
const APART: u64 = 1 << 40;

/// Keys that several checkpoints have.
#[derive(Default)]
struct Shared {
    /// Of each the hash of the value that was taken, once one was.
    values: HashMap<u128, Option<u128>>,
    /// Further values.
    more: u64,
    /// How many of these differ.
    different: u64,
    /// The first few keys of these, one behind the other.
    shown: Vec<u8>,
}

/// `maniple checkpoint merge`.
pub fn run(args: &Args) -> Result<u8, Fault> {
    let (out, files) = args.files.split_last().expect("the parser wants three");
    let mut files = files.iter().map(|path| Files::open(path)).collect::<Result<Vec<_>, _>>()?;
    if args.prefer == Some(Prefer::Last) {
        files.reverse();
    }
    let readings = files.iter().map(Reading::of_whole).collect::<Result<Vec<_>, _>>()?;
    let first = &readings[0];
    for other in &readings[1..] {
        agree(first, other, args.any_work)?;
    }
    agree_in_shape(&readings)?;
    let mut terms = terms_like(first.header(), first.compress()?);
    for header in readings.iter().map(Reading::header) {
        if terms.columns.is_empty() {
            terms.columns.clone_from(&header.columns);
        }
        if terms.key_columns.is_empty() {
            terms.key_columns.clone_from(&header.key_columns);
        }
        terms.created = terms.created.min(Some(header.created));
    }
    let mut new = NewFile::create(out, &terms)?;
    let failures = transfer_failures(&readings, &mut new)?;
    let (values, shared) = transfer_values(&readings, &mut new)?;
    new.finish()?;
    let (values, failures) = (count(values), count(failures));
    let mut text = format!("{}: values {values}, failed {failures}", out.display());
    if shared.more > 0 {
        text.push_str(&format!("; values that another one has already {}", count(shared.more)));
    }
    output::print(&format!("{text}\n")).map_err(Fault::of_output)?;
    if shared.different == 0 {
        return Ok(0);
    }
    let which = if args.prefer == Some(Prefer::Last) { "last" } else { "first" };
    let (different, listed) = (count(shared.different), lost::listed(&shared.shown));
    output::say(&format!(
        "maniple: warning: {different} tasks have different values; the {which} file's were taken, such as\n{}",
        listed.trim_end()
    ));
    Ok(u8::from(args.prefer.is_none()))
}

/// Refuses what is not the same work.
fn agree(first: &Reading<'_>, other: &Reading<'_>, any_work: bool) -> Result<(), Fault> {
    let (one, two) = (first.header(), other.header());
    let paths = format!("{} and {}", first.files.location(), other.files.location());
    if one.identity != two.identity && !any_work {
        return Err(Fault::usage(format!(
            "{paths} hold results of other work, `{}` and `{}`; merge them all the same by --any-work",
            one.identity, two.identity
        )));
    }
    let names =
        [("columns", &one.columns, &two.columns), ("fields of keys", &one.key_columns, &two.key_columns)];
    for (what, one, two) in names {
        if !one.is_empty() && !two.is_empty() && one != two {
            let (one, two) = (one.join(","), two.join(","));
            return Err(Fault::usage(format!(
                "{paths} have other {what}, {one} and {two}; they do not fit together"
            )));
        }
    }
    Ok(())
}

/// Refuses values that do not look alike, as far as their frames tell.
fn agree_in_shape(readings: &[Reading<'_>]) -> Result<(), Fault> {
    let mut known: Option<(&Reading<'_>, Shape)> = None;
    for reading in readings {
        let mut shape = CommonShape::default();
        Reading::to(reading.files, reading.files.pair(), Depth::Heads, &mut |_, _, seen| {
            if let Kind::Values { .. } = seen.head.kind {
                shape.add(seen.head.shape());
            }
        })?;
        match (&known, shape.shape()) {
            (Some((first, one)), Some(two)) if one != two => {
                let told = |shape: &Shape| format!("{} of {}", shape.row.word(), shape.width);
                return Err(Fault::usage(format!(
                    "the values of {} and {} differ in shape, {} and {}; they do not fit together",
                    first.files.location(),
                    reading.files.location(),
                    told(one),
                    told(two)
                )));
            }
            (None, Some(shape)) => known = Some((reading, shape.clone())),
            (Some(_) | None, _) => {}
        }
    }
    Ok(())
}

/// Takes over the last failure of each key that has no value anywhere; how many.
fn transfer_failures(readings: &[Reading<'_>], new: &mut NewFile) -> Result<u64, Fault> {
    let mut last = LastFailures::default();
    for (reading, number) in readings.iter().zip(0..) {
        reading.enter_failures(&mut last, number * APART)?;
    }
    readings.iter().try_for_each(|reading| reading.enter_values(&mut last))?;
    for (reading, number) in readings.iter().zip(0..) {
        reading.rows(Recorded::Failures, &mut |first, mut rows| {
            let mut number = number * APART + first..;
            rows.retain(&mut |key, _| number.next().is_some_and(|number| last.counts(key, number)));
            rows.push(new.file()).map_err(of_write)
        })?;
    }
    Ok(last.len())
}

/// Takes over the first value of each key; how many.
fn transfer_values(readings: &[Reading<'_>], new: &mut NewFile) -> Result<(u64, Shared), Fault> {
    let mut hashes = Hashes::with_room(readings.iter().map(|reading| reading.found.totals().values).sum());
    for reading in readings {
        reading.keys(Recorded::Values, &mut |keys| hashes.add(keys))?;
    }
    let values = hashes.repeated().into_iter().map(|key| (key, None)).collect();
    let (mut shared, mut taken) = (Shared { values, ..Shared::default() }, 0);
    for reading in readings {
        reading.rows(Recorded::Values, &mut |_, mut rows| {
            rows.retain(&mut |key, value| shared.takes(key, value));
            taken += u64::from(rows.count);
            rows.push(new.file()).map_err(of_write)
        })?;
    }
    Ok((taken, shared))
}

impl Shared {
    /// Whether this is the first value of the key.
    fn takes(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some(taken) = self.values.get_mut(&hash(key)) else { return true };
        let value = hash(value);
        match *taken {
            None => {
                *taken = Some(value);
                true
            }
            Some(first) => {
                self.more += 1;
                if first != value {
                    if self.different < SHOWN as u64 {
                        self.shown.extend_from_slice(key);
                    }
                    self.different += 1;
                }
                false
            }
        }
    }
}
