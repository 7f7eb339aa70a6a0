//! Who may talk to whom: one way in, which is mutual TLS 1.3 with certificates of the cluster's own authority.
//!
//! - [`cluster`]: the coordinator's identity, made once and kept in its access directory;
//! - [`access`]: the file that lets a worker or client in, one per role;
//! - `identity`: the certificates and how they are made;
//! - [`store`]: private files: how they are written, and which ones are refused;
//! - [`tls`]: from identity or access file to rustls, and which role a peer has proven;
//! - [`refusal`]: what a failed connection means, in one line, and whether to try again;
//! - [`connect`]: the sockets: options, limits, handshakes.
//!
//! It deliberately does not know any message: what a role may say is up to the wire's types.
//!
//! Invariants: verification is rustls's own and cannot be switched off; no tickets, no early data, no older TLS; a
//! role is proven by the possession of its one certificate; no key is ever shown by `Debug`, an error or a log line.

pub mod access;
pub mod cluster;
pub mod connect;
mod identity;
pub mod refusal;
pub mod store;
pub mod tls;

pub use access::{AccessError, AccessFile, Role};
pub use cluster::{Cluster, ClusterError, ClusterId};
pub use connect::{ClientStream, ServerStream, Timing, accept_tls, connect_tls};
pub use refusal::{AcceptError, Category, ConnectError, Reason};

#[cfg(test)]
mod tests;
