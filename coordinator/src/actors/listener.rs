//! Listener: accepts connections by the doorway and the network, greets each in a task of its own, and hands those
//! that may stay to the coordinator. At most [`HANDSHAKES`] at once; the others wait in the backlog.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use shared::{
    door::Doorway,
    inject,
    security::{Timing, accept_tls, tls::server_config},
    supervision,
    wire::Role,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
};

use crate::{
    actors::{coordinator::Coordinator, handshake, said::Arrived},
    config::{Config, Network},
};

/// Handshakes under way at once.
const HANDSHAKES: usize = 64;
/// Pause after a failed accept (no file descriptors left, for instance): it must not spin.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Message)]
#[rtype(result = "()")]
enum Knocked {
    Door(tokio::net::UnixStream),
    Network(TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit),
}

/// See the module.
pub struct Listener {
    config: Config,
    coordinator: Addr<Coordinator>,
    tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
    tasks: JoinSet<()>,
}

impl Listener {
    /// A listener at the ways in of `config`.
    pub fn new(config: Config, coordinator: Addr<Coordinator>, ctx: &mut Context<Listener>) -> Listener {
        let tls = match config.network.as_ref().map(|network| server_config(&network.cluster)).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                supervision::fail(ctx, format!("failed to set up TLS: {error}"));
                None
            }
        };
        Listener { config, coordinator, tls, tasks: JoinSet::new() }
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(doorway) = self.config.doorway.clone() {
            self.tasks.spawn_local(watch_door(doorway, ctx.address()));
        }
        if let Some(network) = self.config.network.clone() {
            self.tasks.spawn_local(watch_network(network, ctx.address()));
        }
    }
}

async fn watch_door(doorway: Doorway, listener: Addr<Listener>) {
    loop {
        let visitor = doorway.accept().await;
        if listener.send(Knocked::Door(visitor)).await.is_err() {
            return;
        }
    }
}

async fn watch_network(network: Rc<Network>, listener: Addr<Listener>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match network.socket.accept().await {
            Ok((socket, address)) => {
                if listener.send(Knocked::Network(socket, address, place)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Handler<Knocked> for Listener {
    type Result = ();

    fn handle(&mut self, knocked: Knocked, _: &mut Context<Self>) {
        inject::point("listener");
        while self.tasks.try_join_next().is_some() {}
        let (lease, coordinator) = (self.config.lease, self.coordinator.clone());
        match knocked {
            Knocked::Door(stream) => {
                self.tasks.spawn_local(let_in(stream, None, lease, coordinator, "this process".into()));
            }
            Knocked::Network(socket, address, place) => {
                let (Some(network), Some(tls)) = (self.config.network.clone(), self.tls.clone()) else {
                    return;
                };
                self.tasks.spawn_local(async move {
                    match accept_tls(socket, &network.cluster, &tls, Timing::with_lease(lease)).await {
                        Ok((stream, role)) => {
                            let_in(stream, Some(role), lease, coordinator, address.to_string()).await
                        }
                        Err(error) => tracing::warn!(%address, %error, "turned a connection away"),
                    }
                    drop(place);
                });
            }
        }
    }
}

async fn let_in<S>(
    stream: S,
    certified: Option<Role>,
    lease: Duration,
    coordinator: Addr<Coordinator>,
    address: String,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match handshake::greet(stream, certified, lease).await {
        Ok(connection) => coordinator.do_send(Arrived(connection)),
        Err(error) => tracing::warn!(address, %error, "turned a connection away"),
    }
}
