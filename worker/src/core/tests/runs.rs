//! Batches that go well, and connections that do not.

use super::*;

#[test]
fn a_batch_goes_through() {
    script(2)
        .job(function_job(1))
        .expect(&[])
        .grant(1, 1, 0, 4)
        .expect(&["start 0 for job 1", "start 1 for job 1"])
        .ready(1)
        .expect(&["run 1 b1 [0..4] from 1"])
        .ready(0)
        .expect(&[])
        .ran(1, 1, 3, &[])
        .expect(&["report 1 b1 [0..3] 3 bytes"])
        .ran(1, 4, 1, &[])
        .expect(&["report 2 b1 [3..4] 1 bytes", "forget b1"])
        .on(Event::Acknowledged(vec![shared::id::ReportId(1), shared::id::ReportId(9)]))
        .expect(&["discard 1"]);
}

#[test]
fn every_child_gets_a_run_before_any_gets_a_second() {
    script(2)
        .job(function_job(1))
        .grant(1, 1, 0, 4)
        .ready(0)
        .ready(1)
        .grant(2, 1, 4, 8)
        .grant(3, 1, 8, 12)
        .grant(4, 1, 12, 16)
        .grant(5, 1, 16, 20)
        .expect(&[
            "start 0 for job 1",
            "start 1 for job 1",
            "run 0 b1 [0..4] from 1",
            "run 1 b2 [4..8] from 1",
            "run 0 b3 [8..12] from 5",
            "run 1 b4 [12..16] from 5",
        ])
        .ran(1, 1, 4, &[])
        .expect(&["report 1 b2 [4..8] 4 bytes", "forget b2", "run 1 b5 [16..20] from 9"]);
}

#[test]
fn exceptions_are_reported_between_the_values() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 10, 15)
        .ready(0)
        .ran(0, 1, 5, &[1, 4])
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [10..15] from 1",
            "report 1 b1 [11..13,14..15] 3 bytes failed 10: ValueError (attempt 2) failed 13: ValueError (attempt 1)",
            "forget b1",
        ]);
}

#[test]
fn many_failures_make_several_reports() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 10).ready(0).out.clear();
    let mut failures: Vec<Raised> = (1..=10).map(raised).collect();
    failures.iter_mut().for_each(|raised| raised.traceback = "x".repeat(60_000));
    script.process(0, ProcessEvent::Ran(Ran { first: 1, count: 10, failures, ..Ran::default() }));
    let reports = script.out.iter().filter_map(|effect| match effect {
        crate::core::Effect::Report(report, _) => Some(report.failures.len()),
        _ => None,
    });
    assert_eq!(reports.collect::<Vec<_>>(), [4, 4, 2]);
}

#[test]
fn many_bytes_make_several_reports() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 4).ready(0).out.clear();
    let mut values = Vec::new();
    for size in [9_000_000, 9_000_000, 20_000_000] {
        rmp::encode::write_bin(&mut values, &vec![0; size]).unwrap();
    }
    let failures = vec![raised(3)];
    let values = Bytes::from(values);
    script
        .process(0, ProcessEvent::Ran(Ran { first: 1, count: 4, failures, values, ..Ran::default() }))
        .expect(&[
            "report 1 b1 [0..1] 9000005 bytes",
            "report 2 b1 [1..2] 9000005 bytes",
            "report 3 b1 [3..4] 20000005 bytes failed 2: ValueError (attempt 1)",
            "forget b1",
        ]);
}

#[test]
fn a_reconnection_says_what_is_held() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 4)
        .grant(2, 1, 4, 8)
        .grant(3, 1, 8, 9)
        .ready(0)
        .expect(&["start 0 for job 1", "run 0 b1 [0..4] from 1", "run 0 b2 [4..8] from 5"])
        .on(Event::Disconnected)
        .ran(0, 1, 4, &[])
        .expect(&["report 1 b1 [0..4] 4 bytes", "forget b1", "run 0 b3 [8..9] from 9"])
        .ran(0, 5, 2, &[])
        .expect(&["report 2 b2 [4..6] 2 bytes"])
        .on(Event::Connected)
        .expect(&["join b1[|0..4] b2[6..8|4..6] b3[8..9|]"]);
}

#[test]
fn a_batch_that_is_granted_twice_is_taken_once() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 2)
        .grant(1, 1, 0, 2)
        .ready(0)
        .expect(&["start 0 for job 1", "run 0 b1 [0..2] from 1"]);
}

#[test]
fn a_child_that_talks_nonsense_is_ended_and_nobody_is_charged() {
    script(1)
        .job(function_job(1))
        .grant(1, 1, 0, 2)
        .ready(0)
        .ran(0, 2, 1, &[])
        .died(0, How::Signalled(9), 0)
        .ready(0)
        .expect(&[
            "start 0 for job 1",
            "run 0 b1 [0..2] from 1",
            "say: the process of slot 0 broke the protocol and is ended: it reports 1 tasks from ordinal 2 on",
            "kill 0",
            "start 0 for job 1",
            "run 0 b1 [0..2] from 1",
        ]);
}

#[test]
fn a_lost_pool_costs_nobody_anything() {
    script(2)
        .job(function_job(1))
        .grant(1, 1, 0, 4)
        .ready(0)
        .ran(0, 1, 1, &[])
        .expect(&[
            "start 0 for job 1",
            "start 1 for job 1",
            "run 0 b1 [0..4] from 1",
            "report 1 b1 [0..1] 1 bytes",
        ])
        .on(Event::PoolLost)
        .grant(2, 1, 4, 5)
        .expect(&[])
        .on(Event::PoolStarted)
        .expect(&["start 0 for job 1", "start 1 for job 1"])
        .ready(0)
        .expect(&["run 0 b1 [1..4] from 1", "run 0 b2 [4..5] from 4"]);
}

#[test]
fn what_comes_from_an_earlier_life_is_stale() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 2).ready(0);
    let old = script.life(0);
    script.on(Event::PoolLost).on(Event::PoolStarted).ready(0).out.clear();
    script
        .on(Event::Process(old, ProcessEvent::Ran(Ran { first: 1, count: 2, ..Ran::default() })))
        .expect(&[]);
}

fn of_short_lives(tasks: u32) -> JobSpec {
    let limits = Limits { tasks_per_process: NonZeroU32::new(tasks), ..Limits::default() };
    JobSpec { limits, ..function_job(1) }
}

#[test]
fn a_process_that_had_its_share_is_followed_by_another() {
    script(1)
        .job(of_short_lives(3))
        .grant(1, 1, 0, 2)
        .grant(2, 1, 2, 6)
        .ready(0)
        .expect(&["start 0 for job 1", "run 0 b1 [0..2] from 1", "run 0 b2 [2..3] from 3"])
        .ran(0, 1, 2, &[])
        .expect(&["report 1 b1 [0..2] 2 bytes", "forget b1"])
        .ran(0, 3, 1, &[])
        .expect(&["report 2 b2 [2..3] 1 bytes", "stop 0"])
        .died(0, How::Exited(0), 0)
        .ready(0)
        .expect(&["start 0 for job 1", "run 0 b2 [3..6] from 1"]);
}

#[test]
fn a_process_is_not_ended_while_it_may_have_more() {
    script(1).job(of_short_lives(2)).grant(1, 1, 0, 1).ready(0).ran(0, 1, 1, &[]).grant(2, 1, 1, 2).expect(
        &[
            "start 0 for job 1",
            "run 0 b1 [0..1] from 1",
            "report 1 b1 [0..1] 1 bytes",
            "forget b1",
            "run 0 b2 [1..2] from 2",
        ],
    );
}
