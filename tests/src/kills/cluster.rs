//! A coordinator, two workers, and one job after another, some without a client. Whoever dies is started again, but for clients.

use std::{
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

use super::{
    Confession,
    census::{Family, assert_no_strangers},
    slay,
    toll::{Toll, Victim},
    work::Work,
};
use crate::{
    Ended, Program, Scratch,
    dice::Dice,
    program::{PATIENCE, engine},
    wait::{once_free, until},
};

const TASKS: u64 = 200;
const SLOTS: [usize; 2] = [1, 2];

struct Site<'a> {
    listen: String,
    coordinator: Option<Program>,
    workers: Vec<Program>,
    client: Option<Program>,
    scratch: &'a Scratch,
}

/// Kills each of them so many times; panics if a promise is broken.
pub fn run(seed: u64, each: usize) -> Toll {
    let _confession = Confession("kills of a cluster", seed);
    let mut dice = Dice(seed);
    let victims = [Victim::Coordinator, Victim::Keeper, Victim::Engine, Victim::Process, Victim::Client];
    let mut toll = Toll::new(&victims, each);
    let scratch = Scratch::new();
    let mut site = Site::start(&scratch);
    for number in 0.. {
        let mut work = Work::new(&scratch, number, TASKS);
        site.job(&mut work, &mut dice, &mut toll);
        if !toll.is_owed() {
            break;
        }
    }
    site.stop();
    toll
}

