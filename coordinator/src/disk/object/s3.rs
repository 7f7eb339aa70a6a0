//! An object store that speaks S3, set up by the `AWS_*` variables of the environment.
//!
//! Each one has a small runtime of its own, on which the calling thread drives its requests: the checkpoint's writer
//! blocks, and must not depend on who else has a runtime. Requests and their retries are bounded in time: a store that
//! never answered is given up after a second or two, since the mistake is likely the user's; one that did, much later.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use object_store::{
    BackoffConfig, ClientConfigKey, Error, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions,
    RetryConfig, UpdateVersion,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    path::Path,
};
use tokio::runtime::Runtime;

use super::store::{PutError, Store, StoreError, Version};

/// Longest time for one request, unless `AWS_TIMEOUT` says otherwise: a segment over a slow line.
const REQUEST: &str = "60 s";
const CONNECT: &str = "5 s";
/// How often a request is tried again at first, and once the store has answered.
const FIRST_RETRIES: usize = 6;
const RETRIES: usize = 30;
/// After so long it is not tried again any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is shown of an answer that nobody foresaw.
const SHOWN: usize = 200;

/// See the module.
pub struct S3 {
    runtime: Runtime,
    hasty: AmazonS3,
    patient: AmazonS3,
    has_answered: AtomicBool,
    bucket: String,
}

impl S3 {
    /// The bucket, as the environment says how to get to it. Nothing is sent yet.
    pub fn from_env(bucket: &str) -> io::Result<S3> {
        S3::new(AmazonS3Builder::from_env(), bucket)
    }

    pub(super) fn new(builder: AmazonS3Builder, bucket: &str) -> io::Result<S3> {
        // Whoever was first has installed the same: there is no other in this program.
        let _installed = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let mut builder = builder.with_bucket_name(bucket);
        for (key, value) in [(ClientConfigKey::Timeout, REQUEST), (ClientConfigKey::ConnectTimeout, CONNECT)]
        {
            if std::env::var_os(format!("AWS_{}", key.as_ref().to_uppercase())).is_none() {
                builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
            }
        }
        if builder.get_config_value(&AmazonS3ConfigKey::Checksum).is_none() {
            builder = builder.with_checksum_algorithm(Checksum::SHA256);
        }
        let with_retries = |max_retries| {
            let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
            let retries = RetryConfig { backoff, max_retries, retry_timeout: PATIENCE };
            builder.clone().with_retry(retries).build().map_err(|error| line(bucket, &error).into_io())
        };
        let (hasty, patient) = (with_retries(FIRST_RETRIES)?, with_retries(RETRIES)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let has_answered = AtomicBool::new(false);
        Ok(S3 { runtime, hasty, patient, has_answered, bucket: bucket.to_owned() })
    }

    fn client(&self) -> &AmazonS3 {
        if self.has_answered.load(Ordering::Relaxed) { &self.patient } else { &self.hasty }
    }

    fn failed(&self, error: &Error) -> io::Error {
        line(&self.bucket, error).into_io()
    }

    /// Tells a missing object from a missing bucket.
    fn found<T>(&self, result: Result<T, Error>) -> io::Result<Option<T>> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { source, .. }) if !source.to_string().contains(NO_BUCKET) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }
}

const NO_BUCKET: &str = "NoSuchBucket";

fn path(name: &str) -> io::Result<Path> {
    Path::parse(name).map_err(|error| StoreError(error.to_string()).into_io())
}

fn version(e_tag: Option<String>) -> io::Result<Version> {
    let none = || StoreError("the store gives no ETag: it cannot keep checkpoints".into()).into_io();
    e_tag.map(Version).ok_or_else(none)
}

impl Store for S3 {
    fn get(&self, name: &str) -> io::Result<Option<(Bytes, Version)>> {
        let path = path(name)?;
        let read = async {
            let found = self.client().get(&path).await?;
            let e_tag = found.meta.e_tag.clone();
            Ok((found.bytes().await?, e_tag))
        };
        let found = self.found(self.runtime.block_on(read))?;
        self.has_answered.store(true, Ordering::Relaxed);
        found.map(|(bytes, e_tag)| Ok((bytes, version(e_tag)?))).transpose()
    }

    fn get_range(&self, name: &str, at: u64, len: usize) -> io::Result<Bytes> {
        let path = path(name)?;
        let read = self.client().get_range(&path, at..at + len as u64);
        self.found(self.runtime.block_on(read))?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn upload(&self, name: &str, bytes: Bytes) -> io::Result<()> {
        let path = path(name)?;
        let len = bytes.len() as u64;
        let write = async {
            self.client().put(&path, bytes.into()).await?;
            self.client().head(&path).await
        };
        let written = self.runtime.block_on(write).map_err(|error| self.failed(&error))?;
        if written.size != len {
            let text = format!("of an object of {len} bytes the store keeps {}", written.size);
            return Err(StoreError(text).into_io());
        }
        Ok(())
    }

    fn put(&self, name: &str, bytes: Bytes, known: Option<&Version>) -> Result<Version, PutError> {
        let path = path(name).map_err(PutError::Failed)?;
        let mode = match known {
            None => PutMode::Create,
            Some(Version(e_tag)) => {
                PutMode::Update(UpdateVersion { e_tag: Some(e_tag.clone()), version: None })
            }
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.runtime.block_on(self.client().put_opts(&path, bytes.into(), options)) {
            Ok(put) => version(put.e_tag).map_err(PutError::Failed),
            Err(Error::Precondition { source, .. }) if !source.to_string().contains(NO_BUCKET) => {
                Err(PutError::Changed)
            }
            Err(Error::AlreadyExists { .. }) => Err(PutError::Changed),
            Err(error) => Err(PutError::Failed(self.failed(&error))),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = path(name)?;
        self.found(self.runtime.block_on(self.client().delete(&path))).map(|_| ())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let folder = path(folder)?;
        let listed = self.runtime.block_on(self.client().list_with_delimiter(Some(&folder)));
        let listed = listed.map_err(|error| self.failed(&error))?;
        let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
        Ok(listed.objects.iter().map(|object| name(&object.location)).collect())
    }
}

/// What a user can do about it, in one line.
fn line(bucket: &str, error: &Error) -> StoreError {
    let text = in_full(error);
    let has = |word: &str| text.contains(word);
    StoreError(if has(NO_BUCKET) {
        format!("there is no bucket `{bucket}`: create it, or choose another")
    } else if has("InstanceCredential") || has("latest/api/token") || has("latest/meta-data") {
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role gives some"
            .into()
    } else if has("MissingAccessKeyId") || has("Missing AccessKeyId") || has("Missing SecretAccessKey") {
        "half of the credentials is missing: set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into()
    } else if matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) {
        format!("access denied to bucket `{bucket}`: check the credentials in AWS_* and their rights")
    } else if has("URL scheme is not allowed") {
        "AWS_ENDPOINT_URL is not encrypted: use https, or set AWS_ALLOW_HTTP=true".into()
    } else if has("error trying to connect") || has("tcp connect") || has("dns error") || has("Connect") {
        format!(
            "the object store cannot be reached: check AWS_ENDPOINT_URL, AWS_REGION and the network ({})",
            shown(text.rsplit(": ").next().unwrap_or_default())
        )
    } else {
        shown(&text)
    })
}

/// The error with its causes.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

fn shown(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} ..", &words[..end]),
        None => words,
    }
}
