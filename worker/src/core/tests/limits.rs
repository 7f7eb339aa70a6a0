//! Time, memory, patience.

use shared::{
    id::ObjectId,
    object::{ObjectSpec, Purpose},
};

use super::*;

fn limited(timeout: Option<Duration>, memory: Option<u64>) -> JobSpec {
    JobSpec { limits: Limits { timeout, memory, ..Limits::default() }, ..function_job(1) }
}

#[test]
fn a_task_that_runs_too_long_is_killed_and_charged() {
    script(1)
        .job(limited(Some(ms(500)), None))
        .grant(1, 1, 0, 3)
        .ready(0)
        .sample(0, 2, 3, None)
        .pass(ms(499))
        .sample(0, 2, 3, None)
        .expect(&["start 0 for job 1", "run 0 b1 [0..3] from 1"])
        .pass(ms(1))
        .sample(0, 2, 3, None)
        .expect(&["kill 0"])
        .sample(0, 2, 3, None)
        .expect(&[])
        .died(0, How::Signalled(9), 2)
        .ready(0)
        .expect(&[
            "say: the process of slot 0 ended under task 1: timeout after 0.5 s",
            "report 1 b1 [] 0 bytes failed 1: timeout after 0.5 s (attempt 1)",
            "start 0 for job 1",
            "run 0 b1 [0..1,2..3] from 1",
        ]);
}

#[test]
fn a_task_is_looked_at_when_its_time_is_over() {
    let mut script = script(1);
    script.job(limited(Some(ms(500)), None)).grant(1, 1, 0, 1).ready(0).sample(0, 1, 2, None);
    assert_eq!(script.core.wake_at(script.now), Some(script.start + ms(500)));
    script.wake().sample(0, 1, 2, None);
    script.expect(&["start 0 for job 1", "run 0 b1 [0..1] from 1", "kill 0"]);
    assert_eq!(script.core.wake_at(script.now), None);
}

#[test]
fn a_command_is_looked_at_when_its_time_is_over() {
    let limits = Limits { timeout: Some(ms(500)), ..Limits::default() };
    let mut script = script(1);
    script.job(JobSpec { limits, ..command_job(1) }).grant(1, 1, 0, 1).pass(ms(100));
    script.process(0, ProcessEvent::Spawned { pid: 7 });
    assert_eq!(script.core.wake_at(script.now), Some(script.start + ms(600)));
    script.wake().sample(0, 0, 0, None).expect(&["execute 0 b1 0", "kill 0"]);
    assert_eq!(script.core.wake_at(script.now), None);
}

#[test]
fn what_ended_while_the_node_stood_still_has_not_taken_too_long() {
    let limits = Limits { timeout: Some(ms(500)), ..Limits::default() };
    let mut script = script(1);
    script.job(JobSpec { limits, ..command_job(1) }).grant(1, 1, 0, 1);
    script.process(0, ProcessEvent::Spawned { pid: 7 }).pass(ms(5_000)).on(Event::Paused(ms(4_900)));
    script.sample(0, 0, 0, None).expect(&["execute 0 b1 0"]);
    assert_eq!(script.core.wake_at(script.now), Some(script.now + ms(400)));
}

#[test]
fn the_clock_of_a_task_starts_with_it() {
    script(1)
        .job(limited(Some(ms(500)), None))
        .grant(1, 1, 0, 3)
        .ready(0)
        .sample(0, 1, 2, None)
        .pass(ms(400))
        .sample(0, 2, 3, None)
        .pass(ms(400))
        .sample(0, 2, 3, None)
        .expect(&["start 0 for job 1", "run 0 b1 [0..3] from 1"]);
}

#[test]
fn a_task_that_ended_just_before_the_kill_is_not_charged() {
    script(1)
        .job(limited(Some(ms(500)), None))
        .grant(1, 1, 0, 2)
        .ready(0)
        .sample(0, 1, 2, None)
        .pass(ms(600))
        .sample(0, 1, 2, None)
        .ran(0, 1, 1, &[])
        .died(0, How::Signalled(9), 2)
        .ready(0)
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..2] from 1",
            "kill 0",
            "report 1 b1 [0..1] 1 bytes",
            "start 0 for job 1",
            "run 0 b1 [1..2] from 1",
        ]);
}

#[test]
fn a_process_that_grows_too_large_is_killed_and_its_task_charged() {
    script(1)
        .job(limited(None, Some(1000)))
        .grant(1, 1, 0, 2)
        .ready(0)
        .sample(0, 1, 2, Some(1000))
        .sample(0, 1, 2, Some(1001))
        .died(0, How::Signalled(9), 1)
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..2] from 1",
            "kill 0",
            "say: the process of slot 0 ended under task 0: out of memory (limit 1000 B, peak 1001 B)",
            "report 1 b1 [] 0 bytes failed 0: out of memory (limit 1000 B, peak 1001 B) (attempt 2)",
            "start 0 for job 1",
        ]);
}

#[test]
fn what_a_process_shares_with_others_is_not_its_own_memory() {
    let mut spec = limited(None, Some(1000));
    let (id, place) = (ObjectId(1), Some(String::new()));
    spec.objects = vec![
        ObjectSpec { id, size: 500, purpose: Purpose::Shared, place: place.clone(), crc: None },
        ObjectSpec { id, size: 70, purpose: Purpose::Function, place, crc: None },
    ];
    script(1)
        .job(spec)
        .grant(1, 1, 0, 2)
        .ready(0)
        .sample(0, 1, 2, Some(1500))
        .expect(&["start 0 for job 1", "run 0 b1 [0..2] from 1"])
        .sample(0, 1, 2, Some(1501))
        .expect(&["kill 0"]);
}

