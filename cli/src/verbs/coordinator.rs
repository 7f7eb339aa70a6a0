//! `maniple coordinator`: a coordinator on the network, with its identity and its jobs on the disk.

use std::{fs, net::SocketAddr, os::unix::fs::DirBuilderExt, rc::Rc};

use coordinator::{Config, Root, config::Network, shelf::Shelf};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    socket::{Backlog, listen},
};
use shared::{
    endpoint::host_name,
    security::{Cluster, Role},
    supervision,
};
use tokio::net::TcpListener;

use crate::{args::Coordinator, fault::Fault, output::say, signals};

/// Carries out the verb.
pub fn run(args: Coordinator) -> Result<u8, Fault> {
    raise_limit_of_descriptors();
    let (socket, address) = bind(&args.listen)?;
    let cluster = Cluster::open_or_create(&args.access_dir, &addresses(&args.listen, address))
        .map_err(|error| Fault::refused(error.to_string()))?;
    // Only now: nothing is made in a folder that is refused.
    let state_dir = args.state_dir.clone().unwrap_or_else(|| args.access_dir.join("state"));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&state_dir)
        .map_err(|error| Fault::usage(format!("failed to create {}: {error}", state_dir.display())))?;
    let shelf = Shelf::load(&state_dir).map_err(|error| Fault::storage(error.to_string()))?;
    for role in [Role::Worker, Role::Client] {
        say(&format!("maniple: {role} access: {}", cluster.access_path(role).display()));
    }
    let code = supervision::run("coordinator", move |_| {
        let signals = signals::heard().expect("a new event loop can listen for signals");
        say(&format!("maniple: listening on {address}"));
        let socket = TcpListener::from_std(socket).expect("a bound, non-blocking socket");
        let network = Some(Rc::new(Network { socket, cluster }));
        let (state_dir, client_grace) = (Some(state_dir), args.client_grace);
        let config = Config { doorway: None, network, state_dir, lease: args.lease, client_grace };
        Root::new(config, shelf).obeying(signals)
    });
    Ok(code as u8)
}

/// Every worker and client takes a descriptor, and 1024 are soon gone. Nothing is executed here that could be surprised
/// by a high limit; where it cannot be had, a coordinator that runs out of them says so.
fn raise_limit_of_descriptors() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

fn bind(address: &str) -> Result<(std::net::TcpListener, SocketAddr), Fault> {
    let failed = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; another program has this port, choose another one",
            std::io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
            _ => "",
        };
        Fault::usage(format!("failed to listen on {address}: {error}{hint}"))
    };
    let socket = std::net::TcpListener::bind(address).map_err(failed)?;
    // Once more, for a longer queue: after a restart all workers of a cluster knock at once.
    listen(&socket, Backlog::MAXCONN).map_err(|error| failed(error.into()))?;
    socket.set_nonblocking(true).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok((socket, address))
}

/// What goes into the access files: what the user said, with the port that it became; for "every address", the
/// machine's name.
fn addresses(listen: &str, bound: SocketAddr) -> Vec<String> {
    let port = bound.port();
    let host = listen.rsplit_once(':').map_or("", |(host, _)| host);
    if bound.ip().is_unspecified() {
        vec![format!("{}:{port}", host_name()), format!("127.0.0.1:{port}")]
    } else {
        vec![format!("{host}:{port}")]
    }
}
