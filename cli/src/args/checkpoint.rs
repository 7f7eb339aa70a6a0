//! `maniple checkpoint ...` as the user types it: the tools and their options.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    help,
    values::{Compress, FunctionName},
};
use crate::export::Where;

/// `maniple checkpoint ...`.
#[derive(Debug, Subcommand)]
pub enum Checkpoint {
    /// Say what a checkpoint holds, and whether it is whole; changes nothing
    #[command(after_help = help::CHECKPOINT_INFO)]
    Info(Info),
    /// Check every byte of a checkpoint and its journal; changes nothing
    #[command(after_help = help::CHECKPOINT_VERIFY)]
    Verify(Verify),
    /// Take what is whole in a damaged checkpoint over into a new one
    #[command(after_help = help::CHECKPOINT_REPAIR)]
    Repair(Repair),
    /// Write a checkpoint anew in large frames, in the place of the old one
    #[command(after_help = help::CHECKPOINT_COMPACT)]
    Compact(Compact),
    /// List the tasks that failed and have no value
    #[command(after_help = help::CHECKPOINT_FAILURES)]
    Failures(Failures),
    /// Put the values of several checkpoints into a new one
    #[command(after_help = help::CHECKPOINT_MERGE)]
    Merge(Merge),
    /// Say how the outcomes of two checkpoints differ
    #[command(after_help = help::CHECKPOINT_DIFF)]
    Diff(Diff),
    /// Make a checkpoint of another program's results
    #[command(after_help = help::CHECKPOINT_IMPORT)]
    Import(Import),
    /// Write the values as a table for other programs, or as lines of JSON
    #[command(after_help = help::CHECKPOINT_EXPORT)]
    Export(Export),
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

/// `maniple checkpoint verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The checkpoint
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write one JSON object to standard output, with the keys of all tasks that are lost
    #[arg(long)]
    pub json: bool,
}

/// `maniple checkpoint repair`.
#[derive(Debug, Args)]
pub struct Repair {
    /// The damaged checkpoint; it stays as it is
    #[arg(value_name = "IN")]
    pub file: PathBuf,

    /// The checkpoint to make
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
}

/// `maniple checkpoint compact`.
#[derive(Debug, Args)]
pub struct Compact {
    /// The checkpoint
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Keep no failures; else the last one of each task that has no value is kept
    #[arg(long)]
    pub drop_failures: bool,

    /// How it is stored from now on [default: as its first values are]
    #[arg(long, value_name = "HOW")]
    pub compress: Option<Compress>,
}

/// `maniple checkpoint failures`.
#[derive(Debug, Args)]
pub struct Failures {
    /// The checkpoint
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write a JSON object a line, with the whole story
    #[arg(long)]
    pub json: bool,
}

/// `maniple checkpoint merge`.
#[derive(Debug, Args)]
pub struct Merge {
    /// The checkpoints, two or more, and the one to make
    #[arg(value_name = "FILE", num_args = 3.., required = true)]
    pub files: Vec<PathBuf>,

    /// Which file's value counts where several have one; without it the first, and exit code 1 if any differ
    #[arg(long, value_name = "WHICH")]
    pub prefer: Option<Prefer>,

    /// Merge results of different functions or commands, too; the identity is that of the preferred file
    #[arg(long)]
    pub any_work: bool,
}

/// Whose value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prefer {
    /// That of the file that is named first
    First,
    /// That of the file that is named last
    Last,
}

/// `maniple checkpoint diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// A checkpoint
    #[arg(value_name = "A")]
    pub a: PathBuf,

    /// Another one
    #[arg(value_name = "B")]
    pub b: PathBuf,

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

/// `maniple checkpoint export`.
#[derive(Debug, Args)]
pub struct Export {
    /// What to write
    #[arg(long, value_name = "FORMAT")]
    pub format: Format,

    /// Columns of the values by name or by number from 0, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub columns: Vec<String>,

    /// Only rows whose key has these: NAME=FROM..TO (both included), NAME=FROM.., NAME=..TO or NAME=A,B; may be repeated
    #[arg(long = "where", value_name = "NAME=VALUES")]
    pub filters: Vec<Where>,

    /// Write columns that have no type of their own (lists, bytes, texts among numbers) as texts of JSON
    #[arg(long)]
    pub as_json: bool,

    /// Replace OUT if it exists
    #[arg(long)]
    pub force: bool,

    /// The checkpoint: a file or a URL
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The file to write; - is standard output
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
}

/// What values are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For pandas, polars, DuckDB
    Parquet,
    /// An Arrow file; to standard output an Arrow stream
    Arrow,
    /// Text, a row a line
    Csv,
    /// A JSON object a line, for values of any shape
    Jsonl,
}
