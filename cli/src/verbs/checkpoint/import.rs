//! `maniple checkpoint import`: a backup of rust_pyfunc becomes a checkpoint, and what it cannot know is said.
//!
//! Two walks: the first finds the last record of each key, since that program computes and stores repeated tasks twice;
//! the second writes those. Memory: about 40 bytes a key.

use std::{collections::HashMap, fs::File};

use coordinator::checkpoint::{CheckpointError, CheckpointFile, Terms};
use shared::job::Existing;

use super::{
    DAMAGED,
    new_file::{NewFile, of_write},
};
use crate::{
    args::checkpoint::{Import, Program},
    fault::Fault,
    output,
    rust_pyfunc::{Backup, Lost, Record},
};

/// Rows that are handed to the checkpoint together.
const ROWS: u32 = 1024;
/// Damaged places that are told one by one.
const SHOWN: usize = 20;

/// What was found.
#[derive(Default)]
struct Count {
    records: u64,
    rows: u64,
    all_nan: u64,
    lost: Vec<Lost>,
}

/// `maniple checkpoint import`.
pub fn run(args: &Import) -> Result<u8, Fault> {
    let Program::RustPyfunc = args.from;
    let unusable = |error: &dyn std::fmt::Display| Fault {
        code: DAMAGED,
        message: format!("{}: {error}", args.backup.display()),
    };
    let file = File::open(&args.backup)
        .map_err(|error| Fault::usage(format!("{}: {error}; check the path", args.backup.display())))?;
    let backup = Backup::open(&file).map_err(|error| unusable(&error))?;
    let last = last_of_each(&backup).map_err(|error| unusable(&error))?;
    let identity = match &args.function {
        Some(name) => format!("function {}:{}", name.module, name.function),
        None => "imported from rust_pyfunc".to_owned(),
    };
    let mut out = NewFile::create(&args.out, &Terms::new(identity, Existing::Resume))?;
    let count = write(&backup, &last, args.drop_nan_rows, out.file())?;
    out.finish()?;
    output::print(&report(args, &backup, &count)).map_err(Fault::of_output)?;
    Ok(if count.lost.is_empty() { 0 } else { DAMAGED })
}

/// Which record is the last of each key, by number from 0.
fn last_of_each(backup: &Backup<'_, File>) -> std::io::Result<HashMap<(i64, Box<str>), u64>> {
    let (mut last, mut number) = (HashMap::new(), 0);
    backup.records(&mut |record| {
        last.insert((record.date, record.code.into()), number);
        number += 1;
    })?;
    Ok(last)
}

fn write(
    backup: &Backup<'_, File>,
    last: &HashMap<(i64, Box<str>), u64>,
    drop_nan_rows: bool,
    out: &mut CheckpointFile,
) -> Result<Count, Fault> {
    let (mut count, mut rows) = (Count::default(), Rows::default());
    let mut failed = None;
    let lost = backup.records(&mut |record| {
        let number = count.records;
        count.records += 1;
        let is_last = last.get(&(record.date, record.code.into())) == Some(&number);
        if failed.is_some() || !is_last {
            return;
        }
        let all_nan = record.factors().all(f64::is_nan);
        count.all_nan += u64::from(all_nan);
        if !(all_nan && drop_nan_rows) {
            rows.push(&record, backup.width());
            count.rows += 1;
        }
        if rows.count == ROWS {
            failed = rows.hand_over(out).err();
        }
    });
    count.lost =
        lost.map_err(|error| Fault { code: DAMAGED, message: format!("failed to read: {error}") })?;
    failed.map_or_else(|| rows.hand_over(out), Err).map_err(of_write)?;
    Ok(count)
}

/// Rows as MessagePack.
#[derive(Default)]
struct Rows {
    keys: Vec<u8>,
    values: Vec<u8>,
    count: u32,
}

impl Rows {
    fn push(&mut self, record: &Record<'_>, width: u32) {
        use rmp::encode as put;
        const MEMORY: &str = "memory can be written to";
        put::write_array_len(&mut self.keys, 2).expect(MEMORY);
        put::write_sint(&mut self.keys, record.date).expect(MEMORY);
        put::write_str(&mut self.keys, record.code).expect(MEMORY);
        put::write_array_len(&mut self.values, width).expect(MEMORY);
        for factor in record.factors() {
            put::write_f64(&mut self.values, factor).expect(MEMORY);
        }
        self.count += 1;
    }

    fn hand_over(&mut self, out: &mut CheckpointFile) -> Result<(), CheckpointError> {
        out.push_values(&self.keys, &self.values, self.count, &[]).expect("whole MessagePack was just made");
        *self = Rows::default();
        if out.is_large() { out.fold() } else { Ok(()) }
    }
}

fn report(args: &Import, backup: &Backup<'_, File>, count: &Count) -> String {
    let mut text = format!("{}: rows {}, factors {}\n", args.out.display(), count.rows, backup.width());
    let mut note = |number: u64, what: &str| {
        if number > 0 {
            text.push_str(&format!("  {number} x {what}\n"));
        }
    };
    let dropped = if args.drop_nan_rows { count.all_nan } else { 0 };
    note(count.records - count.rows - dropped, "stored again later: the last record of a task counts");
    note(
        count.all_nan - dropped,
        "nothing but NaN: errors are stored so; --drop-nan-rows has them computed again",
    );
    note(dropped, "nothing but NaN: left out, to be computed again");
    note(
        count.records.abs_diff(backup.told),
        "off the header's count of records: it was killed, or its file is cut",
    );
    if backup.is_narrow() {
        text.push_str("  float32: what the backup has narrowed stays so\n");
    }
    for Lost { bytes, why } in count.lost.iter().take(SHOWN) {
        text.push_str(&format!("  damaged   bytes {}..{}: {why}\n", bytes.start, bytes.end));
    }
    if count.lost.len() > SHOWN {
        text.push_str(&format!("  damaged   {} more places\n", count.lost.len() - SHOWN));
    }
    text
}
