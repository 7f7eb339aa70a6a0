//! `maniple run`: coordinator, worker and client in one engine, under a keeper.

use crate::{
    args::Run,
    engine::{Engine, For},
    fault::Fault,
    job,
    verbs::worker::{processes, split},
};

/// Carries out the verb. The process splits first, before threads and heap; the engine goes on.
pub fn run(args: &Run) -> Result<u8, Fault> {
    let end = split()?;
    let prepared = job::prepare(&args.job, false)?;
    Ok(Engine::run(For::Job(Box::new(prepared)), processes(args.processes), end))
}
