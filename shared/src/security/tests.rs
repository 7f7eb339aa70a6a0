//! What the security module promises, with real files and real TLS over loopback.

mod files;
mod handshake;
mod refused;

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{ClientConfig, ServerConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{
    AccessFile, Cluster, Role, Timing,
    tls::{client_config, server_config},
};

fn addresses(address: &str) -> Vec<String> {
    vec![address.to_owned()]
}

/// Long enough for every machine: only what must not happen would wait this long.
fn patient() -> Timing {
    Timing::with_lease(Duration::from_secs(60))
}

/// A cluster in a directory of its own, listening on an ephemeral port of loopback.
struct Site {
    directory: TempDir,
    cluster: Cluster,
    config: Arc<ServerConfig>,
    listener: TcpListener,
}

impl Site {
    async fn new() -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let directory = TempDir::new().unwrap();
        let cluster = Cluster::open_or_create(&access(directory.path()), &addresses(&address)).unwrap();
        let config = server_config(&cluster).unwrap();
        Site { directory, cluster, config, listener }
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    fn access(&self, role: Role) -> AccessFile {
        AccessFile::read(&access(self.directory.path()).join(role.file_name()), role).unwrap()
    }
}

fn access(directory: &Path) -> std::path::PathBuf {
    directory.join("access")
}

fn config_of(access: &AccessFile) -> Arc<ClientConfig> {
    client_config(access).unwrap()
}
