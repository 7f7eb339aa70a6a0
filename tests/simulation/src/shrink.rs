//! From a scenario that fails to the smallest one that still does.

use crate::{Scenario, run};

/// Makes a failing scenario smaller as long as it still fails, in whatever way; returns it and what does not hold.
#[must_use]
pub fn shrink(scenario: &Scenario, why: String) -> (Scenario, String) {
    let mut best = (scenario.clone(), why);
    loop {
        let smaller = candidates(&best.0).into_iter().find_map(|one| run(&one).err().map(|why| (one, why)));
        match smaller {
            Some(found) => best = found,
            None => return best,
        }
    }
}

/// Scenarios that are a little less, the boldest first.
fn candidates(scenario: &Scenario) -> Vec<Scenario> {
    let mut found = Vec::new();
    let with = |change: &dyn Fn(&mut Scenario)| {
        let mut other = scenario.clone();
        change(&mut other);
        other
    };
    let count = scenario.faults.len();
    for part in [count / 2, count / 4, 1].into_iter().filter(|part| *part > 0) {
        for start in (0..count).step_by(part) {
            let end = (start + part).min(count);
            found.push(with(&|other| drop(other.faults.drain(start..end))));
        }
    }
    for tasks in [scenario.tasks / 2, scenario.tasks - scenario.tasks.min(1)] {
        found.push(with(&|other| {
            other.tasks = tasks;
            other.poison.retain(|task| *task < tasks);
            other.raising.retain(|task| *task < tasks);
        }));
    }
    for place in 0..scenario.poison.len() {
        found.push(with(&|other| _ = other.poison.remove(place)));
    }
    for place in 0..scenario.raising.len() {
        found.push(with(&|other| _ = other.raising.remove(place)));
    }
    let used = scenario.faults.iter().filter_map(|fault| fault.what.machine()).max().unwrap_or(0);
    if scenario.machines > used + 1 {
        found.push(with(&|other| other.machines -= 1));
    }
    if scenario.slots > 1 {
        found.push(with(&|other| other.slots -= 1));
    }
    found.retain(|other| other != scenario);
    found
}
