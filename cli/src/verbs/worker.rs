//! `maniple worker`: the processes of this machine for a coordinator.

use std::num::NonZero;

use shared::{
    endpoint::Endpoint,
    security::{AccessFile, Role},
    supervision,
};
use worker::{Config, Keeping, Node, config::GRACE, process::keeper};

use crate::{args::Worker, fault::Fault};

/// Carries out the verb. The process splits first, before threads and heap; the engine goes on.
pub fn run(args: &Worker) -> Result<u8, Fault> {
    let end =
        keeper::split().map_err(|error| Fault::internal(format!("failed to make the keeper: {error}")))?;
    let access = AccessFile::read(&args.access_file, Role::Worker).map_err(Fault::of_access)?;
    let endpoint = Endpoint::network(access).map_err(|error| Fault::refused(error.to_string()))?;
    let slots = processes(args.processes);
    let python = args.python.clone().map(Into::into);
    let code = supervision::run("worker", move |_| {
        let keeping = Keeping::new(end).expect("the keeper's socket can be watched");
        Node::new(Config { slots, endpoint, python, grace: GRACE, alarms: None, keeping })
    });
    Ok(code as u8)
}

/// How many processes: as many as asked for, else one per core.
pub fn processes(asked: Option<u16>) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    asked.unwrap_or_else(|| u16::try_from(cores()).unwrap_or(u16::MAX))
}
