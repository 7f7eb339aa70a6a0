//! Many small clusters with many faults, each from a seed of its own.

use simulation::{Scenario, run, shrink::shrink};

#[test]
fn no_seed_loses_doubles_or_forgets_an_outcome() {
    for seed in 0..500 {
        let scenario = Scenario::drawn(seed);
        if let Err(why) = run(&scenario) {
            let (smallest, why) = shrink(&scenario, why);
            let shown = serde_json::to_string(&smallest).expect("a scenario is JSON");
            panic!("seed {seed}: {why}\nrepeat it: cargo run --release --example simulate -- '{shown}'");
        }
    }
}
