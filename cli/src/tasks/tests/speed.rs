//! What a task costs to read. Not part of the ordinary run: it says something in a release build on a quiet machine.

use std::{fmt::Write as _, io::Write as _, time::Instant};

use super::Fixture;

/// Three times of what was measured, so that a lost optimisation shows and a busy machine does not.
const LIMIT_NS: f64 = 250.0;

#[test]
#[ignore = "measures: cargo test --release -p maniple speed -- --ignored --nocapture"]
fn a_million_tasks_are_read_at_speed() {
    let mut files = [("t.jsonl", String::new()), ("t.csv", "n\n".to_owned()), ("t.txt", String::new())];
    for n in 100_000..1_100_000 {
        writeln!(files[0].1, "[{n}]").expect("memory");
        writeln!(files[1].1, "{n}").expect("memory");
        writeln!(files[2].1, "{n}").expect("memory");
    }
    for (name, content) in files {
        let fixture = Fixture::new(name, content);
        let best = (0..5)
            .map(|_| {
                let start = Instant::now();
                let mut reader = fixture.open(&[]).expect("a good file");
                while reader.next_chunk().expect("good tasks").is_some() {}
                assert_eq!(reader.tasks(), 1_000_000);
                start.elapsed().as_nanos() as f64 / 1e6
            })
            .fold(f64::INFINITY, f64::min);
        writeln!(std::io::stderr(), "{name}: {best:.1} ns a task").expect("standard error");
        assert!(best < LIMIT_NS, "{name}: {best:.1} ns a task");
    }
}
