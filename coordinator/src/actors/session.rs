//! Session: one accepted connection. A reader task and a writer task, owned here, carry frames; messages of the
//! peer's role, and no others, reach the coordinator.
//!
//! Silence for nearly a lease ends it, so that what a worker held runs elsewhere within one; the writer fills silence on
//! our side with heartbeats. The reader waits until each frame was handled, so a fast peer is slowed down by its own
//! socket.

use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};
use bytes::Bytes;
use shared::{
    codec::{CodecError, Frame},
    inject, supervision,
    wire::{Role, client::FromClient, client::ToClient, worker::FromWorker, worker::ToWorker},
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::actors::{
    coordinator::Coordinator,
    handshake::{Connection, Incoming, Outgoing},
    said::{ClientSaid, SessionId, SessionSilent, WorkerSaid},
};

/// The part of a lease that is for giving a silent worker's tasks to others.
const PASSING_ON: u32 = 20;

/// A message on its way out.
pub enum Out {
    /// To a worker.
    Worker(ToWorker, Bytes),
    /// To a client.
    Client(ToClient, Bytes),
}

/// Where messages to a session's peer are put; they leave in that order.
pub type Outbox = mpsc::UnboundedSender<Out>;

#[derive(Message)]
#[rtype(result = "()")]
struct Heard(Frame);

#[derive(Message)]
#[rtype(result = "()")]
enum Ended {
    HungUp,
    Silent,
    Broken(String),
}

/// See the module.
pub struct Session {
    id: SessionId,
    role: Role,
    lease: Duration,
    connection: Option<(Incoming, Outgoing, mpsc::UnboundedReceiver<Out>)>,
    carriers: JoinSet<()>,
    coordinator: Addr<Coordinator>,
}

impl Session {
    /// A session on this connection; what is put into `outbox`'s other end leaves by it.
    pub fn new(
        id: SessionId,
        connection: Connection,
        outbox: mpsc::UnboundedReceiver<Out>,
        lease: Duration,
        coordinator: Addr<Coordinator>,
    ) -> Session {
        let Connection { peer, incoming, outgoing } = connection;
        let connection = Some((incoming, outgoing, outbox));
        Session { id, role: peer.role, lease, connection, carriers: JoinSet::new(), coordinator }
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (incoming, outgoing, outbox) = self.connection.take().expect("a session is started once");
        self.carriers.spawn_local(read(incoming, self.lease, ctx.address()));
        self.carriers.spawn_local(write(outgoing, outbox, self.lease, self.role, ctx.address()));
    }
}

async fn read(mut incoming: Incoming, lease: Duration, session: Addr<Session>) {
    let silence = lease - lease / PASSING_ON;
    loop {
        let end = match incoming.next_within(silence).await {
            Some(Ok(Some(frame))) => match session.send(Heard(frame)).await {
                Ok(()) => continue,
                Err(_) => return,
            },
            Some(Ok(None)) => Ended::HungUp,
            Some(Err(error)) => Ended::Broken(error.to_string()),
            None => Ended::Silent,
        };
        return session.do_send(end);
    }
}

async fn write(
    mut outgoing: Outgoing,
    mut outbox: mpsc::UnboundedReceiver<Out>,
    lease: Duration,
    role: Role,
    session: Addr<Session>,
) {
    let failed = loop {
        let fed = match tokio::time::timeout(lease / 3, outbox.recv()).await {
            Ok(Some(message)) => feed_all(&mut outgoing, message, &mut outbox).await,
            Ok(None) => return drop(outgoing.shutdown().await),
            Err(_) => match role {
                Role::Worker => outgoing.feed(&ToWorker::Heartbeat, Bytes::new()).await,
                Role::Client => outgoing.feed(&ToClient::Heartbeat, Bytes::new()).await,
            },
        };
        let sent = match fed {
            Ok(()) => outgoing.flush_unless_stuck(lease).await,
            Err(error) => break error.to_string(),
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => break error.to_string(),
            Err(_) => break "it does not read what it is sent".into(),
        }
    };
    session.do_send(Ended::Broken(failed));
}

async fn feed_all(
    outgoing: &mut Outgoing,
    first: Out,
    outbox: &mut mpsc::UnboundedReceiver<Out>,
) -> Result<(), CodecError> {
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Out::Worker(message, payload) => outgoing.feed(&message, payload).await?,
            Out::Client(message, payload) => outgoing.feed(&message, payload).await?,
        }
        next = outbox.try_recv().ok();
    }
    Ok(())
}

impl Handler<Heard> for Session {
    type Result = ();

    fn handle(&mut self, Heard(frame): Heard, ctx: &mut Context<Self>) {
        inject::point("session");
        let session = self.id;
        let payload = frame.payload.clone();
        let understood = match self.role {
            Role::Worker => frame.message().map(|said| match said {
                FromWorker::Heartbeat => {}
                said => self.coordinator.do_send(WorkerSaid { session, said, payload }),
            }),
            Role::Client => frame.message().map(|said| match said {
                FromClient::Heartbeat => {}
                said => self.coordinator.do_send(ClientSaid { session, said, payload }),
            }),
        };
        if let Err(error) = understood {
            supervision::fail(ctx, format!("its peer speaks nonsense: {error}"));
        }
    }
}

impl Handler<Ended> for Session {
    type Result = ();

    fn handle(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        match ended {
            Ended::HungUp => tracing::debug!(session = %self.id, "the peer hung up"),
            Ended::Broken(error) => tracing::debug!(session = %self.id, error, "the connection broke"),
            Ended::Silent => self.coordinator.do_send(SessionSilent(self.id)),
        }
        ctx.stop();
    }
}
