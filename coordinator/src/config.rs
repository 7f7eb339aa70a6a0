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
}

/// A port and who may come in by it.
pub struct Network {
    /// The bound port.
    pub socket: TcpListener,
    /// The cluster's identity.
    pub cluster: Cluster,
}
