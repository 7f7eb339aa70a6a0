//! Faults at random on a whole cluster, and what has to hold afterwards. A seed gives the whole schedule.
//!
//! - [`plan`]: what is done when, drawn from a seed - [`relay`]: a network that cuts, mutes and delays
//! - [`site`]: the cluster, and how faults are done to it - [`judge`]: what has to be seen from outside
//!
//! Faults come at events: when so many tasks were begun. How long a stop or a cut lasts is part of the fault.

pub mod judge;
pub mod plan;
pub mod relay;
pub mod site;

use plan::Plan;
use site::Site;

/// Says which seed failed, with its schedule and the command that repeats it.
struct Confession<'a>(&'a Plan);

impl Drop for Confession<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}\nagain: make chaos SEEDS={}:1", self.0, self.0.seed);
        }
    }
}

/// Runs a seed; panics if a promise is broken.
pub fn run(seed: u64) {
    let plan = Plan::of(seed);
    let _confession = Confession(&plan);
    let mut site = Site::start(&plan);
    for planned in &plan.faults {
        site.wait_for_begun(planned.at);
        site.suffer(planned.fault);
    }
    judge::judge(site, &plan);
}
