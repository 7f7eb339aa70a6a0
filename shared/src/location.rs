//! Where a checkpoint is: a path on the coordinator's machine, or the URL of an object store. Pure.
//!
//! It travels and is kept as the text that names it, so what comes from elsewhere is judged where it is used.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The text: a path or a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Location(PathBuf);

/// What a location means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means<'a> {
    /// An ordinary file.
    File(&'a Path),
    /// Objects in a bucket, whose names begin with this.
    S3 {
        /// The bucket.
        bucket: &'a str,
        /// What the names of the objects begin with; never empty.
        prefix: &'a str,
    },
    /// The same in a folder of the file system.
    Folder(&'a Path),
}

/// A URL that cannot be one of a checkpoint.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{url}: {why}; write s3://BUCKET/NAME, file:///FOLDER, or a path (./{url} if it is one)")]
pub struct BadUrl {
    url: String,
    why: &'static str,
}

impl Location {
    /// What a user has written: a URL as it is, a path seen from `cwd`.
    pub fn parse(text: &Path, cwd: &Path) -> Result<Location, BadUrl> {
        let location = match split(text) {
            None => Location(cwd.join(text)),
            Some((scheme, rest)) => Location(format!("{scheme}://{}", rest.trim_end_matches('/')).into()),
        };
        location.means()?;
        Ok(location)
    }

    /// What it means.
    pub fn means(&self) -> Result<Means<'_>, BadUrl> {
        let Some((scheme, rest)) = split(&self.0) else { return Ok(Means::File(&self.0)) };
        let bad = |why| BadUrl { url: self.to_string(), why };
        match scheme {
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(bad("it names no bucket"));
                }
                if prefix.is_empty() {
                    return Err(bad("it names no checkpoint in the bucket"));
                }
                are_names(prefix).then_some(Means::S3 { bucket, prefix }).ok_or_else(|| bad(BAD_NAME))
            }
            "file" => match rest.strip_prefix('/') {
                Some(names) if !names.is_empty() => {
                    are_names(names).then_some(Means::Folder(Path::new(rest))).ok_or_else(|| bad(BAD_NAME))
                }
                _ => Err(bad("it names no folder by a path that begins with /")),
            },
            _ => Err(bad("checkpoints cannot be kept there")),
        }
    }

    /// The text, as disks name files.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.0
    }
}

const BAD_NAME: &str = "a part of its path is empty, `.`, `..`, or has control characters";

fn are_names(path: &str) -> bool {
    path.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.chars().any(char::is_control))
}

/// Scheme and rest of a URL; `None` if it is a path.
fn split(text: &Path) -> Option<(&str, &str)> {
    let (scheme, rest) = text.to_str()?.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some((scheme, rest))
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Location {
        Location(path)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location, BadUrl> {
        Location::parse(Path::new(text), Path::new("/w"))
    }

    #[test]
    fn paths_and_urls() {
        for (text, means) in [
            ("c", Means::File(Path::new("/w/c"))),
            ("/d/c", Means::File(Path::new("/d/c"))),
            ("./s3://b/c", Means::File(Path::new("/w/./s3:/b/c"))),
            ("s3:/b", Means::File(Path::new("/w/s3:/b"))),
            ("s3://b/p/c", Means::S3 { bucket: "b", prefix: "p/c" }),
            ("s3://b/c/", Means::S3 { bucket: "b", prefix: "c" }),
            ("file:///d/c", Means::Folder(Path::new("/d/c"))),
        ] {
            assert_eq!(parse(text).expect("a location").means(), Ok(means), "{text}");
        }
        assert_eq!(parse("s3://b/c/").expect("a location").to_string(), "s3://b/c");
    }

    #[test]
    fn bad_urls_name_the_culprit_and_what_to_write() {
        for (text, why) in [
            ("s3://", "no bucket"),
            ("s3://b", "no checkpoint in the bucket"),
            ("s3://b/", "no checkpoint in the bucket"),
            ("s3://b//c", "is empty"),
            ("s3://b/../c", "`..`"),
            ("s3://b/c\n", "control"),
            ("file://c", "no folder"),
            ("file://host/c", "no folder"),
            ("file:///", "no folder"),
            ("gs://b/c", "cannot be kept there"),
            ("https://x/c", "cannot be kept there"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(why) && error.contains("s3://BUCKET/NAME"), "{text}: {error}");
        }
    }
}
