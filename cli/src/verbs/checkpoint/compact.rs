//! `maniple checkpoint compact`: a checkpoint is written anew in large frames, and takes the place of the old one.
//!
//! Invariant: at every moment the name leads to a file with all values, the old one or the new one; the journal is
//! folded into the old one first, so that neither needs it.

use coordinator::checkpoint::{CheckpointFile, Recorded, Terms};
use shared::{checkpoint::Compress, job::Existing, location::Means, outcome::Bytes};

use super::{
    files::Files,
    hashes::LastFailures,
    meter::Meter,
    new_file::{NewFile, of_write, terms_like},
    reading::Reading,
};
use crate::{
    args::{checkpoint::Compact as Args, values},
    fault::Fault,
    output,
    progress::count,
};

/// `maniple checkpoint compact`.
pub fn run(args: &Args) -> Result<u8, Fault> {
    let named = Files::open(&args.file)?;
    if let Ok(Means::S3 { .. } | Means::Folder(_)) = named.location().means() {
        let message = "only a file can be compacted in its place; take it over into one with `repair`";
        return Err(Fault::usage(format!("{}: {message}", named.location())));
    }
    let before = Reading::of_whole(&named)?;
    let (bytes, totals) = (before.bytes()?, before.found.totals());
    let terms = Terms::new(before.header().identity.clone(), Existing::Resume);
    // It holds the lock until the end.
    let (old, notes) = CheckpointFile::open(&args.file, &terms, &mut |_, _, _| {}).map_err(of_write)?;
    notes.iter().for_each(|note| output::say(&format!("maniple: {note}")));
    let files = Files::open(old.path())?;
    let reading = Reading::of_whole(&files)?;
    let compress = match args.compress {
        Some(values::Compress::None) => Compress::None,
        Some(values::Compress::Zstd) => Compress::Zstd,
        None => reading.compress()?,
    };
    let mut new = NewFile::in_place_of(old.path(), &terms_like(reading.header(), compress))?;
    let failures = if args.drop_failures { 0 } else { transfer_failures(&reading, &mut new)? };
    let mut meter = Meter::new("compact", bytes);
    reading.frames(Recorded::Values, &mut |seen| {
        let rows = seen.rows.map_err(|damage| reading.damaged(&damage.to_string()))?;
        meter.at(seen.listed.frame.end());
        rows.push(new.file()).map_err(of_write)
    })?;
    drop(meter);
    new.finish()?;
    let files = Files::open(old.path())?;
    let after = Reading::of(&files)?;
    let text = format!(
        "{}: values {}, frames {} -> {}, size {} -> {}; failures {} -> {}\n",
        args.file.display(),
        count(after.found.totals().values),
        count(totals.frames),
        count(after.found.totals().frames),
        Bytes(bytes),
        Bytes(after.bytes()?),
        count(totals.failures),
        count(failures),
    );
    output::print(&text).map_err(Fault::of_output)?;
    Ok(0)
}

/// Takes over the last failure of each key that has no value; how many.
fn transfer_failures(reading: &Reading<'_>, new: &mut NewFile) -> Result<u64, Fault> {
    let (mut last, mut taken) = (LastFailures::default(), 0);
    reading.enter_failures(&mut last, 0)?;
    reading.enter_values(&mut last)?;
    reading.rows(Recorded::Failures, &mut |first, mut rows| {
        let mut number = first..;
        rows.retain(&mut |key, _| number.next().is_some_and(|number| last.counts(key, number)));
        taken += u64::from(rows.count);
        rows.push(new.file()).map_err(of_write)
    })?;
    Ok(taken)
}
