//! Memory that runs out on a machine, which is a group of processes with little of it.

use std::collections::BTreeSet;

use maniple_tests::{
    Ended, Program, Scratch, control_group::MemoryGroup, outcomes, outcomes::values_by_number,
    skip::not_checked,
};

/// Runs tasks `f(0)`, `f(1)`, .. in a group with so much memory; `None`: this machine cannot.
fn run(scratch: &Scratch, code: &str, bytes: u64, tasks: u64, options: &str) -> Option<(Ended, u64)> {
    let group = match MemoryGroup::new(bytes) {
        Ok(group) => group,
        Err(why) => {
            not_checked("a machine without memory", &why);
            return None;
        }
    };
    scratch.write("f.py", code);
    scratch.numbers("tasks.jsonl", 0..tasks);
    let run = scratch.command(&format!("run f:f --tasks tasks.jsonl --json {options}"));
    let mut command = group.on(&run);
    scratch.prepare(&mut command);
    let ended = Program::start(command).wait();
    scratch.assert_nothing_left();
    let kills = group.oom_kills();
    Some((ended, kills))
}

#[test]
fn a_task_that_the_kernel_kills_for_want_of_memory_is_named_with_its_peak_and_the_others_are_done() {
    let code = "def f(n):\n    kept = []\n    while n == 3: kept.append(b'x' * (1 << 20))\n    return n\n";
    let scratch = Scratch::new();
    let Some((ended, kills)) = run(&scratch, code, 200 << 20, 6, "-j 1 --retries 1") else { return };
    let summary = ended.expect_code(1).json();
    assert_eq!((&summary["done"], &summary["failed"], kills), (&5.into(), &1.into(), 2), "{summary}");
    let failure = &summary["failures"][0];
    assert_eq!(failure["reason"], "out of memory: the kernel killed its process");
    let example = &failure["examples"][0];
    assert_eq!((&example["key"][0], &example["attempts"]), (&3.into(), &2.into()));
    let message = example["message"].as_str().expect("a text");
    let peak = message.strip_prefix("out of memory: the kernel killed its process (peak ").expect("a peak");
    let peak: f64 = peak.trim_end_matches(" MiB)").parse().expect("MiB");
    assert!((100.0..=230.0).contains(&peak), "{message}");
}

/// Each task takes memory until the group is nearly full. When somebody was stopped for it, it works on for so long that
/// the node sees that memory is free. Who begins again notes how many others run.
const GREEDY: &str = r#"
import glob, os, time
def used():
    with open("/sys/fs/cgroup/memory/memory.stat") as file:
        return int(dict(line.split() for line in file)["rss"])
def f(n):
    if os.path.exists(f"begun.{n}"):
        with open("again", "a") as file: file.write(f"{n} {len(glob.glob('runs.*'))}\n")
        return n
    for mark in ("begun", "runs"): open(f"{mark}.{n}", "w").close()
    kept = [b"x" * (40 << 20)]
    while used() < LIMIT * 0.965 and not glob.glob("full"):
        kept.append(b"x" * (1 << 20))
        time.sleep(0.001)
    open("full", "w").close()
    while used() > LIMIT * 0.85: time.sleep(0.01)
    time.sleep(3)
    os.remove(f"runs.{n}")
    return n
"#;

#[test]
fn with_the_memory_nearly_full_one_task_is_stopped_and_run_again_alone() {
    const LIMIT: u64 = 400 << 20;
    let code = GREEDY.replace("LIMIT", &LIMIT.to_string());
    let scratch = Scratch::new();
    let Some((ended, kills)) = run(&scratch, &code, LIMIT, 2, "-j 2 --retries 0 --batch-size 1") else {
        return;
    };
    let ended = ended.expect_code(0);
    assert_eq!(
        (&ended.json()["done"], &ended.json()["retries"], kills),
        (&2.into(), &0.into(), 0),
        "{}",
        ended.stderr
    );
    let stopped: Vec<&str> =
        ended.stderr.lines().filter(|line| line.contains("is stopped, to be run again alone")).collect();
    assert_eq!(stopped.len(), 1, "{}", ended.stderr);
    let again = scratch.lines("again");
    assert!(
        again.len() == 1 && again[0].ends_with(" 1"),
        "only the mark of its own first run is left: {again:?}"
    );
}

#[test]
fn a_process_that_has_grown_is_replaced_between_two_tasks() {
    let scratch = Scratch::new();
    scratch.write(
        "f.py",
        "import os, time\nkept = []\ndef f(n):\n    if not kept: kept.append(b'x' * (150 << 20))\n    time.sleep(0.02)\n    return os.getpid()\n",
    );
    scratch.numbers("tasks.jsonl", 0..100);
    let args = "run -j 1 f:f --tasks tasks.jsonl --batch-size 100 --recycle-memory 100M --checkpoint c.checkpoint --json";
    let summary = scratch.run(args).expect_code(0).json();
    assert_eq!((&summary["done"], &summary["retries"]), (&100.into(), &0.into()), "{summary}");
    let values = values_by_number(&outcomes(&scratch.file("c.checkpoint")));
    let pids: BTreeSet<u64> = values.values().map(|pid| pid.as_u64().expect("a pid")).collect();
    assert!(pids.len() > 2, "in 2 s of tasks: {pids:?}");
}
