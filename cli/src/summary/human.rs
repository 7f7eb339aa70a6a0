//! The end of a job for people: a few lines on standard error.

use std::fmt::Write;

use shared::{
    outcome::{Cause, Failure},
    wire::client::{FailureGroup, Incidents, StopCause},
};

use super::Ended;
use crate::{
    keys,
    progress::{clock, count, per_second},
};

/// Groups of failures that are shown; the rest is counted.
const GROUPS: usize = 8;
/// Examples of a group that are shown.
const EXAMPLES: usize = 3;
/// Longest line of a message, in characters.
const LONGEST: usize = 160;
/// Wall times from here on are shown as a clock does, too.
const LONG: u64 = 120;

/// The summary, each line ended. Why a job was stopped, unless by its user, is not in it: that is the error.
pub fn human(ended: &Ended) -> String {
    let mut out = String::new();
    write(&mut out, ended).expect("memory takes every write");
    out
}

fn write(out: &mut String, ended: &Ended) -> std::fmt::Result {
    let summary = &ended.summary;
    let progress = &summary.progress;
    write!(out, "{}: {} done", tasks(progress.tasks), count(progress.done))?;
    if progress.skipped > 0 {
        write!(out, ", {} skipped (already in the checkpoint)", count(progress.skipped))?;
    }
    if progress.failed > 0 {
        write!(out, ", {} failed", count(progress.failed))?;
    }
    if ended.left() > 0 {
        write!(out, ", {} left", count(ended.left()))?;
    }
    writeln!(out)?;
    if let Some(wall) = ended.wall {
        write!(out, "wall time {:.1} s", wall.as_secs_f64())?;
        if wall.as_secs() >= LONG {
            write!(out, " ({})", clock(wall))?;
        }
        let rate = ended.tasks_per_second().filter(|rate| *rate > 0.0);
        writeln!(out, "{}", rate.map(|rate| format!(", {}", per_second(rate))).unwrap_or_default())?;
    }
    incidents(out, summary.incidents)?;
    failures(out, &summary.groups)?;
    if let Some(stopped) = summary.stopped.as_ref().filter(|stopped| stopped.why == StopCause::Cancelled) {
        writeln!(out, "interrupted: {}", clean(&stopped.message))?;
    } else if summary.stopped.is_none() && ended.left() > 0 {
        writeln!(out, "internal error: the job ended before its tasks did")?;
    }
    next_step(out, ended)
}

fn incidents(out: &mut String, incidents: Incidents) -> std::fmt::Result {
    let Incidents { retries, workers_lost, late } = incidents;
    let told: Vec<String> = [
        (retries, "attempt repeated", "attempts repeated"),
        (workers_lost, "worker lost", "workers lost"),
        (late, "late outcome dropped", "late outcomes dropped"),
    ]
    .into_iter()
    .filter(|&(number, ..)| number > 0)
    .map(|(number, one, many)| format!("{} {}", count(number), if number == 1 { one } else { many }))
    .collect();
    if told.is_empty() { Ok(()) } else { writeln!(out, "survived: {}", told.join(", ")) }
}

fn failures(out: &mut String, groups: &[FailureGroup]) -> std::fmt::Result {
    for group in groups.iter().take(GROUPS) {
        writeln!(out, "failed: {} x {}", count(group.count), clean(&group.reason))?;
        for (key, failure) in group.examples.iter().take(EXAMPLES) {
            example(out, key, failure)?;
        }
        let shown = group.examples.len().min(EXAMPLES) as u64;
        if shown > 0 && group.count > shown {
            writeln!(out, "  and {} more", count(group.count - shown))?;
        }
    }
    let rest: u64 = groups.iter().skip(GROUPS).map(|group| group.count).sum();
    if rest > 0 { writeln!(out, "failed: {} for other reasons", count(rest)) } else { Ok(()) }
}

fn example(out: &mut String, key: &[u8], failure: &Failure) -> std::fmt::Result {
    let Failure { host, pid, attempt, .. } = failure;
    let attempts = if attempt.0 == 1 { "attempt" } else { "attempts" };
    writeln!(out, "  {}  (host {}, pid {pid}, {attempt} {attempts})", keys::text(key), clean(host))?;
    // A traceback ends with the exception; where there is none, what the process wrote last says most.
    let story = match failure.cause {
        Cause::ExitCode { died: false, .. } => [&failure.stderr, &failure.message, &failure.traceback],
        _ => [&failure.traceback, &failure.message, &failure.stderr],
    };
    match story.into_iter().find_map(|text| text.trim_end().lines().next_back()) {
        Some(line) if !line.trim().is_empty() => writeln!(out, "      {}", clean(line.trim())),
        Some(_) | None => Ok(()),
    }
}

fn next_step(out: &mut String, ended: &Ended) -> std::fmt::Result {
    let left = ended.left();
    let failed = ended.summary.progress.failed;
    let Some(path) = &ended.checkpoint else {
        if left > 0 && ended.summary.progress.done > 0 {
            writeln!(out, "nothing was kept: with --checkpoint FILE it could go on from here")?;
        }
        return Ok(());
    };
    let durable = ended.summary.progress.durable;
    let noun_of = if durable == 1 { "outcome" } else { "outcomes" };
    writeln!(out, "checkpoint: {} ({} {noun_of} of this run)", path, count(durable))?;
    match (left, failed) {
        (0, 0) => Ok(()),
        (0, failed) => writeln!(out, "to try the failed {} again, repeat the command", noun(failed)),
        (left, 0) => writeln!(out, "to compute the {} left, repeat the command", tasks(left)),
        (left, failed) => writeln!(
            out,
            "to compute the {} left and try the failed {} again, repeat the command",
            tasks(left),
            noun(failed)
        ),
    }
}

fn tasks(number: u64) -> String {
    format!("{} {}", count(number), noun(number))
}

fn noun(number: u64) -> &'static str {
    if number == 1 { "task" } else { "tasks" }
}

/// A task's text as one line that moves no cursor and ends somewhere.
fn clean(text: &str) -> String {
    let mut line = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == LONGEST {
            line.push_str("...");
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}
