//! `kill -9` of any one process at random. A few of each in `make test`; `make kills KILLS=100` for many, which says how
//! long it took until all was in order; `MANIPLE_KILLS_SEED=N` for another course.

use maniple_tests::kills;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn each() -> usize {
    number("MANIPLE_KILLS", 4) as usize
}

fn seed() -> u64 {
    number("MANIPLE_KILLS_SEED", 1)
}

#[test]
fn any_process_of_a_run_may_be_killed() {
    eprint!("maniple run:\n{}", kills::run::run(seed(), each()));
}

#[test]
fn any_process_of_a_cluster_may_be_killed() {
    eprint!("a cluster:\n{}", kills::cluster::run(seed(), each()));
}
