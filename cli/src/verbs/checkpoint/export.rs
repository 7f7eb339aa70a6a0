//! `maniple checkpoint export`: the rows of a checkpoint as a table for other programs.
//!
//! It decides nothing about tables, which is [`crate::export`]'s; it opens, judges, and says what was written.

use shared::checkpoint::{BadRows, Depth, Info};

use super::files::Files;
use crate::{
    args::checkpoint::{Export, Format},
    export::{Checkpoint, Options, Place, Written, write},
    fault::Fault,
    output,
};

/// `maniple checkpoint export`.
pub fn run(args: &Export) -> Result<u8, Fault> {
    if args.format == Format::Jsonl && (args.as_json || !args.columns.is_empty()) {
        return Err(Fault::usage(
            "--columns and --as-json are for tables; --format jsonl writes whole values",
        ));
    }
    let files = Files::open(&args.file)?;
    let found =
        files.pair().inspect(Depth::Heads, &mut |_, _, _| {}).map_err(|error| files.unreadable(&error))?;
    let header = found.main.header.clone().map_err(|error| files.damaged(&error))?;
    if found.is_corrupt() {
        let hint = format!("damaged; 'maniple checkpoint info {}' says where", args.file.display());
        return Err(files.damaged(&hint));
    }
    let failed = if found.totals().failures > 0 { failed(&files)? } else { 0 };
    let fault = |error| match error {
        BadRows::Read(error) => files.unreadable(&error),
        BadRows::Checksum(_) | BadRows::Form(_) => files.damaged(&error),
    };
    let checkpoint = Checkpoint { pair: files.pair(), found, header, fault: &fault };
    let options = Options {
        format: args.format,
        columns: &args.columns,
        filters: &args.filters,
        as_json: args.as_json,
    };
    let place = Place::open(&args.out, args.force, &args.file)?;
    let written = write(&checkpoint, &options, &place)?;
    place.finish()?;
    output::say(&told(args, &written, failed));
    Ok(0)
}

/// How many tasks failed and have no value.
fn failed(files: &Files) -> Result<u64, Fault> {
    let info = Info::read(&files.pair()).map_err(|error| files.unreadable(&error))?;
    let totals = info.map_err(|error| files.damaged(&error))?.totals;
    Ok(totals.failed.unwrap_or(totals.failures))
}

fn told(args: &Export, written: &Written, failed: u64) -> String {
    let place =
        if args.out.as_os_str() == "-" { "standard output".into() } else { args.out.display().to_string() };
    let mut text = format!("maniple: {place}: rows {}", written.rows);
    if !args.filters.is_empty() {
        text.push_str(&format!(" of {}", written.of));
    }
    if let Some(columns) = written.columns {
        text.push_str(&format!(", columns {columns}"));
    }
    if failed > 0 {
        text.push_str(&format!("; failed tasks, which have no value: {failed}"));
    }
    text
}