impl<'a> Site<'a> {
    fn start(scratch: &'a Scratch) -> Site<'a> {
        let listen = "127.0.0.1:0".to_owned();
        let mut site = Site { listen, coordinator: None, workers: Vec::new(), client: None, scratch };
        site.start_coordinator();
        site.workers = SLOTS.iter().map(|slots| site.worker(*slots)).collect();
        site
    }

    fn start_coordinator(&mut self) {
        let args = format!(
            "coordinator --listen {} --access-dir access --lease 2 --client-grace 3 --log info",
            self.listen
        );
        let coordinator = self.scratch.start(&args);
        let line = coordinator.wait_for("listening on ");
        self.listen = line.rsplit(' ').next().expect("an address").to_owned();
        self.coordinator = Some(coordinator);
    }

    fn worker(&self, slots: usize) -> Program {
        self.scratch.start(&format!("worker --access-file access/worker.access -j {slots}"))
    }

    fn submit(&self, work: &Work<'_>, more: &str) -> Program {
        self.scratch.start(&format!("submit --access-file access/client.access {} {more}", work.options))
    }

    fn family(&self, worker: usize) -> Family {
        Family { keeper: self.workers[worker].pid(), slots: SLOTS[worker] }
    }

    /// All that may live now, but for pools if there is no job.
    fn assert_no_strangers(&self, has_job: bool, since: Instant, what: &str) {
        let programs: Vec<i32> = self.coordinator.iter().chain(&self.client).map(Program::pid).collect();
        let families: Vec<Family> = self
            .workers
            .iter()
            .zip(SLOTS)
            .map(|(worker, slots)| Family { keeper: worker.pid(), slots: if has_job { slots } else { 0 } })
            .collect();
        assert_no_strangers(&self.scratch.mark(), &programs, &families, since, what);
    }

    /// One job from its submission to its end, with kills until each task was begun.
    fn job(&mut self, work: &mut Work<'_>, dice: &mut Dice, toll: &mut Toll) {
        let detached = dice.below(2) == 0;
        self.client = Some(self.submit(work, if detached { "--detach" } else { "" }));
        let mut goes_on = true;
        while goes_on && let Some(victim) = toll.draw(dice, |victim| self.has(victim)) {
            goes_on = self.wait_for_a_moment(work, dice)
                && self.kill(victim, work, dice, toll)
                && !work.is_nearly_done();
        }
        self.client.take().map(|client| was_let_in(client.wait()));
        once_free(|| self.submit(work, "")).expect_code(0);
        self.assert_no_strangers(false, Instant::now(), "the end of a job");
        work.check();
    }

    fn has(&self, victim: Victim) -> bool {
        victim != Victim::Client || self.client.is_some()
    }

    /// Whether there certainly is a job then.
    fn wait_for_a_moment(&mut self, work: &Work<'_>, dice: &mut Dice) -> bool {
        let (at, mut is_due) = (work.begun() + dice.below(50) as usize, dice.below(2) == 0);
        if is_due {
            std::thread::sleep(Duration::from_micros(dice.below(300_000)));
        }
        let mut has_job = true;
        let said = self.coordinator.as_ref().map(Program::said).unwrap_or_default();
        let is_so = || {
            if self.client.as_mut().is_some_and(Program::has_ended) {
                has_job &= self.client.take().is_some_and(|client| was_let_in(client.wait()));
            }
            is_due |= work.begun() >= at || work.is_nearly_done();
            is_due || !has_job
        };
        until(PATIENCE, is_so, || format!("the work does not go on:\n{said}"));
        has_job
    }

    /// Kills one; whether the job certainly goes on.
    fn kill(&mut self, victim: Victim, work: &mut Work<'_>, dice: &mut Dice, toll: &mut Toll) -> bool {
        let number = dice.below(SLOTS.len() as u64) as usize;
        let since = match victim {
            Victim::Coordinator => self.coordinator.take().and_then(end),
            Victim::Client => self.client.take().and_then(end),
            Victim::Keeper | Victim::Engine => Some(self.kill_worker(number, victim)),
            Victim::Process => {
                let pool = self.family(number).pool();
                let one = (!pool.is_empty()).then(|| pool[dice.below(pool.len() as u64) as usize]);
                one.filter(|pid| slay(*pid)).map(|_| Instant::now())
            }
        };
        let Some(since) = since else { return victim != Victim::Client };
        self.assert_no_strangers(true, since, &format!("{victim:?}"));
        toll.pay(victim, since.elapsed());
        match victim {
            Victim::Coordinator => {
                work.note_death();
                self.start_coordinator();
            }
            Victim::Keeper | Victim::Engine => {
                let next = self.worker(SLOTS[number]);
                self.workers.insert(number, next);
            }
            Victim::Process => {}
            // It is stopped soon, if it does not end before.
            Victim::Client => return false,
        }
        true
    }

    /// Kills a part of a worker and forgets it; when that was.
    fn kill_worker(&mut self, number: usize, victim: Victim) -> Instant {
        let family = self.family(number);
        let worker = self.workers.remove(number);
        let keeper = victim == Victim::Keeper;
        let mut pid = keeper.then_some(family.keeper);
        // A worker that was just started has none yet.
        let is_there = || {
            pid = pid.or_else(|| engine(family.keeper));
            pid.is_some()
        };
        until(PATIENCE, is_there, || "a worker has no engine".to_owned());
        assert!(pid.is_some_and(slay), "a worker is gone");
        let since = Instant::now();
        let status = worker.wait().status;
        assert_eq!((status.signal(), status.code()), if keeper { (Some(9), None) } else { (None, Some(70)) });
        since
    }

    fn stop(mut self) {
        for program in self.workers.drain(..).chain(self.coordinator.take()) {
            program.signal(nix::sys::signal::Signal::SIGTERM);
            program.wait().expect_code(143);
        }
    }
}

/// `kill -9` of a program that has no keeper; when that was, unless it had just ended by itself.
fn end(program: Program) -> Option<Instant> {
    slay(program.pid());
    let since = Instant::now();
    let ended = program.wait();
    if ended.status.signal() == Some(9) {
        return Some(since);
    }
    was_let_in(ended);
    None
}

/// Whether a client that has ended by itself had told the coordinator its job. One whose coordinator dies before it is
/// let in ends at once.
fn was_let_in(ended: Ended) -> bool {
    let refused = ended.code() == 2 && ended.stderr.contains("cannot join");
    if !refused {
        ended.expect_code(0);
    }
    !refused
}
