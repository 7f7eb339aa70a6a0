//! Command lines as tables: what is accepted, and the one line that anything else ends as.

use std::{ffi::OsString, num::NonZeroU32, path::Path, time::Duration};

use clap::CommandFactory;
use shared::{
    job::{Compression, Existing, Work},
    shape::ValueShape,
};

use super::{
    Cli, Job, Verb,
    usage::{Instead, parse},
    values::{ColumnNames, FunctionName, listen, seconds, seconds_or_zero, size},
};

fn words(line: &str) -> Vec<OsString> {
    std::iter::once("maniple").chain(line.split_whitespace()).map(OsString::from).collect()
}

fn job(line: &str) -> Job {
    match parse(words(line)).expect("a valid command line").verb {
        Verb::Run(run) => run.job,
        Verb::Submit(submit) => submit.job,
        other => panic!("no job: {other:?}"),
    }
}

fn mistake(line: &str) -> String {
    match parse(words(line)) {
        Err(Instead::Mistake(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

fn help(line: &str, width: usize) -> String {
    let mut command = Cli::command().term_width(width).max_term_width(width);
    command.build();
    let verb =
        line.split_whitespace().fold(&mut command, |at, verb| at.find_subcommand_mut(verb).expect("a verb"));
    verb.render_help().to_string()
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_function_job_has_its_defaults() {
    let job = job("run factors:compute --tasks t.csv");
    assert_eq!(job.limits(), shared::job::Limits::default());
    assert_eq!((job.flush, job.grace), (Duration::from_secs(1), Duration::from_secs(10)));
    assert_eq!(job.checkpoint_spec(&[], Path::new("/w")), Ok(None));
    assert!(!job.is_command() && !job.quiet && !job.json);
    assert_eq!(job.work(&[], "/w").identity(), "function factors:compute");
}

#[test]
fn every_option_of_a_job_is_taken_over() {
    let job = job(
        "run -j 3 a.b:C.f --tasks t.csv --text code --text day --checkpoint c --fresh --retries 7 \
                   --retry-errors 2 --timeout 0.25 --memory 512M --batch-size 9 --tasks-per-process 4 --recycle-memory 1G --flush 0 --grace 0 --python py \
                   --preload pandas,a.b --preload c \
                   --quiet --json",
    );
    assert_eq!(job.text, ["code", "day"]);
    let limits = job.limits();
    assert_eq!((limits.death_retries, limits.error_retries, limits.memory), (7, 2, Some(512 << 20)));
    assert_eq!(limits.timeout, Some(Duration::from_millis(250)));
    assert_eq!(limits.tasks_per_process.map(NonZeroU32::get), Some(4));
    assert_eq!(limits.recycle_memory, Some(1 << 30));
    let checkpoint =
        job.checkpoint_spec(&[], Path::new("/w")).expect("a path").expect("a checkpoint was asked for");
    assert_eq!((checkpoint.path.name(), checkpoint.existing), (Path::new("/w/c"), Existing::SetAside));
    assert_eq!((checkpoint.flush, job.grace, job.batch_size), (Duration::ZERO, Duration::ZERO, Some(9)));
    let Work::Function(function) = job.work(&[], "/w") else { panic!("a function") };
    assert_eq!((function.module.as_str(), function.function.as_str()), ("a.b", "C.f"));
    assert_eq!((function.path, function.python), (vec!["/w".to_owned()], Some("py".to_owned())));
    assert_eq!(function.preload, ["pandas", "a.b", "c"]);
}

#[test]
fn everything_behind_the_dashes_belongs_to_the_command() {
    let job = job(
        "submit --access-file a --detach --tasks - --checkpoint c --any-work -- cc -j 4 --tasks {1} -- x",
    );
    assert_eq!(job.command, ["cc", "-j", "4", "--tasks", "{1}", "--", "x"]);
    let Work::Command(command) = job.work(&["n".to_owned()], "/w") else { panic!("a command") };
    assert_eq!(
        (command.argv, command.fields, command.cwd.as_str()),
        (job.command.clone(), vec!["n".to_owned()], "/w")
    );
    let checkpoint =
        job.checkpoint_spec(&[], Path::new("/w")).expect("a path").expect("a checkpoint was asked for");
    assert_eq!(checkpoint.existing, Existing::ResumeAnyWork);
}

#[test]
fn a_checkpoint_has_columns_and_a_shape() {
    let spec = |line: &str| {
        let fields = ["date".to_owned(), "code".to_owned()];
        let spec = job(line).checkpoint_spec(&fields, Path::new("/w")).expect("a path");
        spec.expect("a checkpoint was asked for")
    };
    let plain = spec("run f:g --tasks t.csv --checkpoint c");
    assert_eq!((plain.columns, plain.compress, plain.shape), (vec![], Compression::None, ValueShape::Open));
    assert_eq!(plain.key_columns, ["date", "code"]);
    let named = spec("submit --access-file a f:g --tasks t.csv --checkpoint c --columns é,b --compress zstd");
    assert_eq!(named.columns, ["é", "b"]);
    assert_eq!((named.compress, named.shape), (Compression::Zstd, ValueShape::Open));
    assert_eq!(spec("run f:g --tasks t --checkpoint c --any-shape").shape, ValueShape::Any);
    assert_eq!(spec("run --tasks t --checkpoint c -- cc").shape, ValueShape::Any, "outputs have no columns");
    assert_eq!("a, b c ,d".parse(), Ok(ColumnNames(vec!["a".into(), "b c".into(), "d".into()])));
}

#[test]
fn a_mistake_is_one_line() {
    for (line, expected) in [
        ("run f:g", "--tasks <FILE>; see 'maniple run --help'"),
        ("--log info run f.py:g --tasks t", "did you mean f:g?; see 'maniple run --help'"),
        ("run --tasks t.csv", "MODULE:FUNCTION"),
        ("run --tasks t.csv f:g -- echo", "cannot be used with"),
        ("run --tasks t.csv echo", "such as factors:compute (a command goes behind --)"),
        ("run --tasks t.csv factors.py:f", "did you mean factors:f?"),
        ("run --tsks t.csv f:g", "a similar argument exists: '--tasks'"),
        ("run --tasks t.csv f:g -j 0", "'--processes <N>'"),
        ("run --tasks t.csv f:g --fresh", "--checkpoint <FILE>"),
        ("run --tasks t.csv f:g --checkpoint c --fresh --any-work", "cannot be used with '--any-work'"),
        ("run --tasks t.csv f:g --timeout soon", "expected a number of seconds"),
        ("run --tasks t.csv f:g --columns a,b", "--checkpoint <FILE>"),
        ("run --tasks t.csv f:g --checkpoint c --columns a,,b", "there is a name missing"),
        ("run --tasks t.csv f:g --checkpoint c --columns a,b,a", "\"a\" is named twice"),
        ("run --tasks t.csv f:g --checkpoint c --columns a --any-shape", "cannot be used with '--any-shape'"),
        ("run --tasks t.csv --checkpoint c --columns a -- echo", "cannot be used with"),
        ("run --tasks t.csv f:g --checkpoint c --compress lz4", "[possible values: none, zstd]"),
        ("run --tasks t.csv f:g --preload pandas,,numpy", "\"\" is no name of a Python module"),
        ("run --tasks t.csv --preload pandas -- echo", "cannot be used with"),
        ("run --tasks t.csv --python p -- echo", "'--python <PATH>' cannot be used with"),
        ("sun", "'sun'"),
        ("worker -j 4", "--access-file <FILE>; see 'maniple worker --help'"),
        ("checkpoint info", "<FILE>; see 'maniple checkpoint info --help'"),
        ("cleanup --job 12", "expected the 16 hexadecimal digits of a job"),
        ("cleanup --job +123456789abcdef", "expected the 16 hexadecimal digits of a job"),
        ("checkpoint export --format excel c out", "[possible values: parquet, arrow, csv, jsonl]"),
        ("checkpoint export --format csv --where date c -", "expected NAME=FROM..TO"),
    ] {
        let text = mistake(line);
        assert!(text.contains(expected), "{line}: {text}");
        assert!(text.contains("; see 'maniple") && !text.contains('\n'), "{line}: {text}");
    }
    assert!(mistake("").starts_with("expected a verb\n"));
}

#[test]
fn help_and_version_are_answers() {
    for line in ["--help", "run --help", "run -h", "checkpoint info --help", "--version"] {
        assert!(matches!(parse(words(line)), Err(Instead::Answer(_))), "{line}");
    }
}

#[test]
fn help_fits_the_terminal_and_names_every_option() {
    for width in [60, 80, 100] {
        for verb in [
            "",
            "run",
            "submit",
            "coordinator",
            "worker",
            "checkpoint",
            "checkpoint info",
            "checkpoint export",
            "cleanup",
            "jobs",
            "attach",
            "cancel",
        ] {
            let text = help(verb, width);
            let mut command = Cli::command();
            let command = verb
                .split_whitespace()
                .fold(&mut command, |at, verb| at.find_subcommand_mut(verb).expect("a verb"));
            for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
                assert!(text.contains(&format!("--{option}")), "{verb} --{option} at {width}:\n{text}");
            }
            assert!(verb == "checkpoint" || text.contains("\nExample"), "{verb} has an example");
            for line in text.lines() {
                let is_usage = line.contains("maniple ") && line.contains("[OPTIONS]");
                assert!(is_usage || line.chars().count() <= width, "{verb} at {width}: {line}");
            }
        }
    }
}

#[test]
fn times_sizes_and_addresses() {
    assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    assert_eq!(seconds_or_zero("0"), Ok(Duration::ZERO));
    for bad in ["0", "-1", "nan", "inf", "1e300", "1s", ""] {
        assert!(seconds(bad).is_err(), "{bad}");
    }
    for (text, bytes) in [
        ("512M", 512 << 20),
        ("2G", 2 << 30),
        ("1GiB", 1 << 30),
        ("1.5g", 3 << 29),
        ("2 MB", 2_000_000),
        ("1073741824", 1 << 30),
        ("4096k", 4 << 20),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for bad in ["", "M", "-1G", "1X", "1..5G", "9999999T"] {
        assert!(size(bad).is_err(), "{bad}");
    }
    for (text, hint) in [("512", "did you mean 512M?"), ("1K", "at least 1M"), ("900 KB", "at least 1M")] {
        assert!(size(text).is_err_and(|told| told.ends_with(hint)), "{text}");
    }
    for good in ["127.0.0.1:7711", "localhost:0", "[::1]:80"] {
        assert_eq!(listen(good).as_deref(), Ok(good));
    }
    for bad in ["7711", ":7711", "host:", "host:99999", "::1:80"] {
        assert!(listen(bad).is_err(), "{bad}");
    }
}

#[test]
fn names_of_functions() {
    let name: FunctionName = "pkg.mod_1:Class.method".parse().expect("a good name");
    assert_eq!((name.module.as_str(), name.function.as_str()), ("pkg.mod_1", "Class.method"));
    for (bad, hint) in [
        ("factors.compute", "did you mean factors:compute?"),
        ("factors.py", "such as factors:compute"),
        ("./factors.py:f", "did you mean factors:f?"),
        ("lib/factors.py:f", "did you mean factors:f, run in the folder lib?"),
        ("a/b:f", "\"a/b\" is no name of a Python module"),
        (":f", "\"\" is no name of a Python module"),
        ("m:", "\"\" is no name of a Python function"),
        ("m:<lambda>", "no name of a Python function"),
        ("m:f:g", "no name of a Python function"),
    ] {
        let error = bad.parse::<FunctionName>().expect_err(bad);
        assert!(error.contains(hint), "{bad}: {error}");
    }
}
