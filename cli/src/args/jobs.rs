//! `maniple jobs`, `attach` and `cancel` as the user types them: what is done with jobs that a coordinator has already.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use shared::id::JobId;

use super::values;

/// `maniple jobs`.
#[derive(Debug, Args)]
pub struct Jobs {
    /// The client.access file that the coordinator wrote
    #[arg(long, value_name = "FILE")]
    pub access_file: PathBuf,

    /// Write one JSON object a job to standard output
    #[arg(long)]
    pub json: bool,
}

/// `maniple attach`.
#[derive(Debug, Args)]
pub struct Attach {
    /// The job's 16 hexadecimal digits, as `maniple jobs` lists them
    #[arg(value_name = "JOB", value_parser = values::job)]
    pub job: JobId,

    /// The client.access file that the coordinator wrote
    #[arg(long, value_name = "FILE")]
    pub access_file: PathBuf,

    /// Show no progress and no summary; errors are still shown
    #[arg(long)]
    pub quiet: bool,

    /// Write the summary as one JSON object to standard output
    #[arg(long)]
    pub json: bool,
}

/// `maniple cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The job's 16 hexadecimal digits, as `maniple jobs` lists them
    #[arg(value_name = "JOB", value_parser = values::job)]
    pub job: JobId,

    /// The client.access file that the coordinator wrote
    #[arg(long, value_name = "FILE")]
    pub access_file: PathBuf,

    /// How long running tasks may still take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = values::seconds_or_zero)]
    pub grace: Duration,
}
