//! Progress at several widths, and when a plain line comes.

use super::{
    render::{clock, per_second},
    *,
};

fn view(progress: Progress) -> View {
    View { progress, rate: 31_250.4, left: Some(Duration::from_millis(17_100)) }
}

fn halfway() -> Progress {
    Progress {
        job: None,
        tasks: 1_000_000,
        complete: true,
        skipped: 100_000,
        done: 349_988,
        failed: 12,
        durable: 349_000,
        busy: 7,
        slots: 8,
        workers: 2,
    }
}

#[test]
fn a_line_fits_its_width() {
    let view = view(halfway());
    for (width, expected) in [
        (
            120,
            "[==========>               ]  45%  450,000/1,000,000  12 failed  31,250/s  0:18 left  7/8 busy  2 workers  \
             349,000 saved",
        ),
        (
            100,
            "[======>          ]  45%  450,000/1,000,000  12 failed  31,250/s  0:18 left  7/8 busy  349,000 saved",
        ),
        (80, "[====>       ]  45%  450,000/1,000,000  12 failed  31,250/s  0:18 left  7/8 busy"),
        (60, "45%  450,000/1,000,000  12 failed  31,250/s  0:18 left"),
        (50, "45%  450,000/1,000,000  12 failed  31,250/s"),
        (40, "450,000/1,000,000  12 failed  31,250/s"),
        (30, "450,000/1,000,000  12 failed"),
        (20, "450,000/1,000,000"),
        (5, "450,0"),
        (0, ""),
    ] {
        let line = view.bar(width, Look::Plain);
        assert_eq!(line, expected, "{width}");
    }
    for width in 0..140 {
        assert!(view.bar(width, Look::Plain).len() <= width, "{width}");
    }
}

#[test]
fn colour_takes_no_room() {
    let coloured = view(halfway()).bar(100, Look::Coloured);
    assert!(coloured.contains("\x1b[31m12 failed\x1b[0m") && coloured.starts_with("[\x1b[32m======>\x1b[0m"));
    let plain = coloured.replace("\x1b[31m", "").replace("\x1b[32m", "").replace("\x1b[0m", "");
    assert_eq!(plain, view(halfway()).bar(100, Look::Plain));
}

#[test]
fn a_total_that_still_grows_shows_no_share() {
    let progress = Progress { complete: false, failed: 0, durable: 0, ..halfway() };
    let view = View { progress, rate: 0.0, left: None };
    assert_eq!(view.bar(100, Look::Plain), "449,988/1,000,000+  7/8 busy  2 workers");
    assert_eq!(time_left(&progress, 100.0), None);
}

#[test]
fn the_start_and_the_end_are_told_from_nearly() {
    let at = |done| {
        let progress = Progress { tasks: 1000, done, skipped: 0, failed: 0, durable: 0, ..halfway() };
        View { progress, rate: 0.0, left: None }.bar(60, Look::Plain)
    };
    assert!(at(0).starts_with("[                        ]  0%  0/1,000  7/8 busy  2 workers"), "{}", at(0));
    assert!(
        at(999).starts_with("[===================> ]  99%  999/1,000  7/8 busy  2 workers"),
        "{}",
        at(999)
    );
    assert!(
        at(1000).starts_with("[==================]  100%  1,000/1,000  7/8 busy  2 workers"),
        "{}",
        at(1000)
    );
    let none = View { progress: Progress { complete: true, ..Progress::default() }, rate: 0.0, left: None };
    assert_eq!(none.bar(60, Look::Plain), "0/0  0/0 busy  0 workers");
}

#[test]
fn a_plain_line_has_everything() {
    assert_eq!(
        view(halfway()).line(),
        "45%, 450,000/1,000,000, 12 failed, 31,250/s, 0:18 left, 7/8 busy, 2 workers, 349,000 saved"
    );
}

#[test]
fn plain_lines_are_rare_and_never_repeat() {
    let start = Instant::now();
    let mut lines = Lines::new(start);
    let mut due = |millis, done| {
        lines.is_due(&Progress { done, ..Progress::default() }, start + Duration::from_millis(millis))
    };
    let asked =
        [(0, 1), (1_999, 2), (2_000, 3), (6_999, 4), (7_000, 3), (9_000, 5), (13_999, 6), (14_000, 6)];
    let answers = asked.map(|(millis, done)| due(millis, done));
    assert_eq!(answers, [false, false, true, false, false, true, false, true]);
}

#[test]
fn the_terminal_and_the_user_decide_how() {
    let terminal = Terminal { is_terminal: true, term: Some("xterm".to_owned()), no_colour: false };
    assert_eq!(Mode::choose(false, &terminal), Mode::Bar { colour: true });
    assert_eq!(Mode::choose(true, &terminal), Mode::Nothing);
    assert_eq!(
        Mode::choose(false, &Terminal { no_colour: true, ..terminal.clone() }),
        Mode::Bar { colour: false }
    );
    for term in [None, Some(String::new()), Some("dumb".to_owned())] {
        assert_eq!(Mode::choose(false, &Terminal { term, ..terminal.clone() }), Mode::Lines);
    }
    assert_eq!(Mode::choose(false, &Terminal { is_terminal: false, ..terminal }), Mode::Lines);
}

#[test]
fn the_time_left_follows_from_the_rate() {
    assert_eq!(time_left(&halfway(), 1000.0), Some(Duration::from_secs(550)));
    assert_eq!(time_left(&halfway(), 0.0), None);
    assert_eq!(time_left(&halfway(), 1e-30), None, "longer than any clock");
}

#[test]
fn numbers_for_people() {
    for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(count(number), text);
    }
    for (rate, text) in
        [(31_250.4, "31,250/s"), (99.9, "100/s"), (3.44, "3.4/s"), (0.5, "30.0/min"), (0.001, "3.6/h")]
    {
        assert_eq!(per_second(rate), text);
    }
    for (seconds, text) in [
        (0.0, "0:00"),
        (0.2, "0:01"),
        (59.5, "1:00"),
        (3_599.0, "59:59"),
        (10_800.0, "3:00:00"),
        (187_200.0, "2d 04h"),
        (8.64e8, "10,000d"),
    ] {
        assert_eq!(clock(Duration::from_secs_f64(seconds)), text);
    }
}

#[test]
fn a_reporter_takes_a_job_from_start_to_end() {
    let start = Instant::now();
    for mode in [Mode::Nothing, Mode::Lines] {
        let mut reporter = Reporter::new(mode, start);
        reporter.update(&halfway(), start + Duration::from_secs(1));
        let expected = (350_000.0 - 1.0)..(350_000.0 + 1.0);
        assert!(expected.contains(&reporter.rate.per_second()), "what was skipped is not counted");
    }
}
