//! Storage that fails at each call in turn: the run stops and says so, nothing that it called durable is lost, and the
//! next run goes on.

use std::{collections::BTreeSet, fs};

use maniple_tests::{
    Ended, Scratch, outcomes,
    outcomes::values_by_number,
    skip::not_checked,
    strace::{self, Loss, Trace},
};

const TASKS: u64 = 15;
/// Syncs of the journal for each batch; then the fold into the checkpoint.
const RUN: &str = "run -j 1 f:f --tasks tasks.jsonl --checkpoint c --batch-size 5 --flush 0 --json";
/// Pauses before each batch, so that the journal is mostly synced in between; and waits while it is held up.
const FUNCTION: &str = r#"
import os, time
def f(n):
    if n % 5 == 0: time.sleep(0.02)
    while n >= 10 and os.path.exists("hold"): time.sleep(0.005)
    fd = os.open("ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{n}\n".encode())
    os.close(fd)
    return [n, n * 0.1]
"#;
/// More calls than a run makes; whoever gets here counts wrongly.
const MANY: usize = 40;

/// Whether storage can be made to fail here.
fn possible(what: &str) -> bool {
    strace::missing().is_none_or(|why| {
        not_checked(what, why);
        false
    })
}

/// What a sweep begins with in each round.
#[derive(Clone, Copy)]
enum Start {
    Nothing,
    /// What a run leaves that was killed when it was to sync the first rows of its journal.
    KilledInJournal,
    /// What one leaves that was killed when it was to sync the checkpoint itself, without a journal.
    KilledInFold,
}

impl Start {
    fn scratch(self) -> (Scratch, Trace) {
        let scratch = Scratch::new();
        scratch.write("f.py", FUNCTION);
        scratch.numbers("tasks.jsonl", 0..TASKS);
        let (call, run) = match self {
            Start::Nothing => return (scratch, Trace::default()),
            Start::KilledInJournal => (3, RUN.to_owned()),
            Start::KilledInFold => (2, RUN.replace("--flush 0", "--flush 60")),
        };
        if let Start::KilledInJournal = self {
            // So it does not come to its end without a journal.
            scratch.write("hold", "");
        }
        let inject = format!("fdatasync:signal=KILL:when={call}");
        let (ended, trace) = strace::run(&scratch, Trace::default(), &inject, &run);
        ended.expect_code(70);
        assert!(!held(&scratch).is_empty(), "something was written");
        assert_eq!(scratch.file("c.wal").exists(), scratch.file("hold").exists());
        let _held_up_no_more = fs::remove_file(scratch.file("hold"));
        (scratch, trace)
    }
}

/// The tasks that have a value.
fn held(scratch: &Scratch) -> BTreeSet<u64> {
    let path = scratch.file("c");
    if path.exists() { values_by_number(&outcomes(&path)).into_keys().collect() } else { BTreeSet::new() }
}

/// Goes on without faults: runs the tasks that have no value, and no other.
#[track_caller]
fn goes_on(scratch: &Scratch, round: &str) {
    let before = held(scratch);
    let log = scratch.lines("ran").len();
    let summary = scratch.run(RUN).expect_code(0).json();
    let ran: Vec<u64> =
        scratch.lines("ran")[log..].iter().map(|line| line.parse().expect("a number")).collect();
    let missing: Vec<u64> = (0..TASKS).filter(|n| !before.contains(n)).collect();
    assert_eq!(ran, missing, "{round}: what ran again");
    assert_eq!(summary["skipped"].as_u64(), Some(before.len() as u64), "{round}");
    let values = values_by_number(&outcomes(&scratch.file("c")));
    let expected = (0..TASKS).map(|n| (n, serde_json::json!([n, n as f64 * 0.1]))).collect();
    assert_eq!(values, expected, "{round}: what the checkpoint holds");
    assert!(!scratch.file("c.wal").exists(), "{round}: the journal is folded");
}

/// Runs with the fault at the first call, then at the second, and so on until there is no such call.
fn at_each(start: Start, fault: &str, judge: impl Fn(&Scratch, usize, Ended, Trace)) {
    let (call, how) = fault.split_once(':').expect("a call and what happens");
    for round in 1..MANY {
        let (scratch, earlier) = start.scratch();
        let (ended, trace) = strace::run(&scratch, earlier, &format!("{call}:{how}:when={round}"), RUN);
        if !trace.injected && ended.code() == 0 {
            assert!(round > 1, "{fault}: the run makes too few such calls");
            return;
        }
        judge(&scratch, round, ended, trace);
        goes_on(&scratch, &format!("{fault}, call {round}"));
    }
    panic!("{fault}: not at its end after {MANY} calls");
}

