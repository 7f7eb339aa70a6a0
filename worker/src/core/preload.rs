//! How the children of a job come about on a node where modules are to be preloaded: as copies of a template, a process
//! that has imported them once.
//!
//! Pure, and apart from the core, which merely wants children: it knows neither descriptors nor sockets. A template that
//! is lost is started anew once, as soon as a child is wanted; from the second loss on children are executed as without
//! one, so a job never hangs on it. What cannot be imported is the user's mistake and no child is started for it.
//!
//! Invariants: a life that was wanted is adopted, executed, refused, failed, lost or withdrawn, once; one copy is asked for
//! at a time, and what is said of another is stale.

use std::{collections::VecDeque, time::Duration};

use shared::wire::child::FromTemplate;

use super::Life;

/// How long a copy may take: the template of a job that uses most of a machine's memory needs a while.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How often a template is started anew.
const RESTARTS: u32 = 1;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A child is to come about.
    Wanted(Life),
    /// It is not wanted any more.
    Unwanted(Life),
    /// The template has said something.
    Said(FromTemplate),
    /// The answer to this request has taken too long.
    Late(u64),
    /// The template is gone, or could not be started.
    Lost(String),
    /// Nor can anything else be started that way.
    NoProgram,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start the template.
    Start,
    /// Ask it for a copy.
    Fork(u64),
    /// The copy is this child.
    Adopt {
        /// Whose.
        life: Life,
        /// Its id.
        pid: i32,
        /// When it started.
        started: u64,
    },
    /// Start this child as without a template.
    Execute(Life),
    /// The job cannot be run: say so in the name of this child.
    Refuse(Life, String, String),
    /// There is no such process; why.
    Fail(Life, String),
    /// It was killed before it came about.
    Lose(Life),
    /// It did not come about and is not missed.
    Withdraw(Life),
    /// End the template.
    Kill,
    /// Tell the user.
    Say(String),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Preload {
    state: State,
    waiting: VecDeque<Life>,
    /// The request that is not answered yet, and for whom it is, if anybody still wants it.
    asked: Option<(u64, Option<Life>)>,
    requests: u64,
    losses: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// There is no template, and may be one.
    #[default]
    Absent,
    Importing,
    Ready,
    /// It does not answer and is being ended.
    Ending,
    /// The line and the traceback.
    Refused(String, String),
    /// There will be none any more.
    GivenUp,
}

impl Preload {
    /// Takes note of what happened; what is to be done is put behind `out`.
    pub fn on(&mut self, told: Told, out: &mut Vec<Step>) {
        match told {
            Told::Wanted(life) => self.wanted(life, out),
            Told::Unwanted(life) => {
                let waiting = self.waiting.len();
                self.waiting.retain(|other| *other != life);
                let was_asked = match &mut self.asked {
                    Some((_, whose)) => whose.take_if(|other| *other == life).is_some(),
                    None => false,
                };
                if was_asked || self.waiting.len() < waiting {
                    out.push(Step::Withdraw(life));
                }
            }
            Told::Said(said) => self.said(said, out),
            Told::Late(number) => {
                if self.state == State::Ready && self.asks(number) {
                    self.state = State::Ending;
                    out.push(Step::Kill);
                }
            }
            Told::Lost(how) => self.lost(&how, out),
            // Whoever is executed instead says what is the matter.
            Told::NoProgram => self.give_up(out),
        }
        self.ask(out);
    }

    /// Whether this request is not answered yet.
    #[must_use]
    pub fn asks(&self, number: u64) -> bool {
        self.asked.is_some_and(|(asked, _)| asked == number)
    }

    /// Those that were wanted and did not come about yet.
    #[must_use]
    pub fn lives(&self) -> Vec<Life> {
        self.asked.iter().filter_map(|(_, whose)| *whose).chain(self.waiting.iter().copied()).collect()
    }

    fn said(&mut self, said: FromTemplate, out: &mut Vec<Step>) {
        match said {
            FromTemplate::Ready {} => {
                if self.state == State::Importing {
                    self.state = State::Ready;
                }
            }
            FromTemplate::Unloadable { message, traceback } => {
                let refuse = |life| Step::Refuse(life, message.clone(), traceback.clone());
                out.extend(self.waiting.drain(..).map(refuse));
                self.state = State::Refused(message, traceback);
            }
            FromTemplate::Forked { number, pid, started } => {
                if let Some(Some(life)) = self.answered(number) {
                    out.push(Step::Adopt { life, pid, started });
                }
            }
            FromTemplate::NotForked { number, why } => {
                if let Some(Some(life)) = self.answered(number) {
                    out.push(Step::Fail(life, why));
                }
            }
            FromTemplate::Killed { number } => {
                if let Some(Some(life)) = self.answered(number) {
                    out.push(Step::Lose(life));
                }
            }
        }
    }

    fn wanted(&mut self, life: Life, out: &mut Vec<Step>) {
        match &self.state {
            State::Refused(message, traceback) => {
                return out.push(Step::Refuse(life, message.clone(), traceback.clone()));
            }
            State::GivenUp => return out.push(Step::Execute(life)),
            State::Absent => {
                self.state = State::Importing;
                out.push(Step::Start);
            }
            State::Importing | State::Ready | State::Ending => {}
        }
        self.waiting.push_back(life);
    }

    fn ask(&mut self, out: &mut Vec<Step>) {
        if self.state == State::Ready
            && self.asked.is_none()
            && let Some(life) = self.waiting.pop_front()
        {
            self.requests += 1;
            self.asked = Some((self.requests, Some(life)));
            out.push(Step::Fork(self.requests));
        }
    }

    /// For whom the request was, if it is the one that waits for its answer.
    fn answered(&mut self, number: u64) -> Option<Option<Life>> {
        self.asked.take_if(|(asked, _)| *asked == number).map(|(_, whose)| whose)
    }

    fn lost(&mut self, how: &str, out: &mut Vec<Step>) {
        let how = match self.state {
            State::Absent | State::Refused(..) | State::GivenUp => return,
            State::Ending => "it did not answer",
            State::Importing | State::Ready => how,
        };
        if let Some((_, Some(life))) = self.asked.take() {
            self.waiting.push_front(life);
        }
        self.losses += 1;
        if self.losses > RESTARTS {
            out.push(Step::Say(format!(
                "the process that preloads modules was lost again ({how}): each process imports them by itself now"
            )));
            return self.give_up(out);
        }
        out.push(Step::Say(format!(
            "the process that preloads modules was lost ({how}); another one follows"
        )));
        self.state = State::Absent;
        if !self.waiting.is_empty() {
            self.state = State::Importing;
            out.push(Step::Start);
        }
    }

    fn give_up(&mut self, out: &mut Vec<Step>) {
        self.state = State::GivenUp;
        out.extend(self.waiting.drain(..).map(Step::Execute));
    }
}
