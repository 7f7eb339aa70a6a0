//! `maniple worker`: the processes of this machine for a coordinator.

use std::num::NonZero;

use shared::{
    endpoint::Endpoint,
    outcome::Bytes,
    security::{AccessFile, Role},
    supervision,
};
use worker::{
    Config, Keeping, Node,
    config::GRACE,
    process::{
        file_size_limit,
        keeper::{self, EngineEnd},
    },
};

use crate::{args::Worker, fault::Fault};

/// What our own memory files take at most, but for those of very long command lines.
const LEAST_FILE_SIZE: u64 = 1 << 20;

/// Carries out the verb. The process splits first, before threads and heap; the engine goes on.
pub fn run(args: &Worker) -> Result<u8, Fault> {
    let end = split()?;
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

/// Makes a keeper of this process; the engine goes on, if the limits of this shell let it.
pub fn split() -> Result<EngineEnd, Fault> {
    let failed = |what, error| Fault::internal(format!("failed to {what}: {error}"));
    let limit = file_size_limit().map_err(|error| failed("read the limit of file sizes", error))?;
    if limit < LEAST_FILE_SIZE {
        let (limit, least) = (Bytes(limit), Bytes(LEAST_FILE_SIZE));
        let message =
            format!("files may have only {limit} in this shell, maniple needs {least}: raise `ulimit -f`");
        return Err(Fault::usage(message));
    }
    keeper::split().map_err(|error| failed("make the keeper", error))
}

/// How many processes: as many as asked for, else one per core.
pub fn processes(asked: Option<u16>) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    asked.unwrap_or_else(|| u16::try_from(cores()).unwrap_or(u16::MAX))
}
