//! From identity or access file to rustls.
//!
//! It deliberately does not know about sockets, time limits or messages.
//!
//! Invariants: TLS 1.3 only, both sides show a certificate, checked by rustls's own verifiers against the cluster's
//! authority alone; no session tickets, no resumption, no early data. The coordinator is asked for by its cluster's
//! name and not by its address, so it may move.

use std::sync::Arc;

use rustls::{
    ClientConfig, Error, RootCertStore, ServerConfig, ServerConnection,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use super::{AccessError, AccessFile, Cluster, ClusterError, Role};

/// What a coordinator listens with.
///
/// # Errors
/// [`ClusterError::Damaged`]: the identity holds certificates that do not belong together.
pub fn server_config(cluster: &Cluster) -> Result<Arc<ServerConfig>, ClusterError> {
    build_server(cluster)
        .map_err(|error| ClusterError::Damaged { path: cluster.identity_path(), what: error.to_string() })
}

fn build_server(cluster: &Cluster) -> Result<Arc<ServerConfig>, Error> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&cluster.authority)?), provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![cluster.certificate.clone()], cluster.key.clone_key())?;
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// What a worker or client connects with.
///
/// # Errors
/// [`AccessError::Malformed`]: the access file holds certificates that do not belong together.
pub fn client_config(access: &AccessFile) -> Result<Arc<ClientConfig>, AccessError> {
    build_client(access)
        .map_err(|error| AccessError::Malformed { path: access.path.clone(), what: error.to_string() })
}

fn build_client(access: &AccessFile) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots(&access.authority)?)
        .with_client_auth_cert(vec![access.certificate.clone()], access.key.clone_key())?;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// The name that the coordinator of this access file must prove.
pub fn server_name(access: &AccessFile) -> ServerName<'static> {
    ServerName::try_from(access.cluster.coordinator_name())
        .expect("labels of letters and digits, the last one of letters")
}

/// The role that the peer of a finished handshake has proven.
pub fn peer_role(connection: &ServerConnection, cluster: &Cluster) -> Option<Role> {
    // There is no certificate before the verifier and the peer's signature have been passed; the first one is the
    // peer's own.
    cluster.role_of(connection.peer_certificates()?.first()?)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(authority: &CertificateDer<'static>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    Ok(roots)
}
