//! The command line as the user types it: verbs, options, their ranges and their help.
//!
//! It parses and checks shapes; it opens no file, asks no environment and starts nothing. What it hands on is valid
//! by itself, and [`work`] turns it into the job that coordinator and worker speak of.
//! Invariant: whatever is wrong with a command line ends as one line and exit code 2 (see [`usage`]).

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use shared::id::JobId;

pub mod checkpoint;
pub mod help;
pub mod jobs;
pub mod usage;
pub mod values;
pub mod work;

use values::{ColumnNames, Compress, FunctionName};

/// Run millions of small tasks on the cores of many machines, and keep every result.
#[derive(Debug, Parser)]
#[command(name = "maniple", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = help::TOP, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,

    /// What to log to standard error: error, warn, info, debug, trace, or a filter such as `worker=debug`
    /// [default: $MANIPLE_LOG, else warn]
    #[arg(long, value_name = "LEVEL", global = true, help_heading = "Output")]
    pub log: Option<String>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a function or a command over the tasks of a file, on this machine
    #[command(after_help = help::RUN, override_usage = help::RUN_USAGE)]
    Run(Box<Run>),
    /// Hand a job to a coordinator and follow it
    #[command(after_help = help::SUBMIT, override_usage = help::SUBMIT_USAGE)]
    Submit(Box<Submit>),
    /// Hand out the tasks of jobs to workers and keep their results
    #[command(after_help = help::COORDINATOR)]
    Coordinator(Coordinator),
    /// Run the tasks of a coordinator on this machine's cores
    #[command(after_help = help::WORKER)]
    Worker(Worker),
    /// Run the tasks of the process at the other end of standard input
    #[command(hide = true)]
    Engine(Engine),
    /// Look into checkpoints
    #[command(subcommand, arg_required_else_help = true)]
    Checkpoint(checkpoint::Checkpoint),
    /// List the jobs of a coordinator
    #[command(after_help = help::JOBS)]
    Jobs(jobs::Jobs),
    /// Follow a job of a coordinator that was submitted before, to its end
    #[command(after_help = help::ATTACH)]
    Attach(jobs::Attach),
    /// Stop a job of a coordinator; what is done is kept
    #[command(after_help = help::CANCEL)]
    Cancel(jobs::Cancel),
    /// List processes on this machine that outlived their run, or end them
    #[command(after_help = help::CLEANUP)]
    Cleanup(Cleanup),
}

/// `maniple run`.
#[derive(Debug, Args)]
pub struct Run {
    /// What to run, and how.
    #[command(flatten)]
    pub job: Job,

    /// Processes that run tasks [default: one per core]
    #[arg(short = 'j', long, value_name = "N", value_parser = values::processes())]
    #[arg(help_heading = "Processes", display_order = 0)]
    pub processes: Option<u16>,
}

/// `maniple submit`.
#[derive(Debug, Args)]
pub struct Submit {
    /// What to run, and how.
    #[command(flatten)]
    pub job: Job,

    /// The client.access file that the coordinator wrote
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub access_file: PathBuf,

    /// Return as soon as the coordinator has all tasks; the job goes on without this client
    #[arg(long, help_heading = "Cluster")]
    pub detach: bool,
}

/// `maniple engine`.
#[derive(Debug, Args)]
pub struct Engine {
    /// Processes that run tasks [default: one per core]
    #[arg(short = 'j', long, value_name = "N", value_parser = values::processes())]
    pub processes: Option<u16>,
}

/// What `run` and `submit` share: the job and how it is shown.
#[derive(Debug, Args)]
pub struct Job {
    /// A Python function by import path, called with each task's fields; looked for in the working directory first
    #[arg(value_name = "MODULE:FUNCTION", required_unless_present = "command", conflicts_with = "command")]
    pub function: Option<FunctionName>,

    /// A command, executed once a task, without a shell; `{}` takes the task, `{1}` and `{name}` take one field of it;
    /// without any of these the fields are the last arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,

    /// The tasks: a .csv, .jsonl, .msgpack or .txt file, or - for standard input
    #[arg(long, value_name = "FILE", help_heading = "Tasks")]
    pub tasks: PathBuf,

    /// Keep this column of a .csv file as text, even where it looks like a number (may be repeated)
    #[arg(long, value_name = "COLUMN", help_heading = "Tasks")]
    pub text: Vec<String>,

    /// Keep every outcome in this file, or s3://BUCKET/NAME, or file:///FOLDER; what it holds is not computed again
    #[arg(long, value_name = "FILE", help_heading = "Checkpoint")]
    pub checkpoint: Option<PathBuf>,

    /// Start anew; an existing checkpoint is renamed, never deleted
    #[arg(long, requires = "checkpoint", conflicts_with = "any_work", help_heading = "Checkpoint")]
    pub fresh: bool,

