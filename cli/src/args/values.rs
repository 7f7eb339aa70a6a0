//! Values of options: times, sizes, addresses, the name of a function. Pure text in, typed value or one line out.

use std::{num::NonZeroU16, str::FromStr, time::Duration};

use clap::builder::RangedI64ValueParser;
use shared::id::JobId;

/// No option takes a longer time than this (about 31 years), so that sums of times cannot overflow.
const LONGEST: f64 = 1e9;
/// The smallest memory limit that any process can live in; below, the unit is wrong or was forgotten.
const LEAST_MEMORY: u64 = 1 << 20;

/// Number of processes: at least one, and no more than a slot's number can tell.
pub fn processes() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(i64::from(NonZeroU16::MIN.get())..)
}

/// Seconds, with or without a fraction, at least a millisecond.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match seconds_or_zero(text)? {
        time if time < Duration::from_millis(1) => Err("has to be at least 0.001 seconds".to_owned()),
        time => Ok(time),
    }
}

/// Seconds, with or without a fraction.
pub fn seconds_or_zero(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=LONGEST).contains(&number) => Ok(Duration::from_secs_f64(number)),
        Ok(_) => Err("is not a time that can be waited for".to_owned()),
        Err(_) => Err("expected a number of seconds, such as 30 or 0.5".to_owned()),
    }
}

/// A job by its number, as progress and summaries show it.
pub fn job(text: &str) -> Result<JobId, String> {
    let is_number = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u64::from_str_radix(text, 16).ok().filter(|_| is_number);
    number.map(JobId).ok_or_else(|| "expected the 16 hexadecimal digits of a job".to_owned())
}

/// A size in bytes. `K M G T` and `KiB MiB GiB TiB` are powers of 1024, `KB MB GB TB` powers of 1000.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let expected = || "expected a size, such as 512M, 2G or 1.5GiB".to_owned();
    let number: f64 = number.parse().map_err(|_| expected())?;
    let unit = unit.trim().to_ascii_lowercase();
    let scale = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024f64.powi(2),
        "g" | "gib" => 1024f64.powi(3),
        "t" | "tib" => 1024f64.powi(4),
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err(expected()),
    };
    let bytes = number * scale;
    if bytes >= i64::MAX as f64 {
        return Err("is more memory than any machine has".to_owned());
    }
    match bytes as u64 {
        few if few < LEAST_MEMORY && unit.is_empty() => {
            Err(format!("is less than any process needs; did you mean {text}M?"))
        }
        few if few < LEAST_MEMORY => Err("is less than any process needs: at least 1M".to_owned()),
        bytes => Ok(bytes),
    }
}

/// An address to listen on: a host or IP address, a colon, a port.
pub fn listen(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match parts {
        Some((host, _)) if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) => {
            Err("an IPv6 address goes in brackets, such as [::1]:7711".to_owned())
        }
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("expected HOST:PORT, such as 127.0.0.1:7711".to_owned()),
    }
}

/// How a checkpoint is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Compress {
    None,
    Zstd,
}

/// Names of columns, distinct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnNames(pub Vec<String>);

impl FromStr for ColumnNames {
    type Err = String;

    fn from_str(text: &str) -> Result<ColumnNames, String> {
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',').map(str::trim) {
            match name {
                "" => return Err("there is a name missing; expected names, such as open,close".to_owned()),
                known if names.iter().any(|name| name == known) => {
                    return Err(format!("{known:?} is named twice"));
                }
                new => names.push(new.to_owned()),
            }
        }
        Ok(ColumnNames(names))
    }
}

/// The dotted name of a module.
pub fn module(text: &str) -> Result<String, String> {
    if is_dotted(text) { Ok(text.to_owned()) } else { Err(format!("{text:?} is no name of a Python module")) }
}

/// The import path of a Python function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionName {
    /// Dotted module name.
    pub module: String,
    /// Dotted name within the module.
    pub function: String,
}

impl FromStr for FunctionName {
    type Err = String;

    fn from_str(text: &str) -> Result<FunctionName, String> {
        let Some((module, function)) = text.split_once(':') else {
            return Err(match text.rsplit_once('.') {
                Some((module, function)) if is_dotted(module) && is_dotted(function) && function != "py" => {
                    format!("expected MODULE:FUNCTION; did you mean {module}:{function}?")
                }
                _ => {
                    "expected MODULE:FUNCTION, such as factors:compute (a command goes behind --)".to_owned()
                }
            });
        };
        if let Some(file) = module.strip_suffix(".py") {
            return Err(match file.trim_start_matches("./").rsplit_once('/') {
                None => format!(
                    "expected a module, not a file; did you mean {}:{function}?",
                    file.trim_start_matches("./")
                ),
                Some((folder, stem)) => {
                    format!(
                        "expected a module, not a file; did you mean {stem}:{function}, run in the folder {folder}?"
                    )
                }
            });
        }
        match (is_dotted(module), is_dotted(function)) {
            (true, true) => Ok(FunctionName { module: module.to_owned(), function: function.to_owned() }),
            (false, _) => Err(format!("{module:?} is no name of a Python module")),
            (true, false) => Err(format!("{function:?} is no name of a Python function")),
        }
    }
}

/// Python identifiers, joined by dots.
fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        let starts = part.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
        starts && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}
