//! `maniple checkpoint failures`: the tasks that failed and have no value, and why. It changes nothing.
//!
//! Memory: about 40 bytes for each key that failed, and a frame.

use coordinator::checkpoint::Recorded;
use serde_json::{Map, Value};
use shared::checkpoint::story;

use super::{DAMAGED, files::Files, hashes::LastFailures, lost, reading::Reading};
use crate::{args::checkpoint::Failures as Args, fault::Fault, keys, output};

const TITLES: [&str; COLUMNS] = ["KEY", "CAUSE", "TRIES", "HOST", "MESSAGE"];
const COLUMNS: usize = 5;
const BETWEEN: &str = "  ";

type Row = [String; COLUMNS];

/// `maniple checkpoint failures`.
pub fn run(args: &Args) -> Result<u8, Fault> {
    let files = Files::open(&args.file)?;
    let reading = Reading::of(&files)?;
    lost::is_one(&reading)?;
    let mut last = LastFailures::default();
    reading.enter_failures(&mut last, 0)?;
    reading.enter_values(&mut last)?;
    let whole = if args.json { json_lines(&reading, &last)? } else { table(&reading, &last)? };
    if whole && !reading.found.is_corrupt() {
        return Ok(0);
    }
    let path = files.location();
    output::say(&format!("maniple: {path} is damaged, there may be more: see `maniple checkpoint verify`"));
    Ok(DAMAGED)
}

fn json_lines(reading: &Reading<'_>, last: &LastFailures) -> Result<bool, Fault> {
    each(reading, last, &mut |key, story| {
        let mut line = Map::new();
        line.insert("key".to_owned(), keys::json(key));
        line.extend(rmp_serde::from_slice::<Map<String, Value>>(story).unwrap_or_default());
        output::print(&format!("{}\n", Value::Object(line))).map_err(Fault::of_output)
    })
}

fn table(reading: &Reading<'_>, last: &LastFailures) -> Result<bool, Fault> {
    if last.is_empty() {
        let none = format!("{}: no failed tasks\n", reading.files.location());
        return output::print(&none).map(|()| true).map_err(Fault::of_output);
    }
    let mut natural = TITLES.map(str::len);
    each(reading, last, &mut |key, story| {
        for (width, cell) in natural.iter_mut().zip(row(key, story)) {
            *width = (*width).max(console::measure_text_width(&cell));
        }
        Ok(())
    })?;
    let widths = fitted(natural, output::width());
    let print = |row: Row| output::print(&line(&row, widths)).map_err(Fault::of_output);
    print(TITLES.map(str::to_owned))?;
    each(reading, last, &mut |key, story| print(row(key, story)))
}

/// Is shown a key and its story.
type Show<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), Fault> + 'a;

/// Shows each failure that counts; whether all of them could be read.
fn each(reading: &Reading<'_>, last: &LastFailures, show: &mut Show<'_>) -> Result<bool, Fault> {
    let mut whole = true;
    reading.frames(Recorded::Failures, &mut |seen| {
        let Ok(rows) = &seen.rows else {
            whole = false;
            return Ok(());
        };
        let counts = rows.each().zip(seen.first..).filter(|((key, _), number)| last.counts(key, *number));
        counts.map(|(row, _)| row).try_for_each(|(key, story)| show(key, story))
    })?;
    Ok(whole)
}

fn row(key: &[u8], story: &[u8]) -> Row {
    let key = keys::text(key);
    match story::decode(story) {
        Some(failure) => {
            let message = failure.message.trim().lines().next().unwrap_or_default();
            [
                key,
                failure.cause.to_string(),
                failure.attempt.0.to_string(),
                failure.host,
                output::in_a_line(message),
            ]
        }
        None => [key, "of a newer version".to_owned(), String::new(), String::new(), String::new()],
    }
}

/// Widths that add up to no more than a terminal has: the message gives way first, then key, cause and host.
fn fitted(mut widths: [usize; COLUMNS], terminal: usize) -> [usize; COLUMNS] {
    let between = BETWEEN.len() * (COLUMNS - 1);
    let room = |widths: &[usize; COLUMNS]| {
        terminal.saturating_sub(between + widths[..COLUMNS - 1].iter().sum::<usize>())
    };
    if room(&widths) < (terminal / 3).min(widths[COLUMNS - 1]) {
        for (width, most) in widths.iter_mut().zip([terminal / 4, terminal / 5, terminal, terminal / 8]) {
            *width = (*width).min(most);
        }
    }
    widths[COLUMNS - 1] = widths[COLUMNS - 1].min(room(&widths));
    widths
}

fn line(row: &Row, widths: [usize; COLUMNS]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| {
        let cell = console::truncate_str(cell, width, "..");
        console::pad_str(&cell, width, console::Alignment::Left, None).into_owned()
    });
    format!("{}\n", cells.collect::<Vec<_>>().join(BETWEEN).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_a_narrow_terminal() {
        let row = [
            "[20240102, \"000001\"]",
            "builtins.ValueError",
            "4",
            "a-host-far-away",
            "no such stock in the list",
        ];
        let row = row.map(str::to_owned);
        let natural: [usize; COLUMNS] = std::array::from_fn(|at| row[at].len().max(TITLES[at].len()));
        for (terminal, expected) in [
            (60, "[20240102, \"0..  builtins.V..  4      a-hos..  no such sto..\n"),
            (
                200,
                "[20240102, \"000001\"]  builtins.ValueError  4      a-host-far-away  no such stock in the list\n",
            ),
        ] {
            let line = line(&row, fitted(natural, terminal));
            assert!(line.len() <= terminal + 1, "{line}");
            assert_eq!(line, expected);
        }
    }
}
