//! The plain tasks that move bytes: each is owned by an actor, in a `JoinSet`, and ends with it.

use std::{sync::Once, time::Duration};

use actix::Addr;
use bytes::Bytes;
use shared::{
    codec::{CodecError, Frame, FrameReader, FrameWriter},
    wire::{
        child::{FromChild, ToChild},
        worker::FromWorker,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
};

use crate::{
    actors::{
        link::{Ended, Heard, Link},
        process::{self, Hushed, Process},
    },
    core::{ProcessEvent, command::Captured, event::Ran},
    process::output::OutputPipe,
};

/// How much of its output a child's failures are given.
const TAIL: usize = 4 << 10;

/// Asks for what was written to stdout and stderr since the last time.
pub type Ask = oneshot::Sender<(Captured, Captured)>;

/// Reads a process's output, until nobody asks for it any more.
pub async fn mind_output(mut stdout: OutputPipe, mut stderr: OutputPipe, mut asks: mpsc::Receiver<Ask>) {
    let (mut stdout_open, mut stderr_open) = (true, true);
    loop {
        tokio::select! {
            biased;
            ask = asks.recv() => match ask {
                // Nobody waits for the answer of an ask that was dropped: that is no error.
                Some(ask) => drop(ask.send((take(&mut stdout), take(&mut stderr)))),
                None => return,
            },
            _ = stdout.follow(), if stdout_open => stdout_open = false,
            _ = stderr.follow(), if stderr_open => stderr_open = false,
        }
    }
}

/// What was written since the last time; waits for nothing.
pub fn take(pipe: &mut OutputPipe) -> Captured {
    let taken = pipe.take().unwrap_or_default();
    Captured { head: taken.head, cut: taken.cut, tail: taken.tail }
}

/// What was written since the last time; nothing if the one who minds it is gone.
pub async fn output(asks: &mpsc::Sender<Ask>) -> (Captured, Captured) {
    let (ask, answer) = oneshot::channel();
    if asks.send(ask).await.is_err() {
        return Default::default();
    }
    answer.await.unwrap_or_default()
}

/// Carries what a child says to its actor.
pub async fn read_child<R>(mut incoming: FrameReader<R>, asks: mpsc::Sender<Ask>, process: Addr<Process>)
where
    R: AsyncRead + Unpin,
{
    let why = loop {
        let frame = match incoming.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => break None,
            // A child that dies with tasks unread resets the connection.
            Err(CodecError::Io(_) | CodecError::Truncated) => break None,
            Err(error) => break Some(error.to_string()),
        };
        match understood(frame, &asks).await {
            Ok(event) => {
                if process.send(process::Heard(event)).await.is_err() {
                    return;
                }
            }
            Err(error) => break Some(error.to_string()),
        }
    };
    process.do_send(Hushed(why));
}

async fn understood(frame: Frame, asks: &mpsc::Sender<Ask>) -> Result<ProcessEvent, CodecError> {
    Ok(match frame.message()? {
        FromChild::Ready { lacks_msgpack, .. } => {
            static TOLD: Once = Once::new();
            if let Some(python) = lacks_msgpack {
                TOLD.call_once(|| {
                    tracing::warn!(
                        "{python} has no module msgpack, so small tasks are several times slower; \
                         {python} -m pip install msgpack"
                    );
                });
            }
            ProcessEvent::Ready
        }
        FromChild::Differs { packages } => ProcessEvent::Differs(packages),
        FromChild::Unloadable { message, traceback } => ProcessEvent::Unloadable { message, traceback },
        FromChild::Stopped { at } => ProcessEvent::Stopped { at },
        FromChild::Ask(request) => ProcessEvent::Asked(request, frame.payload),
        FromChild::Ran { first, count, busy_us, failures } => {
            let values = frame.payload;
            let (mut stdout, mut stderr) = (String::new(), String::new());
            if !failures.is_empty() {
                let (written, complained) = output(asks).await;
                (stdout, stderr) = (written.end(TAIL), complained.end(TAIL));
            }
            ProcessEvent::Ran(Ran { first, count, busy_us, failures, values, stdout, stderr })
        }
    })
}

/// Carries what a child is told, until nobody tells it anything any more: then the child sees the end and ends.
pub async fn write_child<W>(
    mut outgoing: FrameWriter<W>,
    mut words: mpsc::UnboundedReceiver<(ToChild, Bytes)>,
) where
    W: AsyncWrite + Unpin,
{
    while let Some((word, payload)) = words.recv().await {
        // A child that cannot be written to is dead or dying: its reader and the keeper say so.
        if outgoing.feed(&word, payload).await.is_err() || outgoing.flush().await.is_err() {
            return;
        }
    }
    let _ = outgoing.shutdown().await;
}

/// Carries what the coordinator says to the link; silence for a lease is an end.
pub async fn read_coordinator<R>(mut incoming: FrameReader<R>, lease: Duration, link: Addr<Link>, life: u64)
where
    R: AsyncRead + Unpin,
{
    let why = loop {
        match incoming.next_within(lease).await {
            Some(Ok(Some(frame))) => {
                if link.send(Heard(frame)).await.is_err() {
                    return;
                }
            }
            Some(Ok(None)) => break "it hung up".to_owned(),
            Some(Err(error)) => break error.to_string(),
            None => break format!("it was silent for {} s", lease.as_secs_f64()),
        }
    };
    link.do_send(Ended { life, why: Some(why) });
}

/// Carries what is put into the outbox to the coordinator, and heartbeats where nothing is.
pub async fn write_coordinator<W>(
    mut outgoing: FrameWriter<W>,
    mut outbox: mpsc::UnboundedReceiver<(FromWorker, Bytes)>,
    lease: Duration,
    link: Addr<Link>,
    life: u64,
) where
    W: AsyncWrite + Unpin,
{
    let why = loop {
        let fed = match tokio::time::timeout(lease / 3, outbox.recv()).await {
            Ok(Some(first)) => feed_all(&mut outgoing, first, &mut outbox).await,
            Ok(None) => {
                let _ = tokio::time::timeout(lease, outgoing.shutdown()).await;
                break None;
            }
            Err(_) => outgoing.feed(&FromWorker::Heartbeat, Bytes::new()).await,
        };
        let sent = match fed {
            Ok(()) => outgoing.flush_unless_stuck(lease).await,
            Err(error) => break Some(error.to_string()),
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => break Some(error.to_string()),
            Err(_) => break Some("it does not read what it is sent".to_owned()),
        }
    };
    link.do_send(Ended { life, why });
}

async fn feed_all<W>(
    outgoing: &mut FrameWriter<W>,
    first: (FromWorker, Bytes),
    outbox: &mut mpsc::UnboundedReceiver<(FromWorker, Bytes)>,
) -> Result<(), CodecError>
where
    W: AsyncWrite + Unpin,
{
    let mut next = Some(first);
    while let Some((message, payload)) = next {
        outgoing.feed(&message, payload).await?;
        next = outbox.try_recv().ok();
    }
    Ok(())
}
