//! `maniple cleanup`: the processes that outlived their run, listed or ended. What lives on in a run is not its business.

use std::fmt::Write;

use nix::unistd::{Uid, User, getuid};
use serde_json::json;
use shared::outcome::Bytes;
use worker::process::leftover::{self, Leftover, Portrait};

use crate::{args::Cleanup, fault::Fault, output, progress::clock};

/// Exit code: something is left over.
const LEFT: u8 = 1;
/// Where the commands begin in the table, and what they get at least.
const BEFORE_COMMAND: usize = 33;
const LEAST_COMMAND: usize = 20;

/// A process of the list.
struct Row {
    leftover: Leftover,
    portrait: Portrait,
    /// After an attempt to end it: whether that worked.
    ended: Option<bool>,
}

/// Carries out the verb.
pub fn run(args: &Cleanup) -> Result<u8, Fault> {
    let draw =
        |ended| move |leftover: Leftover| Some(Row { portrait: leftover.portrait()?, leftover, ended });
    let job = args.job.map(|job| job.to_string());
    let mut found = leftover::find();
    found.retain(|leftover| job.is_none() || leftover.job == job);
    let mut rows: Vec<Row> = found.iter().cloned().filter_map(draw(None)).collect();
    // Shown before anything is ended: that takes its time.
    if !args.json {
        output::print(&text(&rows, getuid(), output::width())).map_err(Fault::of_output)?;
    }
    if args.clean && !rows.is_empty() {
        let mut left = leftover::end(&found, args.grace);
        for row in &mut rows {
            let before = left.len();
            left.retain(|left| left.process != row.leftover.process);
            row.ended = Some(left.len() == before);
        }
        // Those that came meanwhile, and stayed.
        rows.extend(left.into_iter().filter_map(draw(Some(false))));
    }
    if args.json {
        let lines: String = rows.iter().map(|row| format!("{}\n", row.json())).collect();
        output::print(&lines).map_err(Fault::of_output)?;
    }
    let (left, note) = verdict(&rows, getuid());
    note.into_iter().for_each(|note| output::say(&format!("maniple: {note}")));
    Ok(if left { LEFT } else { 0 })
}

/// Whether something is left over still, and what there is to say about it.
fn verdict(rows: &[Row], me: Uid) -> (bool, Option<String>) {
    if rows.is_empty() {
        return (false, None);
    }
    if rows[0].ended.is_none() {
        let these = if rows.len() == 1 { "it" } else { "them" };
        return (true, Some(format!("`maniple cleanup --clean` ends {these}")));
    }
    let mut left = rows.iter().filter(|row| row.ended == Some(false)).peekable();
    if left.peek().is_none() {
        return (false, Some(format!("ended {}", processes(rows.len()))));
    }
    let whys = left.map(|row| {
        let pid = row.leftover.process.pid;
        match row.portrait.user == me.as_raw() || me.is_root() {
            true => format!("{pid} does not end, see its state in /proc/{pid}/status"),
            false => format!("{pid} belongs to {}", user(row.portrait.user)),
        }
    });
    (true, Some(format!("error: still there: {}", whys.collect::<Vec<_>>().join(", "))))
}

/// The list, under a line for each run that is gone.
fn text(rows: &[Row], me: Uid, width: usize) -> String {
    if rows.is_empty() {
        return "nothing is left over\n".to_owned();
    }
    let room = width.saturating_sub(BEFORE_COMMAND).max(LEAST_COMMAND);
    let mut out = String::new();
    let mut last = None;
    for row in rows {
        let Leftover { owner, job, .. } = &row.leftover;
        if last != Some((owner, job)) {
            last = Some((owner, job));
            let job = job.as_deref().unwrap_or("unknown");
            let (keeper, engine) = (owner.keeper.pid, owner.engine.pid);
            writeln!(out, "job {job} (keeper {keeper}, engine {engine} gone)").expect("memory");
            writeln!(out, "{:>9}  {:>8}  {:>10}  COMMAND", "PID", "AGE", "MEMORY").expect("memory");
        }
        let Portrait { command, age, memory, user: owned_by } = &row.portrait;
        let mut shown = String::new();
        if row.leftover.started_by.is_some() {
            shown.push_str("└ ");
        }
        if *owned_by != me.as_raw() {
            shown.push_str(&format!("({}) ", user(*owned_by)));
        }
        shown.push_str(&output::in_a_line(command));
        let shown = console::truncate_str(&shown, room, "..");
        let (pid, age, memory) = (row.leftover.process.pid, clock(*age), Bytes(*memory).to_string());
        writeln!(out, "{pid:>9}  {age:>8}  {memory:>10}  {shown}").expect("memory");
    }
    writeln!(out, "{} left over", processes(rows.len())).expect("memory");
    out
}

