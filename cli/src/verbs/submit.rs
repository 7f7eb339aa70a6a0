//! `maniple submit`: hands a job to a coordinator and follows it.

use shared::{
    endpoint::Endpoint,
    security::{AccessFile, Role},
};

use crate::{args::Submit, fault::Fault, job, signals};

/// Carries out the verb.
pub fn run(args: &Submit) -> Result<u8, Fault> {
    let access = AccessFile::read(&args.access_file, Role::Client).map_err(Fault::of_access)?;
    let endpoint = Endpoint::network(access).map_err(|error| Fault::refused(error.to_string()))?;
    let prepared = job::prepare(&args.job, args.detach)?;
    let failed = |error: std::io::Error| Fault::internal(format!("failed to start the event loop: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let code = runtime.block_on(async { prepared.follow(endpoint, signals::heard()?).await });
    runtime.shutdown_background();
    code
}
