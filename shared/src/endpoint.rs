//! The way to a coordinator, seen from a worker or client: connect, say hello, be welcomed or not.
//!
//! It deliberately does not retry: how long to wait before the next attempt is the caller's to know.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    codec::{CodecError, FrameReader, FrameWriter, Limits},
    door::Door,
    security::{AccessFile, Category, ConnectError, Timing, connect_tls, tls::client_config},
    wire::{self, Hello, Role, Welcome},
};

/// How long a coordinator may take to answer a hello.
const WELCOME_LIMIT: Duration = Duration::from_secs(10);

/// Where a coordinator is.
#[derive(Clone)]
pub enum Endpoint {
    /// In this process.
    Door(Door),
    /// On the network, behind the addresses of an access file.
    Network {
        /// Addresses and keys.
        access: Arc<AccessFile>,
        /// Made of them.
        tls: Arc<rustls::ClientConfig>,
    },
}

/// A connection that the coordinator has accepted.
pub struct Connected {
    /// From the coordinator.
    pub incoming: FrameReader<Box<dyn AsyncRead + Send + Unpin>>,
    /// To the coordinator.
    pub outgoing: FrameWriter<Box<dyn AsyncWrite + Send + Unpin>>,
    /// How long it waits for a silent peer, and may be waited for.
    pub lease: Duration,
    /// Where it was found.
    pub address: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Trying again is of no use: exit code 5.
    #[error("{0}")]
    Refused(String),
    /// Trying again may help.
    #[error("{0}")]
    Unreachable(String),
}

impl From<ConnectError> for EndpointError {
    fn from(error: ConnectError) -> EndpointError {
        match error.category() {
            Category::Refused => EndpointError::Refused(error.to_string()),
            Category::Unreachable => EndpointError::Unreachable(error.to_string()),
        }
    }
}

/// What this process says of itself.
#[must_use]
pub fn hello(role: Role) -> Hello {
    let software = env!("CARGO_PKG_VERSION").to_owned();
    Hello { version: wire::VERSION, software, host: host_name(), pid: std::process::id(), role }
}

/// The name of this machine.
#[must_use]
pub fn host_name() -> String {
    nix::unistd::gethostname()
        .map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

impl Endpoint {
    /// What a connection to it carries.
    #[must_use]
    pub fn limits(&self) -> Limits {
        match self {
            Endpoint::Door(_) => Limits::LOCAL,
            Endpoint::Network { .. } => Limits::DATA,
        }
    }

    /// The coordinator of an access file.
    pub fn network(access: AccessFile) -> Result<Endpoint, EndpointError> {
        let bad = |error| {
            EndpointError::Refused(format!("{}: {error}; take a new access file", access.path.display()))
        };
        let tls = client_config(&access).map_err(bad)?;
        Ok(Endpoint::Network { access: Arc::new(access), tls })
    }

    /// Connects and says hello. `lease` bounds how long sent data may stay unacknowledged.
    pub async fn connect(&self, hello: &Hello, lease: Duration) -> Result<Connected, EndpointError> {
        match self {
            Endpoint::Door(door) => {
                let lost = |error: std::io::Error| EndpointError::Unreachable(error.to_string());
                let stream = door.connect().await.map_err(lost)?;
                let address = "this process".to_owned();
                let failed = |error: CodecError| EndpointError::Unreachable(error.to_string());
                greet(stream, hello, self.limits(), address, failed).await
            }
            Endpoint::Network { access, tls } => {
                let (stream, address) = connect_tls(access, tls, Timing::of_visitor(lease)).await?;
                // With TLS 1.3 a refused certificate is heard of at the first read.
                let failed = |error: CodecError| match error {
                    CodecError::Io(error) => ConnectError::first_read(access, &address, &error).into(),
                    error => EndpointError::Unreachable(format!("{address}: {error}")),
                };
                greet(stream, hello, self.limits(), address.clone(), failed).await
            }
        }
    }
}

async fn greet<S>(
    stream: S,
    hello: &Hello,
    limits: Limits,
    address: String,
    failed: impl FnOnce(CodecError) -> EndpointError,
) -> Result<Connected, EndpointError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (incoming, outgoing) = tokio::io::split(stream);
    let mut incoming =
        FrameReader::new(Box::new(incoming) as Box<dyn AsyncRead + Send + Unpin>, Limits::HELLO);
    let mut outgoing = FrameWriter::new(Box::new(outgoing) as Box<dyn AsyncWrite + Send + Unpin>);
    let talk = async {
        outgoing.feed(hello, Bytes::new()).await?;
        outgoing.flush().await?;
        incoming.next().await?.ok_or(CodecError::Truncated)?.message::<Welcome>()
    };
    let silent = || format!("{address}: no answer within {} s", WELCOME_LIMIT.as_secs());
    let answered = tokio::time::timeout(WELCOME_LIMIT, talk).await;
    let welcome = answered.map_err(|_| EndpointError::Unreachable(silent()))?.map_err(failed)?;
    incoming.set_limits(limits);
    outgoing.set_limits(limits);
    match welcome {
        Welcome::Accepted { version, lease_ms } if version.works_with(wire::VERSION) => {
            Ok(Connected { incoming, outgoing, lease: Duration::from_millis(lease_ms), address })
        }
        Welcome::Accepted { version, .. } => Err(EndpointError::Refused(format!(
            "{address}: the coordinator speaks protocol {version}, this maniple ({}) {}; install the same version on both",
            env!("CARGO_PKG_VERSION"),
            wire::VERSION
        ))),
        Welcome::Refused { reason } => Err(EndpointError::Refused(format!("{address}: {reason}"))),
    }
}