impl Row {
    fn json(&self) -> serde_json::Value {
        let Leftover { process, owner, job, started_by } = &self.leftover;
        let Portrait { command, age, memory, user: owned_by } = &self.portrait;
        let why = match started_by {
            None => format!("its keeper {} and its engine {} are gone", owner.keeper.pid, owner.engine.pid),
            Some(parent) => format!("{parent}, which is left over, has started it"),
        };
        json!({
            "pid": process.pid.as_raw(),
            "age_seconds": (age.as_secs_f64() * 10.0).round() / 10.0,
            "memory": memory,
            "user": user(*owned_by),
            "command": command,
            "job": job,
            "why": why,
            "ended": self.ended,
        })
    }
}

fn user(id: u32) -> String {
    let known = User::from_uid(Uid::from_raw(id)).ok().flatten();
    known.map_or_else(|| format!("user {id}"), |user| user.name)
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::unistd::Pid;
    use worker::process::procfs::Process;

    use super::*;

    fn row(pid: i32, started_by: Option<i32>, user: u32, ended: Option<bool>) -> Row {
        let owner = "4194301.1,4194302.2,4026531836.4026531834".parse().expect("a mark");
        let process = Process::new(Pid::from_raw(pid), 1);
        let (job, started_by) = (Some("0123456789abcdef".to_owned()), started_by.map(Pid::from_raw));
        let portrait = Portrait {
            command: "python3 -m http.server\n8000 --bind 127.0.0.1".to_owned(),
            age: Duration::from_secs(3 * 86_400 + 61),
            memory: 1300 << 20,
            user,
        };
        Row { leftover: Leftover { process, owner, job, started_by }, portrait, ended }
    }

    #[test]
    fn the_list_fits_a_narrow_terminal_and_says_why() {
        let rows = [row(4_194_303, None, 7, None), row(20, Some(4_194_303), 7, None)];
        let text = text(&rows, Uid::from_raw(7), 60);
        assert_eq!(
            text,
            "\
job 0123456789abcdef (keeper 4194301, engine 4194302 gone)
      PID       AGE      MEMORY  COMMAND
  4194303    3d 00h     1.3 GiB  python3 -m http.server 80..
       20    3d 00h     1.3 GiB  └ python3 -m http.server ..
2 processes left over
"
        );
        assert!(text.lines().all(|line| console::measure_text_width(line) <= 60), "{text}");
    }

    #[test]
    fn the_verdict_is_a_line_and_an_exit_code() {
        let me = Uid::from_raw(7);
        let told = |rows: &[Row]| verdict(rows, me);
        assert_eq!(told(&[]), (false, None));
        assert_eq!(
            told(&[row(1, None, 7, None)]),
            (true, Some("`maniple cleanup --clean` ends it".to_owned()))
        );
        assert_eq!(told(&[row(1, None, 7, Some(true))]), (false, Some("ended 1 process".to_owned())));
        let left = [row(1, None, 7, Some(true)), row(2, None, 4_000_000, Some(false))];
        let expected = "error: still there: 2 belongs to user 4000000".to_owned();
        assert_eq!(told(&left), (true, Some(expected)));
    }

    #[test]
    fn scripts_get_an_object_a_line() {
        let line = row(20, Some(10), 4_000_000, Some(true)).json();
        assert_eq!(line["why"], "10, which is left over, has started it");
        assert_eq!(
            (&line["pid"], &line["ended"], &line["memory"]),
            (&json!(20), &json!(true), &json!(1300 << 20))
        );
        let why = row(20, None, 0, None).json()["why"].clone();
        assert_eq!(why, "its keeper 4194301 and its engine 4194302 are gone");
    }
}
