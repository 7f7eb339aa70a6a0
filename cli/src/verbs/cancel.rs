//! `maniple cancel`: has a job that a coordinator has stopped, and waits until it has ended.

use shared::wire::client::StopCause;

use crate::{
    args::jobs::Cancel,
    fault::Fault,
    follower::{Asked, End, Follower},
    output::say,
    progress::count,
    show::{Results, Show},
    signals,
    verbs::jobs::{block_on, endpoint, unknown},
};

/// Carries out the verb.
pub fn run(args: &Cancel) -> Result<u8, Fault> {
    let endpoint = endpoint(&args.access_file)?;
    let job = args.job;
    let end = block_on(async {
        let show = Show::new(true, Results::Kept);
        Follower::new(endpoint, job, signals::heard()?, show).stopping(args.grace).run().await
    })?;
    match end {
        End::Unknown => Err(unknown(job, &args.access_file)),
        End::Left { signal, asked, .. } => {
            let what = match asked {
                Asked::Taken => "is being stopped; it ends without this command",
                Asked::Unanswered => {
                    "may go on: the coordinator was asked to stop it, and has not answered; repeat this command"
                }
                Asked::Not => "was not cancelled: the coordinator was not reached",
            };
            say(&format!("maniple: job {job} {what}"));
            Ok(128 + signal as u8)
        }
        End::Summary { summary, late, .. } => {
            let is_stopped =
                summary.stopped.as_ref().is_some_and(|stopped| stopped.why == StopCause::Cancelled);
            let progress = &summary.progress;
            let (done, tasks) = (count(progress.skipped + progress.done), count(progress.tasks));
            let what = match (late, is_stopped) {
                (true, _) => "had ended before",
                (false, true) => "is stopped",
                (false, false) => "has ended by itself",
            };
            say(&format!("maniple: job {job} {what}: {done} of {tasks} tasks have a value"));
            Ok(0)
        }
    }
}