    /// Go on from the checkpoint even if another function or command made it
    #[arg(long, requires = "checkpoint", help_heading = "Checkpoint")]
    pub any_work: bool,

    /// Longest time from the end of a task until its outcome is on the disk
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = values::seconds_or_zero)]
    #[arg(help_heading = "Checkpoint")]
    pub flush: Duration,

    /// Names of the columns of the values, for whoever makes a table of them; every value has to have these
    #[arg(long, value_name = "NAME,NAME,..", requires = "checkpoint", conflicts_with = "command")]
    #[arg(help_heading = "Checkpoint")]
    pub columns: Option<ColumnNames>,

    /// How a checkpoint is stored: smaller for some time of one core, or as it is
    #[arg(long, value_name = "HOW", value_enum, default_value = "none", requires = "checkpoint")]
    #[arg(help_heading = "Checkpoint")]
    pub compress: Compress,

    /// Keep values also where they have another width, or other names, than those that the checkpoint has already
    #[arg(long, requires = "checkpoint", conflicts_with_all = ["command", "columns"], help_heading = "Checkpoint")]
    pub any_shape: bool,

    /// Further attempts for a task whose process or worker died under it
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Limits of a task")]
    pub retries: u16,

    /// Further attempts for a task that failed by itself: exception, exit code, timeout, out of memory
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Limits of a task")]
    pub retry_errors: u16,

    /// Longest wall time of one attempt; may have a fraction [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds, help_heading = "Limits of a task")]
    pub timeout: Option<Duration>,

    /// Most memory of the process that runs a task, such as 512M or 1.5GiB [default: none]
    #[arg(long, value_name = "SIZE", value_parser = values::size, help_heading = "Limits of a task")]
    pub memory: Option<u64>,

    /// Python interpreter [default: the active virtual environment's, else python3]
    #[arg(long, value_name = "PATH", conflicts_with = "command", help_heading = "Processes")]
    pub python: Option<String>,

    /// Modules that one process of each machine imports, of which the others are copies that share its memory
    #[arg(long, value_name = "MODULE,MODULE,..", value_parser = values::module, value_delimiter = ',')]
    #[arg(conflicts_with = "command", help_heading = "Processes")]
    pub preload: Vec<String>,

    /// Most tasks of a process's life; then another takes its place [default: no limit]
    #[arg(long, value_name = "N", conflicts_with = "command", help_heading = "Processes")]
    pub tasks_per_process: Option<NonZeroU32>,

    /// Most memory that a process may still have after a task; with more another takes its place [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = values::size, conflicts_with = "command")]
    #[arg(help_heading = "Processes")]
    pub recycle_memory: Option<u64>,

    /// Tasks that are handed to a worker at once [default: learned from how long they take]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Processes")]
    pub batch_size: Option<u32>,

    /// How long running tasks may still take after the first Ctrl-C; the second one ends them at once
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = values::seconds_or_zero)]
    #[arg(help_heading = "Processes")]
    pub grace: Duration,

    /// Show no progress and no summary; errors are still shown
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,

    /// Write the summary as one JSON object to standard output
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// `maniple coordinator`.
#[derive(Debug, Args)]
pub struct Coordinator {
    /// Address to listen on, such as 0.0.0.0:7711; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", value_parser = values::listen)]
    pub listen: String,

    /// Where worker.access and client.access are written; whoever has one of these files may join
    #[arg(long, value_name = "DIR")]
    pub access_dir: PathBuf,

    /// Where jobs are remembered, so that a restarted coordinator goes on with them [default: state in the access directory]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// How long a silent worker or client is waited for
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = values::seconds)]
    pub lease: Duration,

    /// How long a job that is not detached waits for its client to come back, or for `maniple attach`
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = values::seconds)]
    pub client_grace: Duration,
}

/// `maniple worker`.
#[derive(Debug, Args)]
pub struct Worker {
    /// The worker.access file that the coordinator wrote
    #[arg(long, value_name = "FILE")]
    pub access_file: PathBuf,

    /// Processes that run tasks [default: one per core]
    #[arg(short = 'j', long, value_name = "N", value_parser = values::processes())]
    pub processes: Option<u16>,

    /// Python interpreter, if the job names none [default: the active virtual environment's, else python3]
    #[arg(long, value_name = "PATH")]
    pub python: Option<String>,
}

/// `maniple cleanup`.
#[derive(Debug, Args)]
pub struct Cleanup {
    /// End them: first by SIGTERM, and by SIGKILL those that are still there after the grace
    #[arg(long)]
    pub clean: bool,

    /// Only those that were started for this job
    #[arg(long, value_name = "JOB", value_parser = values::job)]
    pub job: Option<JobId>,

    /// How long they may take to end by themselves
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = values::seconds_or_zero)]
    pub grace: Duration,

    /// Write one JSON object a process to standard output
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests;