/// After a failed sync nothing counts that was not synced before, and nobody touches the files again.
fn judge(scratch: &Scratch, round: usize, ended: Ended, trace: &Trace) {
    let ended = ended.expect_code(4).expect_error(&["checkpoint", "/c", "os error", "run again"]);
    assert_eq!(trace.after_failed_sync, Vec::<String>::new(), "call {round}");
    let told = ["durable", "skipped"].map(|name| ended.json()[name].as_u64().expect("a count"));
    // The kernel may have dropped what it could not write.
    trace.lose(if round.is_multiple_of(2) { Loss::Cut } else { Loss::Zeros });
    let held = held(scratch).len() as u64;
    assert!(told.iter().sum::<u64>() <= held, "call {round}: durable and skipped {told:?}, kept {held}");
}

fn failed_sync(start: Start, fault: &str) {
    at_each(start, fault, |scratch, round, ended, trace| judge(scratch, round, ended, &trace));
}

#[test]
fn a_failed_sync_of_data_is_never_tried_again_and_loses_nothing_durable() {
    if possible("a failed fdatasync") {
        failed_sync(Start::Nothing, "fdatasync:error=EIO");
    }
}

#[test]
fn a_failed_sync_of_names_is_never_tried_again_and_loses_nothing_durable() {
    if possible("a failed fsync") {
        failed_sync(Start::Nothing, "fsync:error=EIO");
    }
}

#[test]
fn a_failed_sync_while_a_killed_run_is_resumed_loses_nothing_durable() {
    if possible("a failed fdatasync of a resumed run") {
        for start in [Start::KilledInJournal, Start::KilledInFold] {
            failed_sync(start, "fdatasync:error=EIO");
            failed_sync(start, "fsync:error=EIO");
        }
    }
}

#[test]
fn a_sync_that_finds_the_disk_full_is_a_failed_sync() {
    if possible("an fdatasync without space") {
        let (scratch, earlier) = Start::Nothing.scratch();
        let (ended, trace) = strace::run(&scratch, earlier, "fdatasync:error=ENOSPC:when=4", RUN);
        judge(&scratch, 4, ended, &trace);
        goes_on(&scratch, "a sync that finds the disk full");
    }
}

/// `kill -9` at each call, and now and then the loss of what was not synced: the machine went down, too.
fn killed(start: Start, call: &str) {
    at_each(start, &format!("{call}:signal=KILL"), |_, round, ended, trace| {
        let ended = ended.expect_code(70);
        assert!(ended.stderr.contains("was killed by SIGKILL"), "{}", ended.stderr);
        match round % 3 {
            0 => trace.lose(Loss::Cut),
            1 => trace.lose(Loss::Zeros),
            _ => {}
        }
    });
}

#[test]
fn a_kill_at_each_write_and_sync_loses_nothing_that_was_synced() {
    if possible("a kill at each write and sync") {
        ["pwrite64", "fdatasync", "fsync"].into_iter().for_each(|call| killed(Start::Nothing, call));
    }
}

#[test]
fn a_kill_at_each_sync_of_a_resumed_run_loses_nothing_that_was_synced() {
    if possible("a kill at each sync of a resumed run") {
        killed(Start::KilledInJournal, "fdatasync");
        killed(Start::KilledInJournal, "fsync");
        killed(Start::KilledInFold, "fdatasync");
    }
}

#[test]
fn a_write_without_space_is_tried_again() {
    if !possible("a write without space") {
        return;
    }
    at_each(Start::Nothing, "pwrite64:error=ENOSPC", |scratch, round, ended, _| {
        if round == 1 {
            // Where there is no room for a header, nothing has begun.
            return drop(ended.expect_code(4).expect_error(&["no room for checkpoint", "make room"]));
        }
        let summary = ended.expect_code(0).json();
        assert_eq!(summary["durable"].as_u64(), Some(TASKS), "write {round}");
        assert_eq!(held(scratch).len() as u64, TASKS, "write {round}");
    });
}
