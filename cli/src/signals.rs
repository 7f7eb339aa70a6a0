//! Signals for the verbs that have no keeper: the coordinator and the client of a remote job.

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, fut::wrap_future};
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

/// Stops an actor in order at the first ending signal, with the exit code that tells of it.
pub fn stop_on_signal<A: actix::Actor<Context = Context<A>>>(ctx: &mut Context<A>) {
    let Ok(mut signals) = heard() else { return };
    let wait = async move { signals.recv().await };
    let stop = |number: Option<i32>, _: &mut A, ctx: &mut Context<A>| {
        shared::supervision::set_exit_code(128 + number.unwrap_or(15));
        ctx.stop();
    };
    ctx.spawn(wrap_future::<_, A>(wait).map(stop));
}
