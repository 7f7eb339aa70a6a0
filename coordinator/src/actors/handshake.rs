//! The first words on a connection: who is there, and may it stay?

use std::time::Duration;

use shared::{
    codec::{CodecError, FrameReader, FrameWriter, Limits},
    wire::{self, Hello, Role, Welcome},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a peer may take to say hello.
pub const LIMIT: Duration = Duration::from_secs(5);

/// The incoming half.
pub type Incoming = FrameReader<Box<dyn AsyncRead + Send + Unpin>>;
/// The outgoing half.
pub type Outgoing = FrameWriter<Box<dyn AsyncWrite + Send + Unpin>>;

/// A connection whose peer has been accepted.
pub struct Connection {
    /// Who is there.
    pub peer: Hello,
    /// From the peer.
    pub incoming: Incoming,
    /// To the peer.
    pub outgoing: Outgoing,
}

/// Why a peer was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It said nothing, or nothing that can be understood.
    #[error("it did not say hello within {} s", LIMIT.as_secs())]
    Late,
    /// The connection ended.
    #[error("it hung up before it said hello")]
    HungUp,
    /// Its bytes make no sense, or the connection failed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It speaks another version, or is not what its certificate says. It has been told.
    #[error("{0}")]
    Refused(String),
}

/// Hears the peer's hello and answers it. `certified` is the role of its certificate, where it has one.
pub async fn greet<S>(
    stream: S,
    certified: Option<Role>,
    lease: Duration,
) -> Result<Connection, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (incoming, outgoing) = tokio::io::split(stream);
    let mut incoming: Incoming = FrameReader::new(Box::new(incoming), Limits::HELLO);
    let mut outgoing: Outgoing = FrameWriter::new(Box::new(outgoing));
    let hello = tokio::time::timeout(LIMIT, incoming.next()).await.map_err(|_| HandshakeError::Late)??;
    let peer: Hello = hello.ok_or(HandshakeError::HungUp)?.message()?;
    if let Some(reason) = refusal(&peer, certified) {
        outgoing.feed(&Welcome::Refused { reason: reason.clone() }, bytes::Bytes::new()).await?;
        outgoing.shutdown().await?;
        return Err(HandshakeError::Refused(reason));
    }
    let welcome = Welcome::Accepted { version: wire::VERSION, lease_ms: lease.as_millis() as u64 };
    outgoing.feed(&welcome, bytes::Bytes::new()).await?;
    outgoing.flush().await?;
    // Whoever needs no certificate is in this process, or on its own socket.
    let limits = if certified.is_none() { Limits::LOCAL } else { Limits::DATA };
    incoming.set_limits(limits);
    outgoing.set_limits(limits);
    Ok(Connection { peer, incoming, outgoing })
}

fn refusal(peer: &Hello, certified: Option<Role>) -> Option<String> {
    if !wire::VERSION.works_with(peer.version) {
        return Some(format!(
            "this coordinator (maniple {}, protocol {}) does not understand the {} on {} (maniple {}, protocol {}); install the same version on both",
            env!("CARGO_PKG_VERSION"),
            wire::VERSION,
            peer.role,
            peer.host,
            peer.software,
            peer.version,
        ));
    }
    match certified {
        Some(role) if role != peer.role => Some(format!(
            "a {} came with the access file of a {role}; use the access file of its own role",
            peer.role
        )),
        _ => None,
    }
}
