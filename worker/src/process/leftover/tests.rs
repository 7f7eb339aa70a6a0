//! Machines as tables: who is there, whose it is, and what of it is left over.

use super::*;

const ME: i32 = 900;

/// A machine: its processes, and who asks on it.
struct Machine(Vec<Seen>);

fn process(pid: i32) -> Process {
    Process::new(Pid::from_raw(pid), 10 * pid.unsigned_abs() as u64)
}

fn owner(keeper: i32, engine: i32) -> Owner {
    Owner {
        keeper: process(keeper),
        engine: process(engine),
        space: "1.1,1.1,7.8".parse::<Owner>().unwrap().space,
    }
}

impl Machine {
    fn new() -> Self {
        Self(Vec::new()).add(1, 0, None).add(ME, 1, None)
    }

    fn add(mut self, pid: i32, parent: i32, owner: Option<Owner>) -> Self {
        let job = owner.map(|owner| format!("job of {}", owner.keeper.pid));
        let (process, parent) = (process(pid), Pid::from_raw(parent));
        self.0.push(Seen { process, parent, is_keeper: false, owner, job });
        self
    }

    fn keeper(self, pid: i32, parent: i32, owner: Option<Owner>) -> Self {
        let mut machine = self.add(pid, parent, owner);
        machine.0.last_mut().unwrap().is_keeper = true;
        machine
    }

    fn left(&self) -> Vec<i32> {
        let is_alive = |process| self.0.iter().any(|seen| seen.process == process);
        let found = judge(&self.0, Pid::from_raw(ME), owner(1, 1).space, &Known::new(), is_alive);
        found.iter().map(|leftover| leftover.process.pid.as_raw()).collect()
    }
}

#[test]
fn what_outlived_keeper_and_engine_is_left_over_with_all_that_it_started() {
    let dead = Some(owner(50, 51));
    let machine = Machine::new().add(60, 1, dead).add(61, 60, None).add(62, 61, None).add(70, 1, None);
    assert_eq!(machine.left(), [60, 61, 62]);
    let found = judge(&machine.0, Pid::from_raw(ME), owner(1, 1).space, &Known::new(), |_| false);
    let told: Vec<_> = found.iter().map(|one| (one.started_by.map(Pid::as_raw), one.owner)).collect();
    assert_eq!(told, [(None, owner(50, 51)), (Some(60), owner(50, 51)), (Some(61), owner(50, 51))]);
    assert!(found.iter().all(|one| one.job.as_deref() == Some("job of 50")));
}

#[test]
fn what_has_an_owner_who_lives_is_not() {
    let owned = Some(owner(50, 51));
    assert_eq!(Machine::new().keeper(50, 1, None).add(60, 50, owned).left(), [0; 0]);
    assert_eq!(Machine::new().add(51, 1, None).add(60, 1, owned).left(), [0; 0], "the engine ends it yet");
}

#[test]
fn a_pid_that_was_used_again_is_no_owner() {
    let mut machine = Machine::new().add(50, 1, None).add(60, 1, Some(owner(50, 51)));
    assert!(machine.left().is_empty());
    machine.0[2].process = Process::new(Pid::from_raw(50), 9999);
    assert_eq!(machine.left(), [60]);
}

#[test]
fn a_run_that_a_left_over_process_started_lives_and_is_spared_with_all_that_is_its_own() {
    let (dead, living) = (Some(owner(50, 51)), Some(owner(65, 66)));
    let inner = Machine::new().add(60, 1, dead).keeper(65, 60, dead).add(66, 65, dead);
    let inner = inner.add(67, 65, living).add(68, 65, None).add(69, 67, dead);
    assert_eq!(inner.left(), [60]);
    let without_keeper =
        Machine::new().add(60, 1, dead).add(66, 60, dead).add(67, 66, living).add(68, 66, None);
    assert_eq!(without_keeper.left(), [60], "an engine that ends in order");
}

#[test]
fn a_mark_of_another_namespace_says_nothing() {
    let elsewhere = "50.500,51.510,4.8".parse().unwrap();
    assert!(Machine::new().add(60, 1, Some(elsewhere)).left().is_empty());
}

#[test]
fn who_asks_is_spared_and_those_above_it() {
    let dead = Some(owner(50, 51));
    let machine = Machine(Vec::new()).add(1, 0, None).add(60, 1, dead).add(ME, 60, dead).add(62, 60, None);
    assert_eq!(machine.left(), [0; 0]);
    let beside = machine.add(63, 1, dead);
    assert_eq!(beside.left(), [63]);
}

#[test]
fn what_was_found_before_stays_left_over_when_its_parents_are_gone() {
    let found = Leftover {
        process: process(61),
        owner: owner(50, 51),
        job: None,
        started_by: Some(Pid::from_raw(60)),
    };
    let machine = Machine::new().add(61, 1, None).add(62, 61, None);
    assert!(machine.left().is_empty());
    let known = Known::from([(process(61), found)]);
    let left = judge(&machine.0, Pid::from_raw(ME), owner(1, 1).space, &known, |_| false);
    let left: Vec<_> = left.iter().map(|one| (one.process, one.started_by.map(Pid::as_raw))).collect();
    assert_eq!(left, [(process(61), Some(60)), (process(62), Some(61))]);
}

#[test]
fn parents_in_a_circle_end() {
    let dead = Some(owner(50, 51));
    assert_eq!(Machine::new().add(60, 61, dead).add(61, 60, None).left(), [60, 61]);
}
