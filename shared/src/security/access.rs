//! Access files: whoever holds one can join its cluster, in one role.
//!
//! One JSON object in one file: what it is, format version, cluster, role, addresses (`host:port`, tried in order; the
//! one part that a user may edit), then the cluster's certificate, the role's certificate and its key as PEM. Members
//! that this version does not know are passed over.
//!
//! It deliberately does not know how a connection is made.
//!
//! Invariant: an error names the path and the next step, and never shows what the file holds.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    ClusterId,
    store::{StoreError, read_private},
};

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// What a peer may be; the coordinator is the third party and has no access file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Worker,
    Client,
}

impl Role {
    /// The name of the access file for this role.
    pub fn file_name(self) -> &'static str {
        match self {
            Role::Worker => "worker.access",
            Role::Client => "client.access",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Worker => "worker",
            Role::Client => "client",
        })
    }
}

/// Why an access file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{path} is not a maniple access file or is damaged ({what}); copy it again from the coordinator")]
    Malformed { path: PathBuf, what: String },
    #[error(
        "{path} has format version {found}, this maniple reads version {VERSION}; install the other maniple"
    )]
    Version { path: PathBuf, found: u32 },
    #[error("{path} is for a {found}, but a {wanted} needs {}; give that file", wanted.file_name())]
    WrongRole { path: PathBuf, found: Role, wanted: Role },
}

impl AccessError {
    /// Whether there simply is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, AccessError::Store(StoreError::Open { source, .. }) if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// A read access file.
#[derive(Debug)]
pub struct AccessFile {
    /// Where it was read, for messages.
    pub path: PathBuf,
    pub cluster: ClusterId,
    pub role: Role,
    /// `host:port`, at least one.
    pub addresses: Vec<String>,
    pub(super) authority: CertificateDer<'static>,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// The file as it is written; the order of the fields is the order in the file.
#[derive(Serialize, Deserialize)]
pub(super) struct Written {
    pub about: String,
    pub version: u32,
    pub cluster: ClusterId,
    pub role: Role,
    pub addresses: Vec<String>,
    pub authority: String,
    pub certificate: String,
    pub key: String,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Written {
    /// What tells a reader what he is looking at.
    pub fn about(role: Role) -> String {
        format!(
            "Maniple access file: whoever holds it can join this cluster as a {role}. Keep it secret (mode 0600)."
        )
    }

    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("strings and numbers are always JSON");
        text.push('\n');
        text
    }
}

impl AccessFile {
    /// Reads the access file of somebody who wants to be a `wanted`.
    ///
    /// # Errors
    /// [`AccessError`], one line for the user.
    pub fn read(path: &Path, wanted: Role) -> Result<AccessFile, AccessError> {
        let access = AccessFile::parse(path, &read_private(path)?)?;
        if access.role == wanted {
            Ok(access)
        } else {
            Err(AccessError::WrongRole { path: path.into(), found: access.role, wanted })
        }
    }

    /// Understands the text of an access file; `path` is for messages only.
    ///
    /// # Errors
    /// [`AccessError::Malformed`], [`AccessError::Version`].
    pub fn parse(path: &Path, text: &str) -> Result<AccessFile, AccessError> {
        let malformed = |what: &str| AccessError::Malformed { path: path.into(), what: what.into() };
        let written: Written = parse_versioned(text).map_err(|unreadable| match unreadable {
            Unreadable::Damaged(what) => malformed(&what),
            Unreadable::Version(found) => AccessError::Version { path: path.into(), found },
        })?;
        let certificate =
            |pem: &str, what| CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| malformed(what));
        if written.addresses.is_empty() {
            return Err(malformed("no address"));
        }
        if let Some(bad) = written.addresses.iter().find(|address| !is_address(address)) {
            return Err(malformed(&format!("address {bad:?} is not host:port")));
        }
        Ok(AccessFile {
            path: path.into(),
            cluster: written.cluster,
            role: written.role,
            addresses: written.addresses,
            authority: certificate(&written.authority, "no PEM in \"authority\"")?,
            certificate: certificate(&written.certificate, "no PEM in \"certificate\"")?,
            key: PrivateKeyDer::from_pem_slice(written.key.as_bytes())
                .map_err(|_| malformed("no PEM in \"key\""))?,
        })
    }
}

/// Why one of maniple's private JSON files cannot be understood.
pub(super) enum Unreadable {
    Damaged(String),
    Version(u32),
}

/// Parses a private JSON file, its version first. An error tells the place only: serde's own words may quote a key.
pub(super) fn parse_versioned<T: DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    let damaged = |error: serde_json::Error| {
        Unreadable::Damaged(format!("line {}, column {}", error.line(), error.column()))
    };
    let Versioned { version } = serde_json::from_str(text).map_err(damaged)?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    serde_json::from_str(text).map_err(damaged)
}

/// Whether this can be `host:port`; whether such a host exists is found out by whoever connects.
pub(super) fn is_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let host_ok = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        }
    };
    host_ok && port.parse::<u16>().is_ok_and(|port| port != 0)
}
