//! Clients that watch how the workers are.

use bytes::Bytes;
use shared::wire::client::{ToClient, Watched};

use crate::actors::{
    coordinator::{Coordinator, Peer},
    said::SessionId,
    session::Out,
};

impl Coordinator {
    pub(super) fn watch(&mut self, session: SessionId, on: bool) {
        let known: Vec<Watched> = self.peers.values().filter_map(watched).collect();
        let Some(peer) = self.peers.get_mut(&session) else { return };
        if on {
            peer.watches += 1;
            for one in known.into_iter().filter(|one| one.status.is_some()) {
                let _ = peer.outbox.send(Out::Client(ToClient::Watched(Box::new(one)), Bytes::new()));
            }
        } else {
            peer.watches = peer.watches.saturating_sub(1);
        }
    }

    /// Tells those who watch how a worker is now.
    pub(super) fn tell_watchers(&self, worker: &Peer) {
        let Some(one) = watched(worker) else { return };
        for peer in self.peers.values().filter(|peer| peer.watches > 0) {
            let message = ToClient::Watched(Box::new(one.clone()));
            let _ = peer.outbox.send(Out::Client(message, Bytes::new()));
        }
    }
}

fn watched(peer: &Peer) -> Option<Watched> {
    let (host, slots, status) = (peer.hello.host.clone(), peer.slots, peer.status.clone());
    Some(Watched { worker: peer.worker?, host, slots, status })
}
