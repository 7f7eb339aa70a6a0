//! `maniple checkpoint info`: what a checkpoint holds. It changes nothing.

use shared::{
    checkpoint::{Info, RowKind},
    location::Location,
    outcome::Bytes,
};

use super::{DAMAGED, files::Files};
use crate::{args::checkpoint::Info as Args, fault::Fault, output};

/// Names of columns that are shown.
const COLUMNS: usize = 8;

/// `maniple checkpoint info`.
pub fn run(args: &Args) -> Result<u8, Fault> {
    let files = Files::open(&args.file)?;
    let read = Info::read(&files.pair()).map_err(|error| files.unreadable(&error))?;
    let info = read.map_err(|error| files.damaged(&error))?;
    let location = files.location();
    let text = if args.json { as_json(location, &info) } else { as_text(location, &info) };
    output::print(&text).map_err(Fault::of_output)?;
    Ok(if info.damages.is_empty() { 0 } else { DAMAGED })
}

fn as_text(location: &Location, info: &Info) -> String {
    let state = match (&info.tail, info.closed) {
        _ if !info.damages.is_empty() => "damaged",
        (Some(_), _) => "being written, or left by a crash: the torn end will be cut by the next run",
        (None, true) => "whole, closed in order",
        (None, false) => "whole, not closed: being written, or its writer was killed",
    };
    let mut text = format!(
        "{}\n  work      {}\n  values    {}\n  columns   {}\n  failed    {}\n  frames    {}\n  size      {}{}\n  written   {} to {}\n  state     {state}\n",
        location,
        info.header.identity,
        info.totals.values,
        columns(info),
        info.totals.failed.unwrap_or(info.totals.failures),
        info.totals.frames,
        Bytes(info.bytes),
        info.journal_bytes.map_or_else(String::new, |bytes| format!(
            ", and {} of a journal with {} rows",
            Bytes(bytes),
            info.journal_rows
        )),
        date(info.header.created),
        info.last_at.map_or_else(|| "-".to_owned(), date),
    );
    for damage in &info.damages {
        text.push_str(&format!("  damage    {damage}\n"));
    }
    text
}

fn as_json(location: &Location, info: &Info) -> String {
    let value = serde_json::json!({
        "file": location.to_string(),
        "work": info.header.identity,
        "values": info.totals.values,
        "columns": names(info),
        "width": info.shape.as_ref().map(|shape| shape.width),
        "key_columns": info.header.key_columns,
        "failed": info.totals.failed,
        "frames": info.totals.frames,
        "bytes": info.bytes,
        "journal_bytes": info.journal_bytes,
        "journal_rows": info.journal_rows,
        "created_ms": info.header.created,
        "last_written_ms": info.last_at,
        "closed": info.closed,
        "tail": info.tail.as_ref().map(|tail| [tail.start, tail.end]),
        "damages": info.damages.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    format!("{value}\n")
}

/// The names of the columns: those that the file was given, else those that the values have.
fn names(info: &Info) -> &[String] {
    match &info.shape {
        Some(shape) if info.header.columns.is_empty() => &shape.names,
        Some(_) | None => &info.header.columns,
    }
}

fn columns(info: &Info) -> String {
    let names = names(info);
    let shown = names.iter().take(COLUMNS).map(String::as_str).collect::<Vec<_>>().join(",");
    match &info.shape {
        _ if names.len() > COLUMNS => format!("{} ({shown},..)", names.len()),
        _ if !names.is_empty() => format!("{} ({shown})", names.len()),
        Some(shape) if shape.row == RowKind::Scalar => "1, no list".to_owned(),
        Some(shape) => format!("{} without names", shape.width),
        None => "differ from value to value, or are not known yet".to_owned(),
    }
}

fn date(unix_ms: u64) -> String {
    coordinator::disk::civil::Civil::from_unix_ms(unix_ms).iso()
}
