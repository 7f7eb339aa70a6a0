//! Commands that wait behind others in their slot.

use super::*;
use crate::core::Effect;

/// A node with two slots that has learnt that its commands are short; tasks of batch 1 up to 12 are left.
fn short_commands() -> Script {
    let mut script = script(2);
    script.job(command_job(1)).grant(1, 1, 0, 12);
    script.pass(ms(1)).exited(0, 0, "");
    script.expect(&[
        "execute 0 b1 0",
        "execute 1 b1 1",
        "execute 0 b1 2",
        "execute 0 b1 3",
        "execute 1 b1 4",
        "execute 0 b1 5",
        "execute 1 b1 6",
        "execute 0 b1 7",
        "execute 1 b1 8",
    ]);
    script
}

impl Script {
    /// The commands of a slot, those that wait included.
    fn lives(&self, slot: u16) -> Vec<Life> {
        self.core.places[usize::from(slot)].lives()
    }

    fn spawned(&mut self, life: Life) -> &mut Script {
        self.on(Event::Process(life, ProcessEvent::Spawned { pid: 7 }))
    }

    fn over(&mut self, life: Life, how: How) -> &mut Script {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        self.on(Event::Process(
            life,
            ProcessEvent::Ended(Ending { how, running: 0, stdout, stderr, toll: Toll::default() }),
        ))
    }
}

#[test]
fn short_commands_wait_in_their_slot_and_the_last_ones_do_not() {
    let mut script = short_commands();
    let [first, second, ..] = script.lives(0)[..] else { panic!("commands wait") };
    script.spawned(second).over(first, How::Exited(0)).expect(&["execute 0 b1 9"]);
    script.over(second, How::Exited(0)).expect(&[]);
}

#[test]
fn commands_that_are_not_short_wait_for_a_slot() {
    script(1)
        .job(command_job(1))
        .grant(1, 1, 0, 9)
        .pass(ms(10))
        .exited(0, 0, "")
        .expect(&["execute 0 b1 0", "execute 0 b1 1"]);
}

#[test]
fn nothing_waits_behind_a_long_command() {
    let mut script = short_commands();
    let lives = script.lives(0);
    script.spawned(lives[0]);
    script.wake().expect(&["withdraw 1", "withdraw 1", "withdraw 1"]);
    script.pass(ms(1)).on(Event::Woken).expect(&["withdraw 0", "withdraw 0", "withdraw 0"]);
    script.over(lives[3], How::Withdrawn).over(lives[2], How::Withdrawn).expect(&[]);
    script.spawned(lives[1]).over(lives[0], How::Exited(0)).expect(&[
        "execute 0 b1 5",
        "execute 0 b1 7",
        "execute 0 b1 9",
    ]);
}

#[test]
fn what_waits_is_taken_back_for_the_coordinator() {
    let mut script = short_commands();
    let [first, second, ..] = script.lives(1)[..] else { panic!("commands wait") };
    script.spawned(first).spawned(second).on(Event::Recalled(vec![batch_id(1)])).expect(&[
        "returned b1 9..12",
        "withdraw 0",
        "withdraw 0",
        "withdraw 0",
        "withdraw 1",
        "withdraw 1",
    ]);
    let withdrawn = script.lives(0)[1];
    script.over(withdrawn, How::Withdrawn).expect(&["returned b1 3..4"]);
}

#[test]
fn what_waits_is_taken_back_when_memory_is_scarce() {
    let mut script = short_commands();
    script.on(Event::MemoryRead(Memory { used: 95, total: 100, ..Memory::default() }));
    assert_eq!(script.out.iter().filter(|effect| matches!(effect, Effect::Withdraw(_))).count(), 6);
}

#[test]
fn a_dropped_batch_leaves_nothing_that_waits() {
    let mut script = short_commands();
    let lives = script.lives(0);
    script.on(Event::Dropped(vec![batch_id(1)])).out.clear();
    script.over(lives[2], How::Withdrawn).over(lives[0], How::Signalled(9)).expect(&[]);
}
