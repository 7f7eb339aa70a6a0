//! `maniple submit`: hands a job to a coordinator and follows it.

use crate::{
    args::Submit,
    fault::Fault,
    job, signals,
    verbs::jobs::{block_on, endpoint},
};

/// Carries out the verb.
pub fn run(args: &Submit) -> Result<u8, Fault> {
    let endpoint = endpoint(&args.access_file)?;
    let prepared = job::prepare(&args.job, args.detach)?;
    block_on(async { prepared.follow(endpoint, signals::heard()?).await })
}
