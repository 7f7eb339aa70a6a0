//! Who follows a job that another client has submitted, to its end or until a signal; or has it stopped, and waits for that.
//!
//! After a lost connection it comes back and asks for the job again. It neither sends tasks nor takes values, nor looks
//! at the clock: how long running tasks may take is the coordinator's business, since we may leave.

use std::time::Duration;

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
    output::say,
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
    /// The job is to end, and running tasks may take so long.
    grace: Option<Duration>,
    asked: Asked,
    listed: Option<Listed>,
}

/// How far the coordinator is with what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It was not asked yet.
    Not,
    /// It has not answered.
    Unanswered,
    /// It has taken it.
    Taken,
}

/// How that went.
pub enum End {
    /// It has ended; it had before, if `late`.
    Summary { summary: Box<Summary>, listed: Box<Listed>, late: bool },
    /// A signal came first.
    Left { signal: i32, asked: Asked, listed: Option<Box<Listed>> },
    /// The coordinator does not know it.
    Unknown,
}

impl Follower {
    pub fn new(endpoint: Endpoint, job: JobId, signals: mpsc::Receiver<i32>, show: Show) -> Follower {
        let line = Line::new(endpoint);
        Follower { line, job, signals, show, grace: None, asked: Asked::Not, listed: None }
    }

    /// Has the job stopped.
    pub fn stopping(self, grace: Duration) -> Follower {
        Follower { grace: Some(grace), ..self }
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
        End::Left { signal, asked: self.asked, listed: self.listed.take().map(Box::new) }
    }

    /// Until the job's end, or that of the connection: that is an error, in one line.
    async fn converse(&mut self, talk: &mut Talk) -> Result<End, String> {
        talk.say(&FromClient::Attach(self.job), Bytes::new())?;
        loop {
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
                if let Some(grace) = self.grace.filter(|_| !ended) {
                    if self.asked == Asked::Not {
                        self.asked = Asked::Unanswered;
                    }
                    let grace_ms = Some(grace.as_millis() as u64);
                    return Heard::Say(FromClient::Cancel { job: self.job, now: false, grace_ms });
                }
            }
            ToClient::Stopping(_) if self.asked == Asked::Unanswered => {
                self.asked = Asked::Taken;
                say(&format!("maniple: job {} is being stopped", self.job));
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
            | ToClient::Stopping(_)
            | ToClient::Heartbeat => {}
        }
        Heard::Nothing
    }
}

/// What is to be done about a message.
enum Heard {
    Nothing,
    Say(FromClient),
    End(End),
}
