//! One connection of a client to its coordinator: what is said leaves while it listens, and silence is an end.
//!
//! It does not know what is said.

use std::time::Duration;

use bytes::Bytes;
use shared::{
    codec::{Frame, FrameReader, FrameWriter, LOOKS},
    endpoint::Connected,
    wire::client::FromClient,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

/// See the module.
pub struct Talk {
    incoming: FrameReader<Box<dyn AsyncRead + Send + Unpin>>,
    outgoing: FrameWriter<Box<dyn AsyncWrite + Send + Unpin>>,
    lease: Duration,
    look: Interval,
    /// What had come of a frame at the last look.
    begun: usize,
    /// Looks, one after the other, that found nothing new.
    silent: u32,
}

/// What has happened on it.
pub enum Turn {
    Heard(Frame),
    /// Everything that was said has left.
    Sent,
}

impl Talk {
    pub fn new(connected: Connected) -> Talk {
        let Connected { incoming, outgoing, lease, .. } = connected;
        let mut look = interval_at(Instant::now() + lease / LOOKS, lease / LOOKS);
        // A pause of our own costs one look, however long it was.
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Talk { incoming, outgoing, lease, look, begun: 0, silent: 0 }
    }

    /// Has this sent during the next turns.
    pub fn say(&mut self, message: &FromClient, payload: Bytes) -> Result<(), String> {
        self.outgoing.put(message, payload).map_err(|error| error.to_string())
    }

    /// Whether everything that was said has left.
    pub fn is_said(&self) -> bool {
        self.outgoing.is_flushed()
    }

    /// Goes on until there is something to tell; gives signs of life. Cancel-safe. An error, one line, ends the talk.
    pub async fn turn(&mut self) -> Result<Turn, String> {
        loop {
            tokio::select! {
                biased;
                frame = self.incoming.next() => {
                    self.silent = 0;
                    self.begun = self.incoming.waiting();
                    return match frame {
                        Ok(Some(frame)) => Ok(Turn::Heard(frame)),
                        Ok(None) => Err("it hung up".into()),
                        Err(error) => Err(error.to_string()),
                    };
                }
                sent = self.outgoing.flush(), if !self.is_said() => {
                    return sent.map(|()| Turn::Sent).map_err(|error| error.to_string());
                }
                _ = self.look.tick() => {
                    let begun = self.incoming.waiting();
                    self.silent = if begun > self.begun { 0 } else { self.silent + 1 };
                    self.begun = begun;
                    if self.silent == LOOKS {
                        return Err(format!("it was silent for {} s", self.lease.as_secs_f64()));
                    }
                    if self.is_said() {
                        self.say(&FromClient::Heartbeat, Bytes::new())?;
                    }
                }
            }
        }
    }
}
