//! A process that runs tasks, one after the other, as the child in `python/src/maniple/child.py` does: it looks at its
//! stop word before each task, and says what it has run when a run is over.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use shared::{
    id::{TaskRange, count},
    wire::child::{Raised, RaisedKind},
};
use worker::core::{
    Life, ProcessEvent,
    event::{Assignment, Ran},
    slot::NO_STOP,
};

use crate::{dice::Dice, scenario::Scenario};

/// A run that it has been given.
#[derive(Debug)]
struct Run {
    first: u64,
    tasks: Vec<TaskRange>,
    len: u64,
}

impl Run {
    fn end(&self) -> u64 {
        self.first + self.len
    }

    fn tasks(&self) -> impl Iterator<Item = u32> {
        self.tasks.iter().flat_map(|range| range.start..range.end)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Child {
    pub life: Life,
    /// Changes with all that it is about to do; what was due for an earlier one is void.
    pub plan: u32,
    ready: bool,
    leaves: bool,
    runs: VecDeque<Run>,
    stop: u64,
    /// When the first of its runs began, and how long each task of it takes.
    began: u64,
    each: u64,
}

/// What a process does next of its own accord.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// At this time, the run that it works on is over, as far as it goes.
    RunOver(u64),
    /// At this time a task ends the process.
    Dies(u64),
    /// It ends, as it was asked to.
    Leaves,
    /// It waits.
    Nothing,
}

impl Child {
    pub fn new(life: Life) -> Child {
        Child {
            life,
            plan: 0,
            ready: false,
            leaves: false,
            runs: VecDeque::new(),
            stop: NO_STOP,
            began: 0,
            each: 1,
        }
    }

    pub fn ready(&mut self) {
        self.ready = true;
    }

    pub fn leave(&mut self) {
        self.leaves = true;
    }

    pub fn give(&mut self, assignment: Assignment, now: u64, scenario: &Scenario, dice: &mut Dice) {
        assert!(self.ready, "a run for a process that has not loaded its function");
        assert_eq!(self.stop, NO_STOP, "a run for a process that may not begin it");
        let len = u64::from(count(&assignment.tasks));
        if let Some(last) = self.runs.back() {
            assert_eq!(assignment.first, last.end(), "ordinals go on where the last run ends");
        }
        self.runs.push_back(Run { first: assignment.first, tasks: assignment.tasks, len });
        if self.runs.len() == 1 {
            (self.began, self.each) = (now, scenario.pace(dice));
        }
    }

    /// Sets its stop word, after which it may be over at once.
    pub fn set_stop(&mut self, at: u64, now: u64) {
        // The task that runs is run to its end.
        let begun = self.runs.front().map_or(0, |run| run.first + self.done(run, now) + 1);
        self.stop =
            if at == NO_STOP { at } else { at.max(begun.min(self.runs.front().map_or(at, Run::end))) };
    }

    /// How many tasks of the first run are over; the next of them runs.
    fn done(&self, run: &Run, now: u64) -> u64 {
        (now.saturating_sub(self.began) / self.each).min(run.len)
    }

    /// The ordinal of the task that runs, 0 if none does; and how far it has bound itself.
    pub fn beacon(&self, now: u64) -> (u64, u64) {
        let Some(run) = self.runs.front() else { return (0, 0) };
        let at = run.first + self.done(run, now);
        if at >= run.end().min(self.stop) { (0, at) } else { (at, at + 1) }
    }

    /// Where the first run ends for it, and whether a task ends it before.
    fn course(&self, scenario: &Scenario) -> Option<(u64, Option<u64>)> {
        let run = self.runs.front()?;
        let len = self.stop.clamp(run.first, run.end()) - run.first;
        let deadly = if scenario.poison.is_empty() {
            None
        } else {
            run.tasks().take(len as usize).position(|task| scenario.poison.contains(&task))
        };
        Some((len, deadly.map(|at| at as u64)))
    }

    pub fn next(&self, scenario: &Scenario) -> Next {
        match self.course(scenario) {
            Some((_, Some(deadly))) => Next::Dies(self.began + deadly * self.each + self.each / 2),
            Some((len, None)) => Next::RunOver(self.began + len * self.each),
            None if self.leaves && self.ready => Next::Leaves,
            None => Next::Nothing,
        }
    }

    /// The run is over, as far as it goes: what is said of it. Each task's value is its own number.
    pub fn run_over(&mut self, now: u64, scenario: &Scenario, dice: &mut Dice) -> Vec<ProcessEvent> {
        let (len, _) = self.course(scenario).expect("a run");
        let run = self.runs.pop_front().expect("a run");
        let (mut values, mut failures) = (BytesMut::with_capacity(4 * len as usize), Vec::new());
        for (ordinal, task) in (run.first..).zip(run.tasks()).take(len as usize) {
            if scenario.raising.contains(&task) {
                failures.push(raised(ordinal));
            } else {
                values.put_u32_le(task);
            }
        }
        let mut said = Vec::new();
        if len > 0 {
            said.push(ProcessEvent::Ran(Ran {
                first: run.first,
                count: len as u32,
                busy_us: len * self.each,
                failures,
                values: values.freeze(),
                ..Ran::default()
            }));
        }
        if run.first + len < run.end() {
            said.push(ProcessEvent::Stopped { at: run.first + len });
        }
        (self.began, self.each) = (now, scenario.pace(dice));
        said
    }
}

fn raised(ordinal: u64) -> Raised {
    Raised {
        ordinal,
        kind: RaisedKind::Exception,
        type_name: "ValueError".into(),
        message: "no".into(),
        traceback: String::new(),
    }
}
