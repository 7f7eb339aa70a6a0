//! The tests in which somebody else acts: a terminal, a service manager, the kernel's out-of-memory killer.

use nix::sys::signal::Signal;

use crate::run::Run;

pub const ALL: &[(&str, fn())] = &[
    ("exit_code_of_the_engine_is_passed_through", exit_code_of_the_engine_is_passed_through),
    ("killed_engine_leaves_no_orphans", killed_engine_leaves_no_orphans),
    (
        "killed_keeper_takes_its_children_along_and_is_missed",
        killed_keeper_takes_its_children_along_and_is_missed,
    ),
    ("ctrl_c_to_the_group_counts_once", ctrl_c_to_the_group_counts_once),
    ("signals_ignored_by_the_starter_stay_ignored", signals_ignored_by_the_starter_stay_ignored),
    ("engine_that_hangs_up_has_its_children_ended", engine_that_hangs_up_has_its_children_ended),
];

fn exit_code_of_the_engine_is_passed_through() {
    let end = Run::start("program_exits_42").end();
    assert_eq!((end.code, end.stderr.as_str()), (Some(42), ""));
}

fn killed_engine_leaves_no_orphans() {
    let run = Run::start("program_keeps_a_daemon");
    let engine = run.engine();
    run.expect("started");
    run.hear_up();
    run.signal(engine, Signal::SIGKILL);
    let end = run.end();
    let line = format!(
        "maniple: the engine (pid {engine}) was killed by SIGKILL; all that it had started is ended\n"
    );
    assert_eq!((end.code, end.stderr), (Some(70), line));
}

fn killed_keeper_takes_its_children_along_and_is_missed() {
    let run = Run::start("program_waits_until_lost");
    run.engine();
    run.expect("started");
    run.hear_up();
    run.signal(run.keeper(), Signal::SIGKILL);
    run.expect("lost");
    let end = run.end();
    assert_eq!((end.code, end.stderr.as_str()), (None, ""));
}

fn ctrl_c_to_the_group_counts_once() {
    let run = Run::start("program_reports_signals");
    let engine = run.engine();
    // Straight to the engine: no news and no harm.
    run.signal(engine, Signal::SIGHUP);
    run.signal_group(Signal::SIGINT);
    run.expect("SIGINT");
    run.signal_group(Signal::SIGHUP);
    run.expect("SIGHUP");
    run.signal_group(Signal::SIGQUIT);
    run.expect("SIGQUIT");
    run.signal_group(Signal::SIGTERM);
    run.expect("SIGTERM");
    let end = run.end();
    assert_eq!((end.code, end.stderr.as_str()), (Some(143), ""));
}

fn signals_ignored_by_the_starter_stay_ignored() {
    let run = Run::start_with("program_reports_signals", "--ignore-signal=HUP");
    run.engine();
    run.signal_group(Signal::SIGHUP);
    run.signal_group(Signal::SIGTERM);
    run.expect("SIGTERM");
    assert_eq!(run.end().code, Some(143));
}

fn engine_that_hangs_up_has_its_children_ended() {
    let run = Run::start("program_hangs_up");
    run.engine();
    run.expect("started");
    run.hear_up();
    run.signal(run.keeper(), Signal::SIGINT);
    run.expect("hung up");
    let end = run.end();
    assert_eq!((end.code, end.stderr.as_str()), (Some(5), ""));
}
