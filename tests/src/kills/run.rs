//! `maniple run`: keeper, engine and pool. Whoever of the first two dies takes all with it, and the next run goes on.

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
    wait::until,
};

const TASKS: u64 = 300;
const SLOTS: usize = 2;

/// Kills each of them so many times; panics if a promise is broken.
pub fn run(seed: u64, each: usize) -> Toll {
    let _confession = Confession("kills of a run", seed);
    let mut dice = Dice(seed);
    let mut toll = Toll::new(&[Victim::Keeper, Victim::Engine, Victim::Process], each);
    let scratch = Scratch::new();
    for number in 0.. {
        let mut work = Work::new(&scratch, number, TASKS);
        while !life(&scratch, &mut work, &mut dice, &mut toll) {}
        scratch.assert_nothing_left();
        work.check();
        if !toll.is_owed() {
            break;
        }
    }
    toll
}

/// A run until it ends or is killed; whether it has ended by itself.
fn life(scratch: &Scratch, work: &mut Work<'_>, dice: &mut Dice, toll: &mut Toll) -> bool {
    let mut run = scratch.start(&format!("run -j {SLOTS} {}", work.options));
    while let Some(victim) = toll.draw(dice, |_| true) {
        wait_for_a_moment(&mut run, work, dice);
        let family = Family { keeper: run.pid(), slots: SLOTS };
        let pid = match victim {
            Victim::Keeper => Some(run.pid()),
            Victim::Engine => wait_for_one(&mut run, || engine(family.keeper)),
            Victim::Process => wait_for_one(&mut run, || {
                let pool = family.pool();
                (!pool.is_empty()).then(|| pool[dice.below(pool.len() as u64) as usize])
            }),
            Victim::Coordinator | Victim::Client => unreachable!("a run has none"),
        };
        if !pid.is_some_and(slay) {
            break;
        }
        let since = Instant::now();
        if victim == Victim::Process {
            assert_no_strangers(&scratch.mark(), &[], &[family], since, "a process of the pool");
            toll.pay(victim, since.elapsed());
            continue;
        }
        assert_no_strangers(&scratch.mark(), &[], &[], since, &format!("{victim:?}"));
        let took = since.elapsed();
        let ended = run.wait();
        // Else it had just ended by itself.
        if was_killed(&ended, victim) {
            toll.pay(victim, took);
            work.note_death();
            return false;
        }
        ended.expect_code(0);
        return true;
    }
    run.wait().expect_code(0);
    true
}

fn was_killed(ended: &Ended, victim: Victim) -> bool {
    let (signal, code) = (ended.status.signal(), ended.status.code());
    if victim == Victim::Keeper { signal == Some(9) } else { code == Some(70) }
}

fn wait_for_a_moment(run: &mut Program, work: &Work<'_>, dice: &mut Dice) {
    if dice.below(2) == 0 {
        return std::thread::sleep(Duration::from_micros(dice.below(400_000)));
    }
    let at = work.begun() + dice.below(60) as usize;
    until(PATIENCE, || run.has_ended() || work.begun() >= at, || "the work does not go on".to_owned());
}

/// Waits for a process of a program, if that does not end before.
fn wait_for_one(run: &mut Program, mut find: impl FnMut() -> Option<i32>) -> Option<i32> {
    let mut found = None;
    let is_so = || {
        found = find();
        found.is_some() || run.has_ended()
    };
    until(PATIENCE, is_so, || "there is none".to_owned());
    found
}
