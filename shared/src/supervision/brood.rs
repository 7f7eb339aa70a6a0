//! Who is still there: an actor's end is reported only when everything that holds its token is gone, or else a restart
//! would race with what the last life left running. It does not know what holds a token.

use std::convert::Infallible;

use tokio::sync::mpsc;

/// Held by whatever must be gone before an actor's end is reported: its children hold one by themselves; a thread or
/// blocking job takes a clone with it and drops it when it has ended. See `supervision::token`.
#[derive(Clone, Debug)]
pub struct Token(
    #[expect(dead_code, reason = "it is held for the sake of its drop")] mpsc::Sender<Infallible>,
);

/// All tokens of one life, seen from the side that waits for them.
pub(super) struct Brood(mpsc::Receiver<Infallible>);

impl Brood {
    /// A brood and its first token.
    pub(super) fn new() -> (Brood, Token) {
        let (sender, receiver) = mpsc::channel(1);
        (Brood(receiver), Token(sender))
    }

    /// Waits until the last token has been dropped.
    pub(super) async fn gone(&mut self) {
        while self.0.recv().await.is_some() {}
    }
}
