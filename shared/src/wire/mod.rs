//! The wire protocol: every message that goes between two parties, one closed enum per role and direction.
//!
//! A message is the head of a [frame](crate::codec); bulk data (keys, values) is the frame's payload, which nobody
//! between the two ends decodes. `worker`: coordinator and worker; `client`: coordinator and client; `child`: a node
//! and its Python child; `kv`: what is asked for on all three ways. Roles cannot be confused: a worker's session has no words to submit a job with.
//!
//! Fields are sent by name, so a later minor version may add some; a new message is a new minor version.

use serde::{Deserialize, Serialize};

pub use crate::security::Role;

pub mod child;
pub mod client;
pub mod kv;
pub mod worker;

/// The version of the protocol that this build speaks.
pub const VERSION: Version = Version { major: 1, minor: 1 };

/// A protocol version. Builds of one major version and at most one minor apart understand each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Raised when old messages change their meaning.
    pub major: u16,
    /// Raised when messages or fields are added.
    pub minor: u16,
}

impl Version {
    /// Whether builds of these two versions can work together.
    #[must_use]
    pub fn works_with(self, other: Version) -> bool {
        self.major == other.major && self.minor.abs_diff(other.minor) <= 1
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The first message on every connection, the same in each version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What the sender speaks.
    pub version: Version,
    /// The sender's software version, for messages to people.
    pub software: String,
    /// The sender's host name.
    pub host: String,
    /// The sender's process.
    pub pid: u32,
    /// What it is; its certificate says the same, or the connection ends.
    pub role: Role,
}

/// The coordinator's answer to a [`Hello`], the same in each version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Welcome {
    /// The connection stands.
    Accepted {
        /// What the coordinator speaks.
        version: Version,
        /// How long a silent peer is waited for, in milliseconds.
        lease_ms: u64,
    },
    /// It does not, and trying again will not help.
    Refused {
        /// One line for the user, with the next step.
        reason: String,
    },
}
