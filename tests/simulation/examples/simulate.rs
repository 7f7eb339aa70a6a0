//! Simulates: one scenario, given as JSON; many small ones (`seeds FIRST END`); or a large one, timed (`large MACHINES
//! TASKS FAULTS`). What fails is made as small as it gets, and shown.

use std::time::Instant;

use simulation::{Scenario, run, shrink::shrink};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words[at].parse::<u32>().expect("a number");
    match words.first().map(String::as_str) {
        Some("seeds") if words.len() == 3 => seeds(number(1), number(2)),
        Some("large") if words.len() == 4 => check(&large(number(1), number(2), number(3))),
        Some(text) if words.len() == 1 => check(&serde_json::from_str(text).expect("a scenario as JSON")),
        _ => panic!("usage: simulate SCENARIO | seeds FIRST END | large MACHINES TASKS FAULTS"),
    }
}

fn seeds(first: u32, end: u32) {
    let begun = Instant::now();
    (first..end).for_each(|seed| keep(&Scenario::drawn(seed.into())));
    println!("{} seeds in {:.1} s, all well", end - first, begun.elapsed().as_secs_f64());
}

fn large(machines: u32, tasks: u32, faults: u32) -> Scenario {
    let scenario = Scenario {
        seed: 1,
        machines,
        slots: 4,
        tasks,
        task_us: 5_000,
        batch_size: None,
        sync_us: 100_000,
        poison: vec![tasks / 3],
        raising: vec![tasks / 2],
        faults: Vec::new(),
    };
    let span = u64::from(tasks) * scenario.task_us / u64::from(machines * 4);
    scenario.with_faults(faults as usize, span)
}

fn check(scenario: &Scenario) {
    let begun = Instant::now();
    match run(scenario) {
        Err(why) => fail(scenario, why),
        Ok(stats) => {
            let took = begun.elapsed().as_secs_f64();
            println!("{stats:?}");
            println!(
                "{:.1} s, {:.1} million completions a minute",
                took,
                stats.completions as f64 * 6e-5 / took
            );
        }
    }
}

fn keep(scenario: &Scenario) {
    if let Err(why) = run(scenario) {
        fail(scenario, why);
    }
}

fn fail(scenario: &Scenario, why: String) -> ! {
    std::panic::set_hook(Box::new(|_| {}));
    let (smallest, why) = shrink(scenario, why);
    let shown = serde_json::to_string(&smallest).expect("a scenario is JSON");
    println!("seed {}: {why}\n{shown}", scenario.seed);
    std::process::exit(1);
}
