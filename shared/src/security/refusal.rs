//! What a failed connection means: one line for the user, and whether to try again.
//!
//! In TLS 1.3 a client has finished its handshake before the coordinator has looked at its certificate: it learns of
//! a rejection at its *first read*. So the same translation serves the handshake and that read.
//!
//! It deliberately does not know how long to wait before trying again.
//!
//! Invariant: only what cannot be healed by waiting is `Refused`; everything doubtful is `Unreachable`.

use std::{fmt, io, time::Duration};

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::{AccessFile, ClusterId};

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Trying again is of no use (exit code 5).
    Refused,
    /// Trying again may help.
    Unreachable,
}

/// What went wrong with one address, seen from the worker or client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error(
        "what answers there is not this cluster's coordinator; check host and port, or take its access file"
    )]
    OtherCluster,
    #[error("the coordinator does not accept this certificate; take a new access file from it")]
    NotAccepted,
    #[error("what answers there is not a maniple coordinator; check host and port")]
    NotACoordinator,
    #[error("connection refused, no coordinator listens there")]
    NobodyListens,
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("the connection was lost")]
    Lost,
    #[error("{0}")]
    Other(String),
}

impl Reason {
    /// What an error of the handshake or of the first read after it means.
    pub fn of(error: &io::Error) -> Reason {
        use io::ErrorKind as Kind;
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
            return Reason::of_tls(tls);
        }
        match error.kind() {
            Kind::ConnectionRefused => Reason::NobodyListens,
            Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => {
                Reason::Lost
            }
            _ => Reason::Other(error.to_string()),
        }
    }

    fn of_tls(error: &TlsError) -> Reason {
        use AlertDescription as Alert;
        match error {
            TlsError::InvalidCertificate(
                CertificateError::UnknownIssuer
                | CertificateError::BadSignature
                | CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. },
            ) => Reason::OtherCluster,
            TlsError::InvalidCertificate(_) => Reason::NotACoordinator,
            TlsError::AlertReceived(
                Alert::UnknownCA
                | Alert::DecryptError
                | Alert::BadCertificate
                | Alert::CertificateExpired
                | Alert::CertificateRevoked
                | Alert::CertificateUnknown
                | Alert::CertificateRequired
                | Alert::UnsupportedCertificate
                | Alert::AccessDenied,
            ) => Reason::NotAccepted,
            TlsError::AlertReceived(Alert::InternalError | Alert::UserCanceled | Alert::BadRecordMac)
            | TlsError::DecryptError => Reason::Lost,
            TlsError::AlertReceived(_)
            | TlsError::InvalidMessage(_)
            | TlsError::InappropriateMessage { .. }
            | TlsError::InappropriateHandshakeMessage { .. }
            | TlsError::PeerIncompatible(_)
            | TlsError::PeerMisbehaved(_)
            | TlsError::PeerSentOversizedRecord => Reason::NotACoordinator,
            other => Reason::Other(other.to_string()),
        }
    }

    pub fn category(&self) -> Category {
        match self {
            Reason::OtherCluster | Reason::NotAccepted | Reason::NotACoordinator => Category::Refused,
            Reason::NobodyListens | Reason::TimedOut(_) | Reason::Lost | Reason::Other(_) => {
                Category::Unreachable
            }
        }
    }
}

/// Why a worker or client is not connected: every address that was tried, in one line.
#[derive(Debug)]
pub struct ConnectError {
    cluster: ClusterId,
    access: std::path::PathBuf,
    tried: Vec<(String, Reason)>,
}

impl ConnectError {
    pub(super) fn new(access: &AccessFile, tried: Vec<(String, Reason)>) -> Self {
        ConnectError { cluster: access.cluster.clone(), access: access.path.clone(), tried }
    }

    /// The failure of the first read from a connection to `address`, where a rejected client learns of it.
    pub fn first_read(access: &AccessFile, address: &str, error: &io::Error) -> Self {
        ConnectError::new(access, vec![(address.to_owned(), Reason::of(error))])
    }

    /// Refused only if every address did: as long as one may come to life, it may be the right one.
    pub fn category(&self) -> Category {
        if self.tried.iter().all(|(_, reason)| reason.category() == Category::Refused) {
            Category::Refused
        } else {
            Category::Unreachable
        }
    }

    /// What happened, by address.
    pub fn tried(&self) -> &[(String, Reason)] {
        &self.tried
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot join cluster {} with {}", self.cluster, self.access.display())?;
        for (nth, (address, reason)) in self.tried.iter().enumerate() {
            write!(f, "{}{address}: {reason}", if nth == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

/// Why a coordinator did not let a peer in; for its log.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("it hung up before its turn")]
    HungUp,
    #[error("no handshake within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("handshake failed: {0}")]
    Handshake(io::Error),
    #[error("certificate of this cluster, but of no known role")]
    NoRole,
    #[error("cannot set socket options: {0}")]
    Socket(io::Error),
}
