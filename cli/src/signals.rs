//! Signals for the processes that have no keeper which would tell of them: a coordinator, the client of a remote job.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::fault::Fault;

/// Nobody can catch it: it stands for the death of what ran the tasks.
pub const SIGKILL: i32 = 9;
/// The signals that end a program: SIGHUP, SIGINT, SIGQUIT, SIGTERM.
const ENDING: [i32; 4] = [1, 2, 3, 15];

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
