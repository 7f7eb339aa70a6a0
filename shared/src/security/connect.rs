//! The sockets of the cluster: options, time limits, handshakes.
//!
//! It deliberately does not know when to try again, nor how many peers may knock at once.
//!
//! Invariants: nothing here waits longer than its limit (once an address); a refused peer gets the alert that says
//! why before its connection goes; every connection has the same socket options.

use std::{io, os::fd::AsFd, sync::Arc, time::Duration};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{setsockopt, sockopt::TcpUserTimeout},
};
use rustls::{ClientConfig, ServerConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::{
    AccessFile, Cluster, Role,
    refusal::{AcceptError, ConnectError, Reason},
    tls::{peer_role, server_name},
};

/// How much of what a refused peer still sends is read, so that closing does not destroy the alert on its way.
const LINGER: u64 = 64 << 10;

/// The connection of a coordinator to a worker or client.
pub type ServerStream = server::TlsStream<TcpStream>;

/// The connection of a worker or client to its coordinator.
pub type ClientStream = client::TlsStream<TcpStream>;

/// The time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For the way from knocking to being let in.
    pub handshake: Duration,
    /// How long sent data may stay unacknowledged before the system gives the connection up.
    pub lease: Duration,
}

impl Timing {
    /// With the usual 5 s for the handshake.
    pub fn with_lease(lease: Duration) -> Self {
        Timing { handshake: Duration::from_secs(5), lease }
    }

    /// With twice as much: who knocks may have to wait until those before it, who say nothing, are turned away.
    pub fn of_visitor(lease: Duration) -> Self {
        Timing { handshake: Duration::from_secs(10), lease }
    }
}

/// Connects to the first address that lets us in; also says which one it was.
///
/// A rejection may come only with the first read from the stream: see [`ConnectError::first_read`].
///
/// # Errors
/// [`ConnectError`], one line with all addresses.
pub async fn connect_tls(
    access: &AccessFile,
    config: &Arc<ClientConfig>,
    timing: Timing,
) -> Result<(ClientStream, String), ConnectError> {
    let mut tried = Vec::new();
    for address in &access.addresses {
        let reason = match timeout(timing.handshake, connect_one(access, config, address, timing)).await {
            Ok(Ok(stream)) => return Ok((stream, address.clone())),
            Ok(Err(error)) => Reason::of(&error),
            Err(_) => Reason::TimedOut(timing.handshake),
        };
        tried.push((address.clone(), reason));
    }
    Err(ConnectError::new(access, tried))
}

async fn connect_one(
    access: &AccessFile,
    config: &Arc<ClientConfig>,
    address: &str,
    timing: Timing,
) -> io::Result<ClientStream> {
    let tcp = TcpStream::connect(address).await?;
    set_options(&tcp, timing)?;
    let stream = TlsConnector::from(config.clone()).connect(server_name(access), tcp).await?;
    Ok(stream)
}

/// Lets a peer in, or not.
///
/// # Errors
/// [`AcceptError`], for the coordinator's log.
pub async fn accept_tls(
    tcp: TcpStream,
    cluster: &Cluster,
    config: &Arc<ServerConfig>,
    timing: Timing,
) -> Result<(ServerStream, Role), AcceptError> {
    let deadline = Instant::now() + timing.handshake;
    set_options(&tcp, timing).map_err(AcceptError::Socket)?;
    // In a rush many have given up before their turn. A handshake with each of these would make all others late, too.
    if has_hung_up(&tcp) {
        return Err(AcceptError::HungUp);
    }
    let handshake = TlsAcceptor::from(config.clone()).accept(tcp).into_fallible();
    match timeout_at(deadline, handshake).await {
        Ok(Ok(stream)) => {
            let role = peer_role(stream.get_ref().1, cluster).ok_or(AcceptError::NoRole)?;
            Ok((stream, role))
        }
        Ok(Err((error, socket))) => {
            // Its result does not matter: the peer is refused whether or not it stays to hear why.
            let _ = timeout_at(deadline, linger(socket)).await;
            Err(AcceptError::Handshake(error))
        }
        Err(_) => Err(AcceptError::TimedOut(timing.handshake)),
    }
}

/// Whether a peer has ended its half, whatever it has sent before.
fn has_hung_up(tcp: &TcpStream) -> bool {
    let ended = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
    let mut looked_at = [PollFd::new(tcp.as_fd(), ended)];
    poll(&mut looked_at, PollTimeout::ZERO).is_ok_and(|found| found > 0)
}

/// Closes our half and waits for the peer to close its own: a close with unread data would be a reset, which may
/// overtake the alert.
async fn linger(mut socket: TcpStream) -> io::Result<()> {
    socket.shutdown().await?;
    tokio::io::copy(&mut socket.take(LINGER), &mut tokio::io::sink()).await?;
    Ok(())
}

fn set_options(tcp: &TcpStream, timing: Timing) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let lease = u32::try_from(timing.lease.as_millis()).unwrap_or(u32::MAX);
    Ok(setsockopt(tcp, TcpUserTimeout, &lease)?)
}
