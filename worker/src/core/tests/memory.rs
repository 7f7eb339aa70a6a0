//! A machine that runs out of memory: who is stopped, who is named, and that nobody is charged for the others.

use super::*;

/// So many percent are in use; each process has a third of it.
pub fn machine(script: &Script, percent: u64) -> Event {
    let lives = script.core.places.iter().flat_map(crate::core::slot::Place::lives);
    let pool = lives.map(|life| (life, 30)).collect();
    Event::MemoryRead(Memory { used: percent, total: 100, pool, oom_kills: Some(0) })
}

/// So many percent are in use; of these so many in the process of each slot.
fn full(script: &Script, percent: u64, pool: &[u64]) -> Event {
    let pool = pool.iter().zip(0..).map(|(memory, slot)| (script.life(slot), *memory)).collect();
    Event::MemoryRead(Memory { used: percent, total: 100, pool, oom_kills: Some(0) })
}

fn counted(oom_kills: u64) -> Event {
    Event::MemoryRead(Memory { total: 100, oom_kills: Some(oom_kills), ..Memory::default() })
}

/// Three tasks run, each since another time, and a fourth waits.
fn three() -> Script {
    let mut script = script(3);
    script.job(function_job(1)).grant(1, 1, 0, 1).ready(0).ready(1).ready(2);
    script.grant(2, 1, 1, 2).grant(3, 1, 2, 3);
    for slot in 0..3 {
        script.pass(ms(10)).sample(slot, 1, 2, None);
    }
    script.grant(4, 1, 3, 4);
    script.out.clear();
    script
}

#[test]
fn the_youngest_of_the_largest_tasks_is_stopped_and_run_again_alone() {
    let mut script = three();
    let event = full(&script, 96, &[20, 30, 5]);
    script.on(event.clone()).expect(&[
        "say: 96 % of the machine's memory is in use: new tasks wait until it is less",
        "say: 96 % of the machine's memory is in use: task 1 in slot 1 (30 B) is stopped, to be run again alone",
        "kill 1",
        "set stop 0 at 2",
    ]);
    script.on(event).expect(&[]);
    script.died(1, How::Signalled(9), 1).expect(&[]);
    let event = full(&script, 50, &[20, 0, 5]);
    script.on(event).expect(&["say: 50 % of the machine's memory is in use: going on"]);
    script.ran(0, 1, 1, &[]).stopped(0, 2);
    script.expect(&["report 1 b1 [0..1] 1 bytes", "forget b1", "clear stop 0"]);
    script.ran(2, 1, 1, &[]).expect(&["report 2 b3 [2..3] 1 bytes", "forget b3", "run 0 b4 [3..4] from 3"]);
    script.ran(0, 3, 1, &[]).expect(&["report 3 b4 [3..4] 1 bytes", "forget b4", "run 0 b2 [1..2] from 4"]);
    script.on(Event::Woken).expect(&[]);
    script.ran(0, 4, 1, &[]).expect(&["report 4 b2 [1..2] 1 bytes", "forget b2", "start 1 for job 1"]);
    // It has ended: others run beside each other again.
    script.grant(5, 1, 4, 5).grant(6, 1, 5, 6);
    script.expect(&["run 0 b5 [4..5] from 5", "run 2 b6 [5..6] from 2"]);
}

#[test]
fn a_task_that_runs_alone_or_has_next_to_nothing_is_not_stopped() {
    let line = "say: 99 % of the machine's memory is in use: new tasks wait until it is less";
    let mut script = three();
    let event = full(&script, 99, &[4, 4, 4]);
    script.on(event).expect(&[line]);
    let mut script = super::script(2);
    script.job(function_job(1)).grant(1, 1, 0, 1).ready(0).ready(1).sample(0, 1, 2, None);
    script.out.clear();
    let event = full(&script, 99, &[90, 1]);
    script.on(event).expect(&[line]);
}

#[test]
fn a_command_that_is_stopped_waits_here_and_is_run_again() {
    let mut script = script(2);
    script.job(command_job(1)).grant(1, 1, 0, 2);
    for slot in 0..2 {
        script.process(slot, ProcessEvent::Spawned { pid: 7 }).pass(ms(10));
    }
    script.expect(&["execute 0 b1 0", "execute 1 b1 1"]);
    let event = full(&script, 97, &[40, 40]);
    script.on(event).expect(&[
        "say: 97 % of the machine's memory is in use: new tasks wait until it is less",
        "say: 97 % of the machine's memory is in use: task 1 in slot 1 (40 B) is stopped, to be run again alone",
        "kill 1",
    ]);
    script.died(1, How::Signalled(9), 0).expect(&[]);
    script.exited(0, 0, "").pass(ms(1000));
    script.wake();
    let told = std::mem::take(&mut script.out);
    assert!(told.iter().any(|effect| matches!(effect, Effect::Execute(_, _, _, TaskIndex(1)))), "{told:?}");
}

#[test]
fn who_was_killed_when_memory_had_run_out_is_named_and_others_are_not() {
    let mut script = script(1);
    script.job(function_job(1)).on(counted(5)).grant(1, 1, 0, 3).ready(0).sample(0, 1, 4, None);
    script.taking(2048, Some(6)).died(0, How::Signalled(9), 1).expect(&[
        "start 0 for job 1",
        "run 0 b1 [0..3] from 1",
        "say: the process of slot 0 ended under task 0: out of memory: the kernel killed its process (peak 2.0 KiB)",
        "report 1 b1 [] 0 bytes failed 0: out of memory: the kernel killed its process (peak 2.0 KiB) (attempt 2)",
        "start 0 for job 1",
    ]);
    script.ready(0).sample(0, 1, 3, None).died(0, How::Signalled(9), 1).expect(&[
        "run 0 b1 [1..3] from 1",
        "say: the process of slot 0 ended under task 1: signal 9 (SIGKILL)",
        "report 2 b1 [] 0 bytes failed 1: signal 9 (SIGKILL) (attempt 1)",
        "start 0 for job 1",
    ]);
}

#[test]
fn a_limit_of_memory_is_told_with_the_peak_that_the_system_has_counted() {
    let limits = Limits { memory: Some(1000), ..Limits::default() };
    let mut script = script(1);
    script.job(JobSpec { limits, ..function_job(1) }).grant(1, 1, 0, 1).ready(0).on(counted(0));
    script.sample(0, 1, 2, Some(1001)).expect(&["start 0 for job 1", "run 0 b1 [0..1] from 1", "kill 0"]);
    script.taking(3000, Some(1)).died(0, How::Signalled(9), 1).expect(&[
        "say: the process of slot 0 ended under task 0: out of memory (limit 1000 B, peak 2.9 KiB)",
        "report 1 b1 [] 0 bytes failed 0: out of memory (limit 1000 B, peak 2.9 KiB) (attempt 2)",
        "forget b1",
        "start 0 for job 1",
    ]);
}
