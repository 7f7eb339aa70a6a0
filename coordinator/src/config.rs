//! What a coordinator has to be told before it starts.

use std::{path::PathBuf, rc::Rc, time::Duration};

use shared::{door::Doorway, security::Cluster};
use tokio::net::TcpListener;

/// A coordinator's settings.
#[derive(Clone)]
pub struct Config {
    /// The way in for the worker and client of this process.
    pub doorway: Option<Doorway>,
    /// The way in from the network. Bound before the start, so that a port in use is an error of the command.
    pub network: Option<Rc<Network>>,
    /// Where jobs are kept, for a coordinator that is to survive its process.
    pub state_dir: Option<PathBuf>,
    /// How long a silent peer is waited for.
    pub lease: Duration,
    /// How long an attached job waits for its client to come back, before it is stopped.
    pub client_grace: Duration,
}

/// What [`Config::client_grace`] is unless the user says otherwise.
pub const CLIENT_GRACE: Duration = Duration::from_secs(30);

/// A port and who may come in by it.
pub struct Network {
    /// The bound port.
    pub socket: TcpListener,
    /// The cluster's identity.
    pub cluster: Cluster,
}
