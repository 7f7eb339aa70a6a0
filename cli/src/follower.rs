//! Who follows a job that another client has submitted, to its end or until a signal; or has it stopped, and waits for that.
//!
//! After a lost connection it comes back and asks for the job again. It neither sends tasks nor takes values.

use std::time::{Duration, Instant};

use bytes::Bytes;
use shared::{
    endpoint::Endpoint,
    id::JobId,
    wire::client::{FromClient, Listed, Summary, ToClient},
};
use tokio::sync::mpsc;

use crate::{
    fault::Fault,
    line::Line,
    show::Show,
    talk::{Talk, Turn},
};

/// Where to look after a coordinator that stays away.
const NEXT: &str = "start it again, then this command: the job goes on from its checkpoint";

/// See the module.
pub struct Follower {
    line: Line,
    job: JobId,
    signals: mpsc::Receiver<i32>,
    show: Show,
    stop: Option<Stop>,
    listed: Option<Listed>,
}

/// The job is to end.
struct Stop {
    /// How long running tasks may take.
    grace: Duration,
    /// Until when, once it was asked for.
    until: Option<Instant>,
}

/// How that went.
pub enum End {
    /// It has ended; it had before, if `late`.
    Summary { summary: Box<Summary>, listed: Box<Listed>, late: bool },
    /// A signal came first.
    Left(i32, Option<Box<Listed>>),
    /// The coordinator does not know it.
    Unknown,
}

impl Follower {
    pub fn new(endpoint: Endpoint, job: JobId, signals: mpsc::Receiver<i32>, show: Show) -> Follower {
        Follower { line: Line::new(endpoint), job, signals, show, stop: None, listed: None }
    }

    /// Has the job stopped.
    pub fn stopping(self, grace: Duration) -> Follower {
        Follower { stop: Some(Stop { grace, until: None }), ..self }
    }

    /// Follows it.
    pub async fn run(mut self) -> Result<End, Fault> {
        loop {
            let mut talk = tokio::select! {
                talk = self.line.connect(&self.show, NEXT) => talk?,
                Some(signal) = self.signals.recv() => return Ok(self.left(signal)),
            };
            match self.converse(&mut talk).await {
                Ok(end) => return Ok(end),
                Err(why) => self.line.lost(&why, &self.show),
            }
        }
    }

    fn left(&mut self, signal: i32) -> End {
        End::Left(signal, self.listed.take().map(Box::new))
    }

    /// Until the job's end, or that of the connection: that is an error, in one line.
    async fn converse(&mut self, talk: &mut Talk) -> Result<End, String> {
        talk.say(&FromClient::Attach(self.job), Bytes::new())?;
        loop {
            let deadline = self.stop.as_ref().and_then(|stop| stop.until);
            tokio::select! {
                biased;
                Some(signal) = self.signals.recv() => return Ok(self.left(signal)),
                turn = talk.turn() => {
                    let Turn::Heard(frame) = turn? else { continue };
                    match self.heard(frame.message().map_err(|error| error.to_string())?) {
                        Heard::Say(message) => talk.say(&message, Bytes::new())?,
                        Heard::End(end) => return Ok(end),
                        Heard::Nothing => {}
                    }
                }
                () = over(deadline) => talk.say(&self.cancel(true), Bytes::new())?,
            }
        }
    }

    fn heard(&mut self, message: ToClient) -> Heard {
        match message {
            ToClient::Attached(listed) => {
                let ended = listed.ended;
                // Said once, although it is asked for again over each connection.
                if self.listed.is_none() && !ended {
                    self.show.note(&format!("following job {}: {}", self.job, listed.work));
                }
                self.listed = Some(*listed);
                if self.stop.is_some() && !ended {
                    return Heard::Say(self.cancel(false));
                }
            }
            ToClient::Unknown(_) => return Heard::End(End::Unknown),
            ToClient::Progress(progress) => self.show.progress(progress),
            ToClient::Note(text) | ToClient::Remark { text, .. } => self.show.note(&text),
            ToClient::Finished(summary) => {
                if let Some(listed) = self.listed.take().map(Box::new) {
                    return Heard::End(End::Summary { summary, late: listed.ended, listed });
                }
            }
            ToClient::Accepted { .. }
            | ToClient::Fetch { .. }
            | ToClient::Kept { .. }
            | ToClient::Stored(_)
            | ToClient::SetAside(_)
            | ToClient::Began { .. }
            | ToClient::Answered { .. }
            | ToClient::Jobs(_)
            | ToClient::Watched(_)
            | ToClient::Results { .. }
            | ToClient::Failed { .. }
            | ToClient::Heartbeat => {}
        }
        Heard::Nothing
    }

    /// Asks for the end: first so that running tasks may take their time, which is never prolonged.
    fn cancel(&mut self, over: bool) -> FromClient {
        let now = self.stop.as_mut().is_some_and(|stop| {
            let until = *stop.until.get_or_insert_with(|| Instant::now() + stop.grace);
            let now = over || until <= Instant::now();
            if now {
                // Asked once: it does not become more.
                stop.until = None;
                stop.grace = Duration::ZERO;
            }
            now
        });
        FromClient::Cancel { job: self.job, now }
    }
}

/// What is to be done about a message.
enum Heard {
    Nothing,
    Say(FromClient),
    End(End),
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
