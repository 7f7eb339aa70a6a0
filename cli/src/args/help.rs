//! The longer texts of `--help`: usage lines where two forms exist, and the examples at the end.
//!
//! Prose is wrapped by clap; lines of examples must not be, so they are at most 60 columns wide.

/// After `maniple --help`.
pub const TOP: &str = "\
Examples:
  maniple run factors:compute --tasks tasks.csv
  seq 2000 | maniple run --tasks - -- ./simulate {}
  maniple run --help";

/// The two forms of `maniple run`.
pub const RUN_USAGE: &str = "\
maniple run [OPTIONS] MODULE:FUNCTION --tasks FILE
       maniple run [OPTIONS] --tasks FILE -- COMMAND [ARG]...";

/// The two forms of `maniple submit`.
pub const SUBMIT_USAGE: &str = "\
maniple submit --access-file FILE [OPTIONS] MODULE:FUNCTION --tasks FILE
       maniple submit --access-file FILE [OPTIONS] --tasks FILE -- COMMAND [ARG]...";

/// After `maniple run --help`.
pub const RUN: &str = "\
Exit codes: 0 every task has a value, 1 some tasks failed, 2 usage or input, \
3 damaged or foreign checkpoint, 4 storage failed, 70 internal error, 130 interrupted, 131 quit, 143 terminated.

Examples:
  # call compute(date, code) of factors.py for each row;
  # repeat it to compute what is missing
  maniple run factors:compute --tasks tasks.csv \\
      --text code --checkpoint factors.checkpoint

  # a command per line of standard input, 60 s each at most
  seq 2000 | maniple run --tasks - --timeout 60 \\
      -- ./simulate --seed {}

  # fields of a .csv file by name or position
  maniple run --tasks images.csv \\
      -- convert {file} -resize {2} out/{file}";

/// After `maniple submit --help`.
pub const SUBMIT: &str = "\
The checkpoint is a file on the coordinator's machine. Exit codes are those of run, and 5: authentication or version.

Example:
  maniple submit --access-file client.access \\
      factors:compute --tasks tasks.csv \\
      --checkpoint /data/factors.checkpoint";

/// After `maniple coordinator --help`.
pub const COORDINATOR: &str = "\
Example:
  maniple coordinator --listen 0.0.0.0:7711 \\
      --access-dir ~/.maniple";

/// After `maniple worker --help`.
pub const WORKER: &str = "\
Example:
  maniple worker --access-file worker.access -j 16";

/// After `maniple checkpoint info --help`.
pub const CHECKPOINT_INFO: &str = "\
Example:
  maniple checkpoint info factors.checkpoint";

/// After `maniple checkpoint verify --help`.
pub const CHECKPOINT_VERIFY: &str = "\
Exit codes: 0 whole, 2 usage, 3 damaged.

Example:
  maniple checkpoint verify factors.checkpoint";

/// After `maniple checkpoint repair --help`.
pub const CHECKPOINT_REPAIR: &str = "\
Exit codes: 0 nothing was lost, 2 usage, 3 OUT was made and something was left behind, 4 storage failed.

Example:
  maniple checkpoint repair factors.checkpoint whole.checkpoint";

/// After `maniple checkpoint compact --help`.
pub const CHECKPOINT_COMPACT: &str = "\
It needs room for a second file. Whenever it is ended, even by kill -9, the checkpoint is there with all values.

Example:
  maniple checkpoint compact --compress zstd \\
      factors.checkpoint";

/// After `maniple checkpoint failures --help`.
pub const CHECKPOINT_FAILURES: &str = "\
Example:
  maniple checkpoint failures --json factors.checkpoint \\
      | jq -r .traceback";

/// After `maniple checkpoint merge --help`.
pub const CHECKPOINT_MERGE: &str = "\
Exit codes: 0 merged, 1 merged, but some tasks have different values and no --prefer says which counts, 2 usage, \
3 damaged, 4 storage failed.

Example:
  maniple checkpoint merge mon.checkpoint tue.checkpoint \\
      week.checkpoint";

/// After `maniple checkpoint diff --help`.
pub const CHECKPOINT_DIFF: &str = "\
Exit codes: 0 the same outcomes, 1 different ones, 2 usage, 3 damaged.

Example:
  maniple checkpoint diff old.checkpoint new.checkpoint";

/// After `maniple checkpoint import --help`.
pub const CHECKPOINT_IMPORT: &str = "\
Example:
  maniple checkpoint import --from rust_pyfunc --function factors:compute backup.bin factors.checkpoint
  maniple run factors:compute --tasks tasks.csv --checkpoint factors.checkpoint

Exit codes: 0 imported, 2 usage or input, 3 imported but for damaged records, 4 storage failed";

/// After `maniple checkpoint export --help`.
pub const CHECKPOINT_EXPORT: &str = "\
Exit codes: 0 written, 2 usage, or values that make no table, 3 damaged checkpoint, 4 storage failed.

Examples:
  maniple checkpoint export --format parquet \\
      factors.checkpoint factors.parquet
  maniple checkpoint export --format csv \\
      --columns c0,c3 --where date=20240101..20241231 \\
      factors.checkpoint -";

/// After `maniple cleanup --help`.
pub const CLEANUP: &str = "\
A process is left over if the keeper and the engine of its run are both gone. What a living run owns is never touched.

Exit codes: 0 nothing is left over, 1 something is, 2 usage.

Examples:
  maniple cleanup
  maniple cleanup --clean";

/// After `maniple jobs --help`.
pub const JOBS: &str = "\
Jobs that have ended are known for a week.

Example:
  maniple jobs --access-file client.access";

/// After `maniple attach --help`.
pub const ATTACH: &str = "\
Ctrl-C leaves the job alone. Exit codes are those of the job, and 2: no such job, 5: authentication or version.

Example:
  maniple attach --access-file client.access \\
      0123456789abcdef";

/// After `maniple cancel --help`.
pub const CANCEL: &str = "\
Exit codes: 0 the job has ended, 2 no such job, 5 authentication or version.

Example:
  maniple cancel --access-file client.access \\
      0123456789abcdef";
