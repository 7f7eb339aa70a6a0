//! The state of each task of a job, one byte each, and the ranges that wait to be leased.
//!
//! Invariant: `waiting` and `leased` count the tasks in those states; a task that waits is in the queue. (A task may be
//! in the queue and wait no longer - its late outcome came after all -: it is passed over when a batch is cut.)

use std::collections::VecDeque;

use shared::id::{TaskIndex, TaskRange, push_task};

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It waits for a worker.
    Waiting,
    /// A worker has it.
    Leased,
    /// It has a value.
    Done,
    /// It has failed for good.
    Failed,
}

/// Tasks that wait.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tasks: TaskRange,
    /// How many workers were lost that held them.
    losses: u16,
    /// They are leased one by one, so that a death tells which one it was.
    alone: bool,
}

/// The tasks of one job.
#[derive(Debug, Default)]
pub struct Table {
    states: Vec<State>,
    queue: VecDeque<Entry>,
    waiting: u64,
    leased: u64,
}

/// Tasks cut from the queue for one lease.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// The tasks, leased now.
    pub tasks: Vec<TaskRange>,
    /// How many workers were lost that held them before.
    pub losses: u16,
}

impl Table {
    /// So many more tasks wait.
    pub fn add(&mut self, count: u32) {
        let start = self.states.len() as u32;
        // By an eighth, not twice as much: most of what a long list does not fill would never be.
        let len = self.states.len() + count as usize;
        if len > self.states.capacity() {
            self.states.reserve_exact(count as usize + self.states.len() / 8);
        }
        self.states.resize(len, State::Waiting);
        self.waiting += u64::from(count);
        let tasks = TaskRange::new(start, start + count);
        self.queue.push_back(Entry { tasks, losses: 0, alone: false });
    }

    /// How many tasks there are.
    pub fn len(&self) -> u64 {
        self.states.len() as u64
    }

    /// How many wait.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// How many have no outcome yet.
    pub fn open(&self) -> u64 {
        self.waiting + self.leased
    }

    /// A task's state, if there is such a task.
    pub fn state(&self, task: TaskIndex) -> Option<State> {
        self.states.get(task.0 as usize).copied()
    }

    /// Cuts a batch of at most `size` tasks that wait, and leases them.
    pub fn cut(&mut self, size: u32) -> Option<Cut> {
        let mut cut = Cut { tasks: Vec::new(), losses: 0 };
        let mut left = size;
        while left > 0 {
            let Some(entry) = self.queue.front_mut() else { break };
            let single = entry.alone || entry.losses > 1;
            if !cut.tasks.is_empty() && (single || entry.losses != cut.losses) {
                break;
            }
            let states = &self.states[entry.tasks.start as usize..entry.tasks.end as usize];
            let over = states.iter().take_while(|state| **state != State::Waiting).count();
            let most = if single { 1 } else { left };
            let run = states[over..].iter().take(most as usize);
            let run = run.take_while(|state| **state == State::Waiting).count() as u32;
            entry.tasks.start += over as u32;
            cut.losses = entry.losses;
            if run > 0 {
                let (taken, rest) = entry.tasks.split(run);
                self.states[taken.start as usize..taken.end as usize].fill(State::Leased);
                entry.tasks = rest;
                push_range(&mut cut.tasks, taken);
                left = if single { 0 } else { left - run };
            }
            if entry.tasks.is_empty() {
                self.queue.pop_front();
            }
        }
        let count = u64::from(shared::id::count(&cut.tasks));
        self.waiting -= count;
        self.leased += count;
        (count > 0).then_some(cut)
    }

    /// Leases exactly those of these tasks that wait, and says which.
    pub fn adopt(&mut self, tasks: &[TaskRange]) -> Vec<TaskRange> {
        let adopted = self.select(tasks, |state| state == State::Waiting);
        self.put(&adopted, State::Leased);
        adopted
    }

    /// Puts leased tasks back, to be leased next.
    pub fn requeue(&mut self, tasks: &[TaskRange], losses: u16, alone: bool) {
        let back = self.select(tasks, |state| state == State::Leased);
        self.put(&back, State::Waiting);
        for &tasks in back.iter().rev() {
            self.queue.push_front(Entry { tasks, losses, alone });
        }
    }

    /// Those of these tasks that have no outcome yet.
    pub fn still_open(&self, tasks: &[TaskRange]) -> Vec<TaskRange> {
        self.select(tasks, |state| matches!(state, State::Waiting | State::Leased))
    }

    /// Gives tasks their outcome.
    pub fn settle(&mut self, tasks: &[TaskRange], outcome: State) {
        self.put(tasks, outcome);
    }

    fn select(&self, tasks: &[TaskRange], wanted: impl Fn(State) -> bool) -> Vec<TaskRange> {
        let mut found = Vec::new();
        for range in tasks {
            let end = range.end.min(self.states.len() as u32);
            let states = &self.states[(range.start.min(end)) as usize..end as usize];
            if states.iter().all(|&state| wanted(state)) {
                if !states.is_empty() {
                    push_range(&mut found, TaskRange::new(range.start, end));
                }
                continue;
            }
            for (task, _) in (range.start..end).zip(states).filter(|(_, state)| wanted(**state)) {
                push_task(&mut found, TaskIndex(task));
            }
        }
        found
    }

    fn put(&mut self, tasks: &[TaskRange], state: State) {
        for range in tasks {
            for old in &mut self.states[range.start as usize..range.end as usize] {
                match std::mem::replace(old, state) {
                    State::Waiting => self.waiting -= 1,
                    State::Leased => self.leased -= 1,
                    State::Done | State::Failed => debug_assert!(false, "a task has one outcome"),
                }
            }
            match state {
                State::Waiting => self.waiting += u64::from(range.len()),
                State::Leased => self.leased += u64::from(range.len()),
                State::Done | State::Failed => {}
            }
        }
    }

    /// Every task that waits is in the queue, and the counts are right.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        let count = |wanted| self.states.iter().filter(|state| **state == wanted).count() as u64;
        assert_eq!(self.waiting, count(State::Waiting), "waiting tasks are counted");
        assert_eq!(self.leased, count(State::Leased), "leased tasks are counted");
        let queued: std::collections::HashSet<u32> =
            self.queue.iter().flat_map(|entry| entry.tasks.start..entry.tasks.end).collect();
        let waits = |task: &u32| self.states[*task as usize] == State::Waiting;
        let missing: Vec<u32> =
            (0..self.states.len() as u32).filter(|task| waits(task) && !queued.contains(task)).collect();
        assert!(missing.is_empty(), "tasks {missing:?} wait but are not in the queue");
    }
}

/// Puts a range behind others, growing the last one where it can.
fn push_range(ranges: &mut Vec<TaskRange>, range: TaskRange) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}
