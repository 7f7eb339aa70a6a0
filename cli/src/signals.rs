//! Signals for the client of a remote job, which has no keeper that would tell of them.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::fault::Fault;

/// The signals that end a program.
const ENDING: [i32; 3] = [1, 2, 15];

/// Every ending signal that this process gets from now on, by its number.
pub fn heard() -> Result<mpsc::Receiver<i32>, Fault> {
    let (sender, receiver) = mpsc::channel(ENDING.len());
    for number in ENDING {
        let failed = |error| Fault::internal(format!("failed to listen for signals: {error}"));
        let mut signals = signal(SignalKind::from_raw(number)).map_err(failed)?;
        let sender = sender.clone();
        tokio::spawn(
            async move { while signals.recv().await.is_some() && sender.send(number).await.is_ok() {} },
        );
    }
    Ok(receiver)
}
