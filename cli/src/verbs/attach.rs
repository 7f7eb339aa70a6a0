//! `maniple attach`: comes back to a job that a coordinator has, and follows it to its end.

use shared::wire::client::Listed;

use crate::{
    args::jobs::Attach,
    fault::Fault,
    follower::{End, Follower},
    job,
    output::say,
    show::{Results, Show},
    signals, summary,
    verbs::jobs::{block_on, endpoint, unknown},
};

/// Carries out the verb.
pub fn run(args: &Attach) -> Result<u8, Fault> {
    let endpoint = endpoint(&args.access_file)?;
    let end = block_on(async {
        let show = Show::new(args.quiet, Results::Kept);
        Follower::new(endpoint, args.job, signals::heard()?, show).run().await
    })?;
    match end {
        End::Unknown => Err(unknown(args.job, &args.access_file)),
        End::Left { signal, listed, .. } => {
            let file = args.access_file.display();
            if !args.quiet {
                say(&format!(
                    "maniple: left job {job}, which {}; `maniple cancel --access-file {file} {job}` stops it",
                    what_becomes(listed.as_deref()),
                    job = args.job
                ));
            }
            Ok(128 + signal as u8)
        }
        End::Summary { summary, listed, .. } => {
            let code = summary::exit_code(&summary);
            let ended = summary::Ended { summary: *summary, wall: None, checkpoint: listed.checkpoint };
            job::tell(&ended, code, None, args.quiet, args.json)
        }
    }
}

/// What becomes of a job that is left, by what was known of it.
fn what_becomes(listed: Option<&Listed>) -> &'static str {
    match listed {
        Some(Listed { detached: true, .. }) => "goes on",
        Some(_) => "goes on as long as its own client is there",
        None => "may go on while its coordinator is away",
    }
}
