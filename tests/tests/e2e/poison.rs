//! Tasks that die, hang or eat memory take nobody with them, and leave a story (promises P4, P5, P7).

use maniple_tests::{Program, Scratch, control_group::Cap, outcomes, skip};
use shared::outcome::Cause;

const FUNCTION: &str = r#"
import faulthandler, os, time

def f(n):
    if n == 1111: faulthandler._sigsegv()
    if n == 2222: os._exit(7)
    if n == 3333: raise ValueError(f"no good: {n}")
    if n == 4444: time.sleep(1000)
    if n == 5555:
        hoard = []
        while True: hoard.append(bytearray(16 << 20))
    return n * 0.5
"#;

#[test]
fn five_bad_tasks_among_ten_thousand_good_ones() {
    let scratch = Scratch::new();
    scratch.write("f.py", FUNCTION);
    scratch.numbers("tasks.jsonl", 0..10_000);
    let ended = scratch
        .run("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json --timeout 2 --memory 300M")
        .expect_code(1);
    let summary = ended.json();
    assert_eq!((summary["done"].as_u64(), summary["failed"].as_u64()), (Some(9_995), Some(5)));
    scratch.assert_nothing_left();
    let outcomes = outcomes(&scratch.file("c.checkpoint"));
    assert_eq!(outcomes.len(), 10_000);
    let key = |number: u64| rmp_serde::to_vec(&(number,)).expect("memory");
    let failure = |number| outcomes[&key(number)].clone().expect_err("it has failed");
    let crashed = failure(1111);
    assert_eq!((crashed.cause, crashed.attempt.0), (Cause::Signal(11), 4));
    let story = format!("{}{}", crashed.traceback, crashed.stderr);
    assert!(story.contains("Segmentation fault") && story.contains("f.py"), "{story}");
    let left = failure(2222);
    assert_eq!((left.cause, left.attempt.0), (Cause::ExitCode { code: 7, died: true }, 4));
    let raised = failure(3333);
    assert_eq!((raised.cause, raised.attempt.0), (Cause::Exception("ValueError".into()), 1));
    assert_eq!(raised.message, "no good: 3333");
    assert!(
        raised.traceback.contains("f.py") && raised.traceback.contains("raise ValueError"),
        "{}",
        raised.traceback
    );
    assert_eq!((failure(4444).cause, failure(4444).attempt.0), (Cause::Timeout(2_000), 1));
    assert!(
        matches!(failure(5555).cause, Cause::OutOfMemory(limit, _) if limit == 300 << 20),
        "{:?}",
        failure(5555)
    );
    for number in [1111, 2222, 3333, 4444, 5555] {
        let failure = failure(number);
        assert!(!failure.host.is_empty() && failure.pid > 1, "{number}: {failure:?}");
    }
    assert!(outcomes.iter().all(|(key, outcome)| {
        let number = rmp_serde::from_slice::<(u64,)>(key).expect("a number").0;
        outcome.as_ref().map_or(true, |value| {
            rmp_serde::from_slice::<f64>(value).expect("a float") == number as f64 * 0.5
        })
    }));
}

const BOMB: &str = r#"
import os, time
def f(n):
    while n == 7:
        try: os.fork()
        except OSError: pass
    time.sleep(0.002)
    return n
"#;

#[test]
fn a_task_that_forks_without_end_fails_alone_also_where_processes_are_capped() {
    let scratch = Scratch::new();
    scratch.write("f.py", BOMB);
    scratch.numbers("tasks.jsonl", 0..1_000);
    // Processes of the pool are replaced all the while, also while there is room for no other one.
    for more in ["", "--tasks-per-process 50"] {
        let cap = match Cap::of(100) {
            Ok(cap) => cap,
            Err(why) => return skip::not_checked("a task that forks without end within a cap", &why),
        };
        let run = scratch.command(&format!(
            "run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --fresh --timeout 2 --json {more}"
        ));
        let mut command = cap.on(&run);
        scratch.prepare(&mut command);
        let summary = Program::start(command).wait().expect_code(1).json();
        assert_eq!((summary["done"].as_u64(), summary["failed"].as_u64()), (Some(999), Some(1)), "{summary}");
        assert!(cap.refusals() > 0, "there was no cap");
        let outcomes = outcomes(&scratch.file("c.checkpoint"));
        let bomb = &outcomes[&rmp_serde::to_vec(&(7u64,)).expect("memory")];
        assert_eq!(bomb.as_ref().expect_err("it has failed").cause, Cause::Timeout(2_000));
        scratch.assert_nothing_left();
    }
}

#[test]
fn exceptions_are_tried_again_only_if_asked() {
    let scratch = Scratch::new();
    scratch.write(
        "f.py",
        "import os\ndef f(n):\n    try:\n        os.mkdir(f'seen{n}')\n    except FileExistsError:\n        return n\n    raise OSError('first time')\n",
    );
    scratch.numbers("tasks.jsonl", 0..4);
    let ended = scratch.run("run -j 2 f:f --tasks tasks.jsonl --json --retry-errors 1").expect_code(0);
    assert_eq!(ended.json()["done"].as_u64(), Some(4));
}

#[test]
fn a_death_costs_one_task_only() {
    let scratch = Scratch::new();
    scratch.write("f.py", "import os\ndef f(n):\n    open('log', 'a').write(f'{n}\\n')\n    if n == 50: os.kill(os.getpid(), 9)\n    return n\n");
    scratch.numbers("tasks.jsonl", 0..100);
    let ended = scratch
        .run("run -j 1 f:f --tasks tasks.jsonl --json --checkpoint c.checkpoint --batch-size 100 --retries 2")
        .expect_code(1);
    assert_eq!(ended.json()["failed"].as_u64(), Some(1));
    let runs = scratch.lines("log");
    assert_eq!(runs.iter().filter(|line| *line == "50").count(), 3, "three attempts");
    let outcomes = outcomes(&scratch.file("c.checkpoint"));
    assert!(
        outcomes.values().filter_map(|outcome| outcome.as_ref().err()).all(|failure| failure.attempt.0 == 3)
    );
    assert_eq!(outcomes.values().filter(|outcome| outcome.is_ok()).count(), 99);
}

#[test]
fn reproduces_a_summary_that_was_longer_than_a_message_may_be() {
    let scratch = Scratch::new();
    scratch.write(
        "f.py",
        "def f(key):\n    raise type(f'Error{len(key) % 60}', (Exception,), {})('y' * 60_000)\n",
    );
    let lines: String = (0..200).map(|n| format!("[\"{}\"]\n", "k".repeat(10_000 + n))).collect();
    scratch.write("tasks.jsonl", lines + &format!("[\"{}\"]\n", "k".repeat(3_000_000)));
    let ended = scratch
        .run("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json --quiet")
        .expect_code(1);
    assert_eq!(ended.json()["failed"].as_u64(), Some(201));
    assert_eq!(outcomes(&scratch.file("c.checkpoint")).len(), 201);
}
