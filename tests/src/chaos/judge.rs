//! What has to hold after all faults, seen from outside: checkpoint against execution log, exit codes, processes, memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use super::{
    plan::Plan,
    site::{CHECKPOINT, Site, fails},
};
use crate::{
    Ended, outcomes,
    outcomes::{json, values_by_number},
    wait::{once_free, until},
};

/// The most memory that any of our processes may have taken at any time: a debug build, some thousand tasks.
const MEMORY_KIB: u64 = 120 << 10;
/// The most descriptors that a coordinator may have when its jobs have ended.
const DESCRIPTORS: usize = 60;

/// See the module. Ends the cluster.
pub fn judge(mut site: Site, plan: &Plan) {
    let killed_client = plan.faults.iter().any(|planned| planned.fault.kills_client());
    if let Some(client) = site.client.take() {
        let summary = client.wait().expect_code(1).json();
        assert_eq!((summary["left"].as_u64(), summary["stopped"].is_null()), (Some(0), true), "{summary}");
    }
    let first = resume(&site);
    assert!(killed_client || plan.detached || first.json()["done"].as_u64() == Some(0), "{}", first.stdout);
    recorded(&site, plan);
    begun(&site, plan);
    let before = site.begun().len();
    let second = resume(&site).json();
    let failing = (0..plan.tasks).filter(|n| fails(*n)).count();
    // A worker that was cut off may begin its old copies until it hears that nobody wants them.
    let again = site.begun().len() - before;
    assert!(again == failing || site.may_double, "what has a value is computed again, {again}: {second}");
    assert_eq!(second["skipped"].as_u64(), Some(plan.tasks - failing as u64), "{second}");
    recorded(&site, plan);
    sizes(&site);
    site.stop();
}

/// Submits the same tasks again, once the checkpoint is free; only failed tasks have no value then.
fn resume(site: &Site) -> Ended {
    once_free(|| site.submit("--json")).expect_code(1)
}

/// Lost, doubled, unexpected or wrong: nothing of it. (Reading fails on a second value.)
fn recorded(site: &Site, plan: &Plan) {
    let held = outcomes(&site.scratch.file(CHECKPOINT));
    let values = values_by_number(&held);
    for (key, outcome) in &held {
        let number = json(key)[0].as_u64().expect("a key of one number");
        assert!(number < plan.tasks, "an unexpected outcome of {number}");
        assert_eq!(outcome.is_err(), fails(number), "{number}: {outcome:?}");
    }
    let expected: BTreeMap<u64, _> =
        (0..plan.tasks).filter(|n| !fails(*n)).map(|n| (n, serde_json::json!([n, n as f64 * 0.1]))).collect();
    let lost: Vec<_> = expected.keys().filter(|n| !values.contains_key(n)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(values, expected);
    assert_eq!(held.len() as u64, plan.tasks);
}

/// No task was begun more often than faults explain; none that was recorded when a coordinator died, unless a worker
/// may have held a copy of it.
fn begun(site: &Site, plan: &Plan) {
    let begun = site.begun();
    let mut times = BTreeMap::<u64, usize>::new();
    begun.iter().for_each(|n| *times.entry(*n).or_default() += 1);
    // Each fault may cost a task one run, those within others too; and there was one resume.
    let most = 2 + 2 * plan.faults.len();
    let often: Vec<_> = times.iter().filter(|(_, times)| **times > most).collect();
    assert!(often.is_empty(), "begun more than {most} times: {often:?}");
    for (at, recorded) in &site.deaths {
        let again: BTreeSet<u64> = begun[*at..].iter().copied().filter(|n| recorded.contains(n)).collect();
        assert!(again.is_empty(), "recorded before the coordinator died and begun again: {again:?}");
    }
}

fn sizes(site: &Site) {
    for pid in site.ours() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        let peak: u64 = peak.unwrap_or(0);
        assert!(peak < MEMORY_KIB, "process {pid} has taken {peak} KiB");
    }
    let open = || fs::read_dir(format!("/proc/{}/fd", site.coordinator().pid())).map_or(0, Iterator::count);
    until(Duration::from_secs(5), || open() < DESCRIPTORS, || format!("{} descriptors are open", open()));
}
