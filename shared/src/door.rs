//! The way in for a worker or client of the same process: a socket pair instead of TLS.
//!
//! `maniple run` embeds coordinator, worker and client; they speak the same protocol over the same frames, so there is
//! one way of talking, not two. Whoever holds a [`Door`] is inside already: there is nothing to authenticate.

use std::{io, sync::Arc};

use tokio::{
    net::UnixStream,
    sync::{Mutex, mpsc},
};

/// Connections that wait to be accepted.
const BACKLOG: usize = 16;

/// The visitor's side.
#[derive(Debug, Clone)]
pub struct Door {
    visitors: mpsc::Sender<UnixStream>,
}

/// The host's side; a listener that was restarted goes on with a clone of it.
#[derive(Debug, Clone)]
pub struct Doorway {
    visitors: Arc<Mutex<mpsc::Receiver<UnixStream>>>,
}

/// Makes a door and its doorway.
#[must_use]
pub fn door() -> (Door, Doorway) {
    let (visitors, waiting) = mpsc::channel(BACKLOG);
    (Door { visitors }, Doorway { visitors: Arc::new(Mutex::new(waiting)) })
}

impl Door {
    /// Connects to whoever accepts at the doorway.
    pub async fn connect(&self) -> io::Result<UnixStream> {
        let (mine, theirs) = UnixStream::pair()?;
        let gone =
            |_| io::Error::new(io::ErrorKind::ConnectionRefused, "the coordinator of this process has ended");
        self.visitors.send(theirs).await.map_err(gone)?;
        Ok(mine)
    }
}

impl Doorway {
    /// The next visitor; never, if all doors are gone.
    pub async fn accept(&self) -> UnixStream {
        match self.visitors.lock().await.recv().await {
            Some(visitor) => visitor,
            None => std::future::pending().await,
        }
    }
}
