//! `maniple checkpoint diff`: what one checkpoint has and another has not, or has otherwise. It changes nothing.
//!
//! Memory: 24 bytes for each key of each of the two.

use std::{cmp::Ordering, collections::HashMap};

use coordinator::checkpoint::Recorded;
use serde_json::{Map, Value};
use shared::msgpack;

use super::{
    files::Files,
    hashes::{LastFailures, hash},
    reading::Reading,
};
use crate::{args::checkpoint::Diff as Args, fault::Fault, keys, output, progress::count};

/// Keys that are named of each kind.
const SHOWN: usize = 5;

/// A key's hash, in two halves, and the outcome: 0 if it failed, else the odd hash of its value.
type Entry = [u64; 3];
const FAILED: u64 = 0;

/// How a key is in one but not in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    OnlyInA,
    OnlyInB,
    Values,
    FailedInA,
    FailedInB,
}

impl Difference {
    const ALL: [Difference; 5] = [
        Difference::OnlyInA,
        Difference::OnlyInB,
        Difference::Values,
        Difference::FailedInA,
        Difference::FailedInB,
    ];

    /// Its name for programs.
    fn name(self) -> &'static str {
        match self {
            Difference::OnlyInA => "only_in_a",
            Difference::OnlyInB => "only_in_b",
            Difference::Values => "different",
            Difference::FailedInA => "failed_in_a",
            Difference::FailedInB => "failed_in_b",
        }
    }

    /// The words for it, where the files are called so.
    fn words(self, a: &str, b: &str) -> String {
        match self {
            Difference::OnlyInA => format!("only in {a}"),
            Difference::OnlyInB => format!("only in {b}"),
            Difference::Values => "different values".to_owned(),
            Difference::FailedInA => format!("failed in {a}, not in {b}"),
            Difference::FailedInB => format!("failed in {b}, not in {a}"),
        }
    }
}

/// Of each difference how many keys, and the first few.
#[derive(Default)]
struct Found {
    count: [u64; Difference::ALL.len()],
    shown: HashMap<u128, Difference>,
    keys: [Vec<Vec<u8>>; Difference::ALL.len()],
    same: u64,
}

/// `maniple checkpoint diff`.
pub fn run(args: &Args) -> Result<u8, Fault> {
    let files = [Files::open(&args.a)?, Files::open(&args.b)?];
    let readings = [Reading::of_whole(&files[0])?, Reading::of_whole(&files[1])?];
    let (a, b) = (entries(&readings[0])?, entries(&readings[1])?);
    let mut found = Found::default();
    compare(&a, &b, &mut found);
    drop((a, b));
    for reading in &readings {
        for kind in [Recorded::Values, Recorded::Failures] {
            reading.keys(kind, &mut |keys| found.name(keys))?;
        }
    }
    let text = if args.json { format!("{}\n", found.json()) } else { found.text(args) };
    output::print(&text).map_err(Fault::of_output)?;
    Ok(u8::from(found.count.iter().any(|&count| count > 0)))
}

/// Each key with its outcome, in the order of their hashes.
fn entries(reading: &Reading<'_>) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::new();
    let entry = |key: &[u8], outcome| {
        let hash = hash(key);
        [(hash >> 64) as u64, hash as u64, outcome]
    };
    reading.rows(Recorded::Values, &mut |_, rows| {
        entries.extend(rows.each().map(|(key, value)| entry(key, hash(value) as u64 | 1)));
        Ok(())
    })?;
    let mut last = LastFailures::default();
    reading.enter_failures(&mut last, 0)?;
    reading.enter_values(&mut last)?;
    reading.rows(Recorded::Failures, &mut |first, rows| {
        let failures = rows.each().zip(first..).filter(|((key, _), number)| last.counts(key, *number));
        entries.extend(failures.map(|((key, _), _)| entry(key, FAILED)));
        Ok(())
    })?;
    entries.sort_unstable();
    Ok(entries)
}

fn compare(a: &[Entry], b: &[Entry], found: &mut Found) {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a[..2].cmp(&b[..2]),
        };
        let one = a.next_if(|_| order.is_le());
        let two = b.next_if(|_| order.is_ge());
        let difference = match (one, two) {
            (Some(one), Some(two)) => match (one[2], two[2]) {
                (one, two) if one == two => {
                    found.same += 1;
                    continue;
                }
                (FAILED, _) => Difference::FailedInA,
                (_, FAILED) => Difference::FailedInB,
                _ => Difference::Values,
            },
            (Some(_), None) => Difference::OnlyInA,
            (None, _) => Difference::OnlyInB,
        };
        if let Some([high, low, _]) = one.or(two) {
            found.add(difference, u128::from(*high) << 64 | u128::from(*low));
        }
    }
}

impl Found {
    fn add(&mut self, difference: Difference, key: u128) {
        let count = &mut self.count[difference as usize];
        *count += 1;
        if *count <= SHOWN as u64 {
            self.shown.insert(key, difference);
        }
    }

    /// Takes the keys that are to be named out of these.
    fn name(&mut self, keys: &[u8]) {
        if self.shown.is_empty() {
            return;
        }
        for key in msgpack::values(keys).flatten() {
            if let Some(difference) = self.shown.remove(&hash(key)) {
                self.keys[difference as usize].push(key.to_owned());
            }
        }
    }

    fn text(&self, args: &Args) -> String {
        let (a, b) = (args.a.display().to_string(), args.b.display().to_string());
        let mut text = format!("same: {}\n", count(self.same));
        for difference in Difference::ALL {
            let (number, keys) = (self.count[difference as usize], &self.keys[difference as usize]);
            if number > 0 {
                text.push_str(&format!("{}: {}\n", difference.words(&a, &b), count(number)));
                text.extend(keys.iter().map(|key| format!("    {}\n", keys::text(key))));
                if number > keys.len() as u64 {
                    text.push_str(&format!("    and {} more\n", count(number - keys.len() as u64)));
                }
            }
        }
        text
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("same".to_owned(), self.same.into());
        for difference in Difference::ALL {
            let keys: Vec<Value> = self.keys[difference as usize].iter().map(|key| keys::json(key)).collect();
            let told = serde_json::json!({ "count": self.count[difference as usize], "first": keys });
            object.insert(difference.name().to_owned(), told);
        }
        Value::Object(object)
    }
}
