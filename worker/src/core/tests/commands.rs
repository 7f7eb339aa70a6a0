//! Commands: one task, one process.

use super::*;

#[test]
fn outcomes_of_commands_are_reported_together() {
    script(2)
        .job(command_job(1))
        .grant(1, 1, 0, 4)
        .expect(&["execute 0 b1 0", "execute 1 b1 1"])
        .exited(0, 0, "x")
        .exited(1, 3, "")
        .expect(&["execute 0 b1 2", "execute 1 b1 3"])
        .pass(ms(50))
        .exited(0, 0, "y")
        .expect(&[])
        .wake()
        .expect(&["report 1 b1 [0..1,2..3] 56 bytes failed 1: exit code 3 (attempt 1)"])
        .died(1, How::NotStarted("no such file".into()), 0)
        .expect(&["report 2 b1 [] 0 bytes failed 3: not executed (attempt 1)", "forget b1"]);
}

#[test]
fn a_program_that_no_task_finds_is_said_at_once() {
    let missing = || How::NoProgram("no x".into());
    script(2)
        .job(command_job(1))
        .grant(1, 1, 0, 4)
        .expect(&["execute 0 b1 0", "execute 1 b1 1"])
        .died(0, missing(), 0)
        .expect(&[
            "say: job 0000000000000001 cannot be run on this machine: no x",
            "unloadable: no x",
            "returned b1 2..4",
            "returned b1 0..1",
        ])
        .died(1, missing(), 0)
        .expect(&["returned b1 1..2", "forget b1"])
        .grant(2, 1, 4, 5)
        .expect(&["forget b2", "returned b2 4..5"]);
}

#[test]
fn a_program_that_has_gone_or_is_named_by_the_task_fails_that_task() {
    let failed = "report 1 b1 [] 0 bytes failed 0: not executed (attempt 2)";
    let missing = || How::NoProgram("no x".into());
    let command = CommandSpec {
        argv: vec!["{}".into()],
        fields: Vec::new(),
        cwd: "/".into(),
        ..CommandSpec::default()
    };
    script(1)
        .job(JobSpec { work: Work::Command(command), ..command_job(1) })
        .grant(1, 1, 0, 1)
        .died(0, missing(), 0)
        .expect(&["execute 0 b1 0", failed, "forget b1"]);
    script(2)
        .job(command_job(1))
        .grant(1, 1, 0, 1)
        .grant(2, 1, 1, 2)
        .process(1, ProcessEvent::Spawned { pid: 7 })
        .died(0, missing(), 0)
        .expect(&["execute 0 b1 0", "execute 1 b2 1", failed, "forget b1"]);
}

#[test]
fn a_signal_and_a_timeout_are_told_apart() {
    let limits = Limits { timeout: Some(ms(100)), ..Limits::default() };
    script(2)
        .job(JobSpec { limits, ..command_job(1) })
        .grant(1, 1, 0, 2)
        .died(0, How::Signalled(15), 0)
        .pass(ms(100))
        .sample(1, 0, 0, None)
        .died(1, How::Signalled(9), 0)
        .expect(&[
            "execute 0 b1 0",
            "execute 1 b1 1",
            "kill 1",
            "report 1 b1 [] 0 bytes failed 0: signal 15 (SIGTERM) (attempt 2)",
            "report 2 b1 [] 0 bytes failed 1: timeout after 0.1 s (attempt 1)",
            "forget b1",
        ]);
}

#[test]
fn who_attends_to_a_command_hears_of_its_start_and_may_send_it_signals() {
    let attended = Some(Attended { stdout: "/o".into(), stderr: "/e".into() });
    let command = CommandSpec { argv: vec!["{}".into()], attended, ..CommandSpec::default() };
    let asked = |job| Event::SignalAsked { job: JobId(job), number: 15 };
    script(2)
        .job(JobSpec { work: Work::Command(command), ..command_job(1) })
        .job(command_job(2))
        .grant(1, 1, 0, 1)
        .grant(2, 2, 1, 2)
        .process(0, ProcessEvent::Spawned { pid: 7 })
        .process(1, ProcessEvent::Spawned { pid: 8 })
        .expect(&["execute 0 b1 0", "execute 1 b2 1", "began 0: 7"])
        .on(asked(1))
        .on(asked(2))
        .expect(&["signal 15 0"]);
}

#[test]
fn a_dropped_command_is_killed() {
    script(1)
        .job(command_job(1))
        .grant(1, 1, 0, 2)
        .on(Event::Dropped(vec![batch_id(1)]))
        .died(0, How::Signalled(9), 0)
        .expect(&["execute 0 b1 0", "forget b1", "kill 0"]);
}

#[test]
fn commands_stop_one_lease_after_the_coordinator_was_lost() {
    script(1)
        .job(command_job(1))
        .grant(1, 1, 0, 3)
        .on(Event::Disconnected)
        .pass(ms(14_000))
        .exited(0, 0, "")
        .expect(&["execute 0 b1 0", "execute 0 b1 1"])
        .on(Event::Woken)
        .expect(&[])
        .pass(ms(100))
        .on(Event::Woken)
        .expect(&["report 1 b1 [0..1] 27 bytes"])
        .wake()
        .expect(&["say: no coordinator for a whole lease: running commands are stopped", "kill 0"])
        .died(0, How::Signalled(9), 0)
        .expect(&["forget b1"])
        .on(Event::Connected)
        .expect(&["join b1[|0..1]"]);
}

#[test]
fn functions_go_on_without_a_coordinator() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 3).ready(0).on(Event::Disconnected).out.clear();
    assert_eq!(script.core.wake_at(script.now), None);
    script.pass(ms(60_000)).ran(0, 1, 3, &[]).expect(&["report 1 b1 [0..3] 3 bytes", "forget b1"]);
}

#[test]
fn a_lost_pool_starts_commands_again() {
    script(1)
        .job(command_job(1))
        .grant(1, 1, 0, 1)
        .on(Event::PoolLost)
        .on(Event::PoolStarted)
        .expect(&["execute 0 b1 0", "execute 0 b1 0"]);
}
