//! A cluster: what its coordinator is known by, and whom it lets in.
//!
//! Everything is kept in one file of the access directory, `coordinator.identity`; the two access files are written
//! from it and put right whenever a coordinator starts, so a lost or stale one is no harm. To lock everybody out,
//! remove the directory: the next start makes a new cluster.
//!
//! It deliberately does not know how certificates are made or connections are checked.
//!
//! Invariants: the identity file is never changed; of two coordinators that make the same one at once, both get the
//! one that was there first.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::{Deserialize, Serialize};

use super::{
    access::{Role, VERSION, is_address},
    identity::{Identity, Pair},
    store::{StoreError, create_private, private_directory, read_private, replace_private},
};

/// The name of the identity file in the access directory.
pub const IDENTITY: &str = "coordinator.identity";

/// What a cluster is called: 16 hexadecimal digits, drawn at random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId(String);

impl ClusterId {
    fn draw() -> Result<ClusterId, getrandom::Error> {
        Ok(ClusterId(format!("{:016x}", getrandom::u64()?)))
    }

    /// The name in a certificate of this cluster. An id may be all decimal digits, which is no valid last label.
    pub(super) fn name_of(&self, holder: &str) -> String {
        format!("{holder}.{self}.maniple")
    }

    /// The name in the certificate of the coordinator, which every client asks for.
    pub fn coordinator_name(&self) -> String {
        self.name_of("coordinator")
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ClusterId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits { Ok(ClusterId(text)) } else { Err("a cluster id has 16 hexadecimal digits") }
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> String {
        id.0
    }
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{path} is damaged ({what}); restore it, or remove it to make a new cluster with new access files"
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "{path} has format version {found}, this maniple reads version {VERSION}; install the other maniple"
    )]
    Version { path: PathBuf, found: u32 },
    #[error("address {0:?} is not host:port; give the one under which workers reach the coordinator")]
    Address(String),
    #[error("no address for the access files; give the one under which workers reach the coordinator")]
    NoAddress,
    #[error("cannot make certificates: {0}")]
    Issue(#[from] rcgen::Error),
    #[error("cannot draw a cluster id: {0}")]
    Random(getrandom::Error),
}

/// A cluster's identity, ready to serve.
#[derive(Debug)]
pub struct Cluster {
    pub id: ClusterId,
    directory: PathBuf,
    pub(super) authority: CertificateDer<'static>,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
    worker: CertificateDer<'static>,
    client: CertificateDer<'static>,
}

impl Cluster {
    /// The cluster of this access directory, which is made if it is not there; afterwards both access files are there
    /// and hold these addresses (`host:port`, tried in order).
    ///
    /// # Errors
    /// [`ClusterError`], one line for the user.
    pub fn open_or_create(directory: &Path, addresses: &[String]) -> Result<Cluster, ClusterError> {
        if addresses.is_empty() {
            return Err(ClusterError::NoAddress);
        }
        if let Some(bad) = addresses.iter().find(|address| !is_address(address)) {
            return Err(ClusterError::Address(bad.clone()));
        }
        private_directory(directory)?;
        let path = directory.join(IDENTITY);
        if !path.try_exists().map_err(|source| StoreError::Open { path: path.clone(), source })? {
            let id = ClusterId::draw().map_err(ClusterError::Random)?;
            // Whether this one or another's got the name: what counts is what is there now.
            let _ = create_private(&path, &Identity::issue(id)?.to_text())?;
        }
        let identity = Identity::parse(&path, &read_private(&path)?)?;
        let cluster = Cluster::assemble(directory, &path, &identity)?;
        for role in [Role::Worker, Role::Client] {
            keep_up(&cluster.access_path(role), &identity.access_text(role, addresses))?;
        }
        Ok(cluster)
    }

    /// Where the access file for a role is.
    pub fn access_path(&self, role: Role) -> PathBuf {
        self.directory.join(role.file_name())
    }

    /// Where the identity is.
    pub fn identity_path(&self) -> PathBuf {
        self.directory.join(IDENTITY)
    }

    /// Whose certificate this is, as its bytes tell. Sound only for one that has passed verification.
    pub(super) fn role_of(&self, certificate: &CertificateDer<'_>) -> Option<Role> {
        if *certificate == self.worker {
            Some(Role::Worker)
        } else if *certificate == self.client {
            Some(Role::Client)
        } else {
            None
        }
    }

    fn assemble(directory: &Path, path: &Path, identity: &Identity) -> Result<Cluster, ClusterError> {
        let damaged =
            |what: &str| ClusterError::Damaged { path: path.into(), what: format!("no PEM for {what}") };
        let certificate =
            |pem: &str, what| CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged(what));
        let Pair { certificate: own, key } = &identity.coordinator;
        Ok(Cluster {
            id: identity.cluster.clone(),
            directory: directory.into(),
            authority: certificate(&identity.authority, "the authority")?,
            certificate: certificate(own, "the coordinator")?,
            key: PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|_| damaged("the coordinator's key"))?,
            worker: certificate(&identity.worker.certificate, "the worker")?,
            client: certificate(&identity.client.certificate, "the client")?,
        })
    }
}

/// Writes an access file unless it says exactly this already.
fn keep_up(path: &Path, text: &str) -> Result<(), StoreError> {
    match read_private(path) {
        Ok(present) if present == text => Ok(()),
        _ => replace_private(path, text),
    }
}
