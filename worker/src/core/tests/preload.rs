//! Children that are copies of a template.

use shared::{id::Slot, wire::child::FromTemplate};

use super::*;
use crate::core::preload::{Preload, Step, Told};

/// A script of what happens to one job's template.
#[derive(Default)]
struct Script {
    preload: Preload,
    done: Vec<String>,
}

fn life(slot: u16) -> Life {
    Life { slot: Slot(slot), number: 1 }
}

fn show(step: &Step) -> String {
    match step {
        Step::Start => "start".into(),
        Step::Fork(number) => format!("fork {number}"),
        Step::Adopt { life, pid, .. } => format!("adopt {pid} as {}", life.slot),
        Step::Execute(life) => format!("execute {}", life.slot),
        Step::Refuse(life, message, _) => format!("refuse {}: {message}", life.slot),
        Step::Fail(life, why) => format!("fail {}: {why}", life.slot),
        Step::Lose(life) => format!("lose {}", life.slot),
        Step::Withdraw(life) => format!("withdraw {}", life.slot),
        Step::Kill => "kill".into(),
        Step::Say(what) => format!("say: {what}"),
    }
}

impl Script {
    fn on(&mut self, told: Told) -> &mut Script {
        let mut steps = Vec::new();
        self.preload.on(told, &mut steps);
        self.done.extend(steps.iter().map(show));
        self
    }

    fn say(&mut self, said: FromTemplate) -> &mut Script {
        self.on(Told::Said(said))
    }

    fn ready(&mut self) -> &mut Script {
        self.say(FromTemplate::Ready {})
    }

    fn want(&mut self, slots: impl IntoIterator<Item = u16>) -> &mut Script {
        for slot in slots {
            self.on(Told::Wanted(life(slot)));
        }
        self
    }

    fn forked(&mut self, number: u64) -> &mut Script {
        self.say(FromTemplate::Forked { number, pid: 100 + number as i32, started: 5 })
    }

    fn lost(&mut self) -> &mut Script {
        self.on(Told::Lost("it was ended by signal 9 (SIGKILL)".into()))
    }

    fn unloadable(&mut self) -> &mut Script {
        self.say(FromTemplate::Unloadable { message: "no module m".into(), traceback: "t".into() })
    }

    fn expect(&mut self, wanted: &[&str]) -> &mut Script {
        assert_eq!(std::mem::take(&mut self.done), wanted);
        self
    }
}

const ANEW: &str = "say: the process that preloads modules was lost (it was ended by signal 9 (SIGKILL)); another one follows";
const NO_MORE: &str = "say: the process that preloads modules was lost again (it was ended by signal 9 (SIGKILL)): \
                       each process imports them by itself now";

#[test]
fn children_are_forked_one_after_the_other_once_all_is_imported() {
    let mut script = Script::default();
    script.want([0, 1]).expect(&["start"]);
    script.ready().expect(&["fork 1"]);
    script.forked(1).expect(&["adopt 101 as 0", "fork 2"]);
    script.forked(2).expect(&["adopt 102 as 1"]);
    script.want([0]).expect(&["fork 3"]);
}

#[test]
fn what_cannot_be_imported_is_said_of_each_that_waits_or_comes() {
    let mut script = Script::default();
    script.want([0, 1]).unloadable().lost().want([2]);
    script.expect(&["start", "refuse 0: no module m", "refuse 1: no module m", "refuse 2: no module m"]);
}

#[test]
fn a_template_that_is_lost_is_started_anew_once() {
    let mut script = Script::default();
    script.want([0, 1, 2]).ready().forked(1).expect(&["start", "fork 1", "adopt 101 as 0", "fork 2"]);
    script.lost().expect(&[ANEW, "start"]);
    script.ready().forked(3).expect(&["fork 3", "adopt 103 as 1", "fork 4"]);
    script.lost().expect(&[NO_MORE, "execute 2"]);
    script.want([3]).lost().expect(&["execute 3"]);
}

#[test]
fn one_that_is_lost_while_it_imports_counts() {
    let mut script = Script::default();
    script.want([0]).lost().lost().expect(&["start", ANEW, "start", NO_MORE, "execute 0"]);
}

#[test]
fn an_interpreter_that_is_not_there_is_said_by_the_children() {
    let mut script = Script::default();
    script.want([0, 1]).on(Told::NoProgram).want([2]);
    script.expect(&["start", "execute 0", "execute 1", "execute 2"]);
}

#[test]
fn one_that_nobody_needs_is_not_started_anew() {
    let mut script = Script::default();
    script.want([0]).ready().forked(1).lost();
    script.expect(&["start", "fork 1", "adopt 101 as 0", ANEW]);
    script.want([1]).expect(&["start"]);
}

#[test]
fn one_that_does_not_answer_is_ended() {
    let mut script = Script::default();
    script.want([0]).ready().expect(&["start", "fork 1"]);
    script.on(Told::Late(0)).expect(&[]);
    script.on(Told::Late(1)).on(Told::Late(1)).want([1]).expect(&["kill"]);
    let why = "say: the process that preloads modules was lost (it did not answer); another one follows";
    script.lost().ready().expect(&[why, "start", "fork 2"]);
    // What the one before says of it, too late.
    script.forked(1).expect(&[]);
    script.forked(2).expect(&["adopt 102 as 0", "fork 3"]);
}

#[test]
fn a_child_that_is_not_wanted_any_more_is_withdrawn_once() {
    let mut script = Script::default();
    script.want([0, 1, 2]).ready().expect(&["start", "fork 1"]);
    for slot in [1, 0, 0, 1, 7] {
        script.on(Told::Unwanted(life(slot)));
    }
    script.expect(&["withdraw 1", "withdraw 0"]);
    assert_eq!(script.preload.lives(), [life(2)]);
    script.forked(1).expect(&["fork 2"]);
    script.forked(2).on(Told::Unwanted(life(2))).expect(&["adopt 102 as 2"]);
}

#[test]
fn a_copy_that_cannot_be_made_fails_alone() {
    let mut script = Script::default();
    script.want([0, 1]).ready().say(FromTemplate::NotForked { number: 1, why: "no memory".into() });
    script.expect(&["start", "fork 1", "fail 0: no memory", "fork 2"]);
    script
        .say(FromTemplate::Killed { number: 1 })
        .say(FromTemplate::Killed { number: 2 })
        .expect(&["lose 1"]);
}
