//! `maniple checkpoint repair`: what is whole in a checkpoint goes to a new one; the old one stays as it is.
//!
//! It knows nothing of how damage comes to be. Memory: 16 bytes for each key that has a value.

use std::collections::HashSet;

use coordinator::checkpoint::{Recorded, Terms};
use shared::{checkpoint::Side, job::Existing, outcome::Bytes};

use super::{
    DAMAGED,
    files::Files,
    hashes::{Hashes, hash},
    lost::{self, Lost},
    new_file::{NewFile, of_write, terms_like},
    reading::Reading,
    rows::half,
};
use crate::{args::checkpoint::Repair as Args, fault::Fault, output, progress::count};

/// What a checkpoint is called whose header cannot be read.
const UNKNOWN: &str = "unknown: the header was damaged";

/// What came over and what did not.
struct Report {
    lost: Vec<Lost>,
    faults: Vec<String>,
    values: u64,
    failures: u64,
    /// Further values of keys that have one.
    repeated: u64,
}

/// `maniple checkpoint repair`.
pub fn run(args: &Args) -> Result<u8, Fault> {
    let files = Files::open(&args.file)?;
    let reading = Reading::of(&files)?;
    lost::is_one(&reading)?;
    let terms = match &reading.found.main.header {
        Ok(header) => terms_like(header, reading.compress()?),
        Err(_) => Terms::new(UNKNOWN.to_owned(), Existing::Resume),
    };
    let mut out = NewFile::create(&args.out, &terms)?;
    let report = transfer(&reading, &mut out)?;
    out.finish()?;
    output::print(&report.text(args, &reading)).map_err(Fault::of_output)?;
    Ok(if report.is_complete() { 0 } else { DAMAGED })
}

fn transfer(reading: &Reading<'_>, out: &mut NewFile) -> Result<Report, Fault> {
    let stray = reading.of_stray_journal()?;
    let all: Vec<&Reading<'_>> = std::iter::once(reading).chain(&stray).collect();
    let mut hashes = Hashes::with_room(reading.found.totals().values.min(reading.bytes()?));
    let mut report = Report {
        lost: lost::all(reading)?,
        faults: lost::faults(reading),
        values: 0,
        failures: 0,
        repeated: 0,
    };
    for reading in &all {
        reading.keys(Recorded::Values, &mut |keys| hashes.add(keys))?;
        report.kind(Recorded::Failures, reading, out, &mut |_| true)?;
    }
    // What the end of the file says of failed keys is right only if values come behind.
    out.file().fold().map_err(of_write)?;
    let repeated: HashSet<u128> = hashes.repeated().into_iter().collect();
    let mut taken = HashSet::new();
    let mut is_first = |key: &[u8]| {
        let hash = hash(key);
        !repeated.contains(&hash) || taken.insert(hash)
    };
    for reading in &all {
        report.kind(Recorded::Values, reading, out, &mut is_first)?;
    }
    Ok(report)
}

impl Report {
    fn is_complete(&self) -> bool {
        self.lost.is_empty() && self.faults.is_empty() && self.repeated == 0
    }

    /// Takes over the rows of a kind.
    fn kind(
        &mut self,
        kind: Recorded,
        reading: &Reading<'_>,
        out: &mut NewFile,
        is_wanted: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), Fault> {
        reading.frames(kind, &mut |seen| {
            let mut rows = match seen.rows {
                Ok(rows) => rows,
                Err(damage) => {
                    if !self.lost.iter().any(|lost| lost.is_at(seen.listed.part, damage.frame)) {
                        let keys = half(seen.listed, Side::Keys).unwrap_or_default();
                        self.lost.push(Lost::of(seen.listed.part, &damage, keys));
                    }
                    return Ok(());
                }
            };
            let before = rows.count;
            rows.retain(&mut |key, _| is_wanted(key));
            self.repeated += u64::from(before - rows.count);
            match kind {
                Recorded::Values => self.values += u64::from(rows.count),
                Recorded::Failures => self.failures += u64::from(rows.count),
            }
            rows.push(out.file()).map_err(of_write)
        })
    }

    fn text(&self, args: &Args, reading: &Reading<'_>) -> String {
        let (values, failures) = (count(self.values), count(self.failures));
        let mut text = format!("{}: values {values}, failures {failures}", args.out.display());
        text.push_str(if self.is_complete() { "; nothing was lost\n" } else { "\nleft behind:\n" });
        text.extend(self.faults.iter().map(|fault| format!("  {fault}\n")));
        text.extend(self.lost.iter().map(Lost::text));
        if self.repeated > 0 {
            text.push_str(&format!("  further values of tasks that have one: {}\n", self.repeated));
        }
        if let Some(tail) = reading.found.main.tail() {
            let len = Bytes(tail.end - tail.start);
            text.push_str(&format!(
                "  the last {len}: a write that was interrupted, which nobody relied upon\n"
            ));
        }
        text
    }
}
