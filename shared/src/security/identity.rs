//! The identity file: the certificates of a cluster and how they are made.
//!
//! An authority signs three certificates - coordinator, worker, client - and its key is thrown away at once: nobody
//! can make a fourth. The coordinator's may only serve and the others may only ask, so a worker's key cannot pose as
//! the coordinator.
//!
//! It deliberately does not know where the file lies.
//!
//! Invariant: certificates outlast every wrong clock (1970 to 9999).

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde::{Deserialize, Serialize};

use super::{
    access::{Role, Unreadable, VERSION, Written, parse_versioned},
    cluster::{ClusterError, ClusterId},
};

/// The file as it is written; the order of the fields is the order in the file.
#[derive(Serialize, Deserialize)]
pub(super) struct Identity {
    about: String,
    version: u32,
    pub cluster: ClusterId,
    pub authority: String,
    pub coordinator: Pair,
    pub worker: Pair,
    pub client: Pair,
}

/// A certificate and its key, as PEM.
#[derive(Serialize, Deserialize)]
pub(super) struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Identity {
    /// Makes a new cluster.
    pub fn issue(cluster: ClusterId) -> Result<Identity, rcgen::Error> {
        let mut params = params(&cluster.name_of("authority"))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Identity {
            about: "Maniple cluster identity: whoever holds it is this cluster. Keep it secret (mode 0600)."
                .into(),
            version: VERSION,
            coordinator: pair(&authority, &cluster.coordinator_name(), ExtendedKeyUsagePurpose::ServerAuth)?,
            worker: pair(&authority, &cluster.name_of("worker"), ExtendedKeyUsagePurpose::ClientAuth)?,
            client: pair(&authority, &cluster.name_of("client"), ExtendedKeyUsagePurpose::ClientAuth)?,
            authority: authority.pem(),
            cluster,
        })
    }

    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("strings and numbers are always JSON");
        text.push('\n');
        text
    }

    pub fn parse(path: &Path, text: &str) -> Result<Identity, ClusterError> {
        parse_versioned(text).map_err(|unreadable| match unreadable {
            Unreadable::Damaged(what) => ClusterError::Damaged { path: path.into(), what },
            Unreadable::Version(found) => ClusterError::Version { path: path.into(), found },
        })
    }

    /// The access file for a role.
    pub fn access_text(&self, role: Role, addresses: &[String]) -> String {
        let Pair { certificate, key } = match role {
            Role::Worker => &self.worker,
            Role::Client => &self.client,
        };
        let written = Written {
            about: Written::about(role),
            version: VERSION,
            cluster: self.cluster.clone(),
            role,
            addresses: addresses.to_vec(),
            authority: self.authority.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
        };
        written.to_text()
    }
}

fn params(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    Ok(params)
}

fn pair(
    authority: &CertifiedIssuer<'_, KeyPair>,
    name: &str,
    purpose: ExtendedKeyUsagePurpose,
) -> Result<Pair, rcgen::Error> {
    let mut params = params(name)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}
