//! The client of one job: submits it, streams its tasks, shows its progress, and hears of its end.
//!
//! After a lost connection it comes back, submits the same job again and goes on behind what the coordinator knows.
//! It keeps the keys that it has sent until the coordinator says that it does. It decides nothing about tasks.

use std::time::Duration;

use bytes::Bytes;
use shared::{
    endpoint::Endpoint,
    job::JobSpec,
    outcome::leaves_no_time,
    wire::client::{FromClient, StopCause, Stopped, Summary, ToClient},
};
use tokio::sync::mpsc;

use crate::{
    fault::Fault,
    line::Line,
    sent::Sent,
    show::Show,
    stop::Stop,
    talk::{Talk, Turn},
    tasks::Chunk,
};

/// What the reader of the task file says.
pub type Tasks = mpsc::Receiver<Result<Chunk, Fault>>;

/// How a client's job ended.
pub enum End {
    /// The coordinator has told how.
    Summary(Box<Summary>),
    /// It was handed over and goes on.
    Detached,
}

/// One job's client.
pub struct Client {
    line: Line,
    pub spec: JobSpec,
    /// The task file, read elsewhere.
    pub tasks: Tasks,
    /// Ctrl-C and the like, by signal number.
    pub signals: mpsc::Receiver<i32>,
    /// How long running tasks may take after the first of them.
    pub grace: Duration,
    pub show: Show,
    sent: Sent,
    all_read: bool,
    stored: bool,
    stop: Option<Stop>,
}

impl Client {
    pub fn new(
        endpoint: Endpoint,
        spec: JobSpec,
        tasks: Tasks,
        signals: mpsc::Receiver<i32>,
        grace: Duration,
        show: Show,
    ) -> Client {
        Client {
            line: Line::new(endpoint),
            spec,
            tasks,
            signals,
            grace,
            show,
            sent: Sent::default(),
            all_read: false,
            stored: false,
            stop: None,
        }
    }

    /// Follows the job to its end; also says why it was stopped, if by this client.
    pub async fn run(mut self) -> Result<(End, Option<Stop>), Fault> {
        let end = self.follow().await?;
        Ok((end, self.stop))
    }

    async fn follow(&mut self) -> Result<End, Fault> {
        let next = "start it again and repeat this command; what is durable is not run again";
        loop {
            let mut talk = tokio::select! {
                talk = self.line.connect(&self.show, next) => talk?,
                Some(signal) = self.signals.recv() => {
                    self.add(Stop::Signal(signal, None));
                    return Ok(End::Summary(Box::new(self.cut_off())));
                }
            };
            match self.converse(&mut talk).await {
                Ok(end) => return Ok(end),
                Err(why) => self.line.lost(&why, &self.show),
            }
        }
    }

    /// The summary of a job that was left while its coordinator was away.
    fn cut_off(&self) -> Summary {
        let message =
            "interrupted while the coordinator was away; the job may go on without this client".to_owned();
        Summary {
            job: Some(self.spec.id),
            progress: self.show.last(),
            groups: Vec::new(),
            stopped: Some(Stopped { why: StopCause::Cancelled, message }),
            incidents: Default::default(),
        }
    }

    /// Until the job's end, or that of the connection: that is an error, in one line.
    async fn converse(&mut self, talk: &mut Talk) -> Result<End, String> {
        talk.say(&FromClient::Submit(Box::new(self.spec.clone())), Bytes::new())?;
        let mut accepted = false;
        loop {
            tokio::select! {
                biased;
                Some(signal) = self.signals.recv() => self.interrupt(signal, talk)?,
                turn = talk.turn() => {
                    let Turn::Heard(frame) = turn? else { continue };
                    match frame.message().map_err(|error| error.to_string())? {
                        ToClient::Accepted { known, .. } => {
                            accepted = true;
                            self.say_again(known, talk)?;
                        }
                        message => if let Some(end) = self.heard(message, frame.payload, talk)? {
                            return Ok(end);
                        },
                    }
                }
                chunk = self.tasks.recv(), if accepted && !self.all_read && talk.is_said() => self.read(chunk, talk)?,
            }
        }
    }

    fn read(&mut self, chunk: Option<Result<Chunk, Fault>>, talk: &mut Talk) -> Result<(), String> {
        match chunk {
            Some(Ok(chunk)) => {
                self.show.chunk(&chunk);
                self.send(&chunk, talk)?;
                self.sent.push(chunk);
            }
            Some(Err(fault)) => {
                self.all_read = true;
                self.stop(Stop::Fault(fault), talk)?;
            }
            None => {
                self.all_read = true;
                self.send_end(talk)?;
            }
        }
        Ok(())
    }

