//! `maniple checkpoint ...` as the user types it: the tools and their options.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{help, values::FunctionName};

/// `maniple checkpoint ...`.
#[derive(Debug, Subcommand)]
pub enum Checkpoint {
    /// Say what a checkpoint holds, and whether it is whole; changes nothing
    #[command(after_help = help::CHECKPOINT_INFO)]
    Info(Info),
    /// Make a checkpoint of another program's results
    #[command(after_help = help::CHECKPOINT_IMPORT)]
    Import(Import),
}

/// `maniple checkpoint info`.
#[derive(Debug, Args)]
pub struct Info {
    /// The checkpoint: a file or a URL
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write one JSON object to standard output
    #[arg(long)]
    pub json: bool,
}

/// `maniple checkpoint import`.
#[derive(Debug, Args)]
pub struct Import {
    /// What wrote the results
    #[arg(long, value_name = "PROGRAM")]
    pub from: Program,

    /// The function that made them, so that a run of it goes on from OUT [default: unknown; runs need --any-work]
    #[arg(long, value_name = "MODULE:FUNCTION")]
    pub function: Option<FunctionName>,

    /// Leave out rows of nothing but NaN, so that they are computed again: that program stores every error as such a row
    #[arg(long)]
    pub drop_nan_rows: bool,

    /// The backup file
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,

    /// The checkpoint to make
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
}

/// Programs whose results can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// Backups of run_pools and run_pools_queue, versions 2, 3 and 4
    #[value(name = "rust_pyfunc")]
    RustPyfunc,
}