#[test]
fn an_idle_process_that_grew_too_large_is_replaced() {
    script(1)
        .job(limited(None, Some(1000)))
        .grant(1, 1, 0, 1)
        .ready(0)
        .ran(0, 1, 1, &[])
        .sample(0, 0, 2, Some(2000))
        .exited(0, 0, "")
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..1] from 1",
            "report 1 b1 [0..1] 1 bytes",
            "forget b1",
            "stop 0",
            "start 0 for job 1",
        ]);
}

#[test]
fn scarce_memory_lets_one_task_run_at_a_time() {
    script(2)
        .job(function_job(1))
        .grant(1, 1, 0, 1)
        .ready(0)
        .ready(1)
        .on(Event::MemoryRead(Memory { used: 89, total: 100, ..Memory::default() }))
        .on(Event::MemoryRead(Memory { used: 91, total: 100, ..Memory::default() }))
        .on(Event::MemoryRead(Memory { used: 92, total: 100, ..Memory::default() }))
        .grant(2, 1, 1, 2)
        .expect(&[
            "start 0 for job 1",
            "start 1 for job 1",
            "run 0 b1 [0..1] from 1",
            "say: 91 % of the machine's memory is in use: new tasks wait until it is less",
        ])
        .ran(0, 1, 1, &[])
        .expect(&["report 1 b1 [0..1] 1 bytes", "forget b1", "run 0 b2 [1..2] from 2"])
        .grant(3, 1, 2, 3)
        .on(Event::MemoryRead(Memory { used: 86, total: 100, ..Memory::default() }))
        .expect(&[])
        .on(Event::MemoryRead(Memory { used: 84, total: 100, ..Memory::default() }))
        .expect(&["say: 84 % of the machine's memory is in use: going on", "run 1 b3 [2..3] from 1"]);
}

#[test]
fn a_stuck_task_is_named_once() {
    let line = "say: task 0 has been running for 61 s in slot 0; --timeout limits it";
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 2)
        .ready(0)
        .sample(0, 1, 2, None)
        .expect(&["start 0 for job 1", "run 0 b1 [0..2] from 1"])
        .pass(ms(61_000))
        .sample(0, 1, 2, None)
        .pass(ms(61_000))
        .sample(0, 1, 2, None)
        .expect(&[line]);
}

#[test]
fn a_shutdown_lets_running_tasks_end() {
    script(2)
        .job(function_job(1))
        .grant(1, 1, 0, 3)
        .grant(2, 1, 3, 5)
        .grant(3, 1, 5, 6)
        .ready(0)
        .sample(0, 1, 2, None)
        .expect(&[
            "start 0 for job 1",
            "start 1 for job 1",
            "run 0 b1 [0..3] from 1",
            "run 0 b2 [3..5] from 4",
        ])
        .on(Event::ShutdownAsked { grace: ms(3000) })
        .expect(&["returned b3 5..6", "forget b3", "set stop 0 at 2", "stop 1"])
        .grant(4, 1, 6, 7)
        .expect(&["forget b4", "returned b4 6..7"])
        .ran(0, 1, 1, &[])
        .stopped(0, 2)
        .expect(&[
            "report 1 b1 [0..1] 1 bytes",
            "returned b2 3..5",
            "forget b2",
            "returned b1 1..3",
            "forget b1",
        ])
        .stopped(0, 4)
        .expect(&["clear stop 0", "stop 0"])
        .exited(0, 0, "")
        .expect(&[])
        .exited(1, 0, "")
        .expect(&["leaving", "end"]);
}

#[test]
fn a_shutdown_ends_by_force_after_its_grace() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 1)
        .ready(0)
        .sample(0, 1, 2, None)
        .on(Event::ShutdownAsked { grace: ms(3000) })
        .expect(&["start 0 for job 1", "run 0 b1 [0..1] from 1"])
        .pass(ms(2999))
        .on(Event::Woken)
        .expect(&[])
        .wake()
        .expect(&["kill 0"])
        .died(0, How::Signalled(9), 1)
        .expect(&["returned b1 0..1", "forget b1", "leaving", "end"]);
}

#[test]
fn a_second_shutdown_does_not_wait_and_an_unkillable_process_is_left_behind() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 1)
        .ready(0)
        .sample(0, 1, 2, None)
        .on(Event::ShutdownAsked { grace: ms(3000) })
        .on(Event::ShutdownAsked { grace: ms(3000) })
        .expect(&["start 0 for job 1", "run 0 b1 [0..1] from 1", "kill 0"])
        .wake()
        .expect(&["leaving", "end"]);
}

#[test]
fn a_process_that_does_not_stop_is_killed() {
    let mut script = script(1);
    script
        .job(function_job(1))
        .grant(1, 1, 0, 1)
        .ready(0)
        .on(Event::JobEnded(JobId(1)))
        .expect(&["start 0 for job 1", "run 0 b1 [0..1] from 1", "forget b1", "stop 0"])
        .wake()
        .expect(&["kill 0"])
        .ran(0, 1, 1, &[])
        .exited(0, 0, "")
        .expect(&[]);
    assert_eq!(script.now - script.start, ms(2000));
    assert_eq!(script.core.wake_at(script.now), None);
}