    fn send(&self, chunk: &Chunk, talk: &mut Talk) -> Result<(), String> {
        let message = FromClient::Tasks { job: self.spec.id, count: chunk.count };
        talk.say(&message, chunk.keys.clone())
    }

    fn send_end(&self, talk: &mut Talk) -> Result<(), String> {
        let message = FromClient::TasksEnd { job: self.spec.id, total: self.sent.total() };
        talk.say(&message, Bytes::new())
    }

    /// Says what the coordinator does not know of what was said before.
    fn say_again(&mut self, known: u64, talk: &mut Talk) -> Result<(), String> {
        if !self.stored {
            for chunk in self.sent.behind(known) {
                self.send(&chunk, talk)?;
            }
        }
        if self.all_read && !self.stored && !matches!(self.stop, Some(Stop::Fault(_))) {
            self.send_end(talk)?;
        }
        match &self.stop {
            Some(stop) => self.send_cancel(stop.grace(), talk),
            None => Ok(()),
        }
    }

    fn heard(&mut self, message: ToClient, payload: Bytes, talk: &mut Talk) -> Result<Option<End>, String> {
        match message {
            ToClient::Progress(progress) => self.show.progress(progress),
            ToClient::Note(text) | ToClient::Remark { text, .. } => self.show.note(&text),
            ToClient::Kept { count, .. } => self.sent.let_go_of(count),
            ToClient::Stored(_) => {
                self.stored = true;
                self.sent.let_go_of(u64::MAX);
                if self.spec.detached {
                    return Ok(Some(End::Detached));
                }
            }
            ToClient::Results { job, values } => {
                let bytes = payload.len() as u64;
                if let Err(error) = self.show.results(&values, &payload) {
                    // A reader that has gone away has what it wanted; anything else has lost results.
                    let stop = match error.kind() {
                        std::io::ErrorKind::BrokenPipe => Stop::Unread,
                        _ => Stop::Fault(Fault::of_output(error)),
                    };
                    self.stop(stop, talk)?;
                }
                talk.say(&FromClient::Taken { job, bytes }, Bytes::new())?;
            }
            ToClient::Finished(summary) => {
                let (done, missing) = (summary.progress.done, self.show.missing(summary.progress.done));
                if missing > 0 && self.stop.is_none() {
                    let what = format!("{missing} of {done} results are missing");
                    let why = "the coordinator did not wait for this client any longer (--client-grace)";
                    let fault = Fault::storage(format!("{what}: {why}; run it again: with --checkpoint nothing is lost"));
                    self.stop = Some(Stop::Fault(fault));
                }
                return Ok(Some(End::Summary(summary)));
            }
            ToClient::Accepted { .. }
            | ToClient::Began { .. }
            | ToClient::Attached(_)
            | ToClient::Stopping(_)
            | ToClient::Unknown(_)
            | ToClient::Jobs(_)
            | ToClient::Watched(_)
            | ToClient::SetAside(_)
            // The jobs of the command line have no objects.
            | ToClient::Fetch { .. }
            | ToClient::Answered { .. }
            | ToClient::Failed { .. }
            | ToClient::Heartbeat => {}
        }
        Ok(None)
    }

    fn interrupt(&mut self, signal: i32, talk: &mut Talk) -> Result<(), String> {
        let at_once = self.stop.is_some() || leaves_no_time(signal);
        if !at_once {
            self.show.note(&format!(
                "stopping: running tasks may take {} s to end; Ctrl-C again to stop at once",
                self.grace.as_secs_f64()
            ));
        }
        self.stop(Stop::Signal(signal, (!at_once).then_some(self.grace)), talk)
    }

    fn stop(&mut self, stop: Stop, talk: &mut Talk) -> Result<(), String> {
        let grace = self.add(stop).grace();
        self.send_cancel(grace, talk)
    }

    fn add(&mut self, stop: Stop) -> &Stop {
        let stop = match self.stop.take() {
            Some(first) => first.and(stop),
            None => stop,
        };
        self.stop.insert(stop)
    }

    fn send_cancel(&self, grace: Option<Duration>, talk: &mut Talk) -> Result<(), String> {
        let grace_ms = grace.map(|grace| grace.as_millis() as u64);
        talk.say(&FromClient::Cancel { job: self.spec.id, now: grace.is_none(), grace_ms }, Bytes::new())
    }
}
