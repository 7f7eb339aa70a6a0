//! `maniple engine`: what the Python package starts for the process that it is in.
//!
//! Standard input is a socket, at whose other end a client speaks the protocol of `shared::wire::client`. When that
//! end is closed, also by the death of its process, the engine and all that it started end.

use std::os::{fd::AsFd, unix::net::UnixStream};

use crate::{
    args,
    engine::{Engine, For},
    fault::Fault,
    verbs::worker::{processes, split},
};

/// Carries out the verb. The process splits first, before threads and heap; the engine goes on.
pub fn run(args: &args::Engine) -> Result<u8, Fault> {
    let end = split()?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let socket = socket.and_then(|socket| socket.peer_addr().map(|_| socket)).map_err(|_| {
        Fault::usage("standard input is no socket; this verb is for the Python package, see `maniple run`")
    })?;
    Ok(Engine::run(For::Caller(socket), processes(args.processes), end))
}
