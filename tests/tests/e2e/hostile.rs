//! What a task may do to its process: print by the megabyte, read stdin, close its descriptors, exit, interrupt.

use maniple_tests::{Scratch, outcomes, outcomes::values_by_number};
use shared::outcome::Cause;

fn run(function: &str, code: i32) -> (Scratch, outcomes::Outcomes) {
    let scratch = Scratch::new();
    scratch.write("f.py", function);
    scratch.numbers("tasks.jsonl", 0..20);
    let ended =
        scratch.run("run -j 2 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --quiet").expect_code(code);
    assert_eq!(ended.stdout, "", "what tasks print is not the program's output");
    let outcomes = outcomes(&scratch.file("c.checkpoint"));
    assert_eq!(outcomes.len(), 20);
    (scratch, outcomes)
}

fn failure_of(outcomes: &outcomes::Outcomes, number: u64) -> shared::outcome::Failure {
    outcomes[&rmp_serde::to_vec(&(number,)).expect("memory")].clone().expect_err("it has failed")
}

#[test]
fn printing_by_the_megabyte_is_harmless() {
    let (_scratch, outcomes) = run(
        "import os, sys\ndef f(n):\n    print('x' * 1_000_000)\n    sys.stderr.write('y' * 1_000_000)\n    os.write(1, b'\\xff' * 100_000)\n    return n\n",
        0,
    );
    assert_eq!(values_by_number(&outcomes).len(), 20);
}

#[test]
fn what_a_failed_task_printed_is_in_its_story() {
    let (_scratch, outcomes) = run(
        "import sys\ndef f(n):\n    print('looking at', n)\n    print('trouble with', n, file=sys.stderr)\n    if n == 7: raise RuntimeError('seven')\n    return n\n",
        1,
    );
    let failure = failure_of(&outcomes, 7);
    assert!(failure.stdout.contains("looking at 7"), "{failure:?}");
    assert!(failure.stderr.contains("trouble with 7"), "{failure:?}");
}

#[test]
fn standard_input_is_empty() {
    let (_scratch, outcomes) = run("import sys\ndef f(n):\n    return [n, len(sys.stdin.read())]\n", 0);
    assert!(values_by_number(&outcomes).iter().all(|(n, value)| *value == serde_json::json!([n, 0])));
}

#[test]
fn closed_descriptors_are_no_event() {
    let (_scratch, outcomes) = run(
        "import os\ndef f(n):\n    for fd in (0, 1, 2):\n        try: os.close(fd)\n        except OSError: pass\n    return n\n",
        0,
    );
    assert_eq!(values_by_number(&outcomes).len(), 20);
}

#[test]
fn a_task_that_exits_or_interrupts_has_failed_like_any_other() {
    let (_scratch, outcomes) = run(
        "import sys\ndef f(n):\n    if n == 3: sys.exit(5)\n    if n == 4: raise KeyboardInterrupt\n    if n == 5: raise GeneratorExit\n    return n\n",
        1,
    );
    assert_eq!(failure_of(&outcomes, 3).cause, Cause::Exception("SystemExit".into()));
    assert!(failure_of(&outcomes, 3).message.contains('5'), "{:?}", failure_of(&outcomes, 3));
    assert_eq!(failure_of(&outcomes, 4).cause, Cause::Exception("KeyboardInterrupt".into()));
    assert_eq!(failure_of(&outcomes, 5).cause, Cause::Exception("GeneratorExit".into()));
    assert_eq!(values_by_number(&outcomes).len(), 17);
}

#[test]
fn daemons_of_a_task_do_not_outlive_the_run() {
    let (scratch, _) = run(
        "import os, subprocess\ndef f(n):\n    if n == 0:\n        subprocess.Popen(['setsid', 'sleep', '1000'], start_new_session=True)\n        if os.fork() == 0:\n            os.setsid()\n            if os.fork() == 0:\n                os.execve('/bin/sleep', ['sleep', '1000'], {})\n            os._exit(0)\n    return n\n",
        0,
    );
    scratch.assert_nothing_left();
}

/// Leaves a process in a session of its own; whether the one that `left` names is gone.
const DAEMON: &str = "(setsid sh -c 'echo $$ > left; exec sleep 1000' &)
until [ -s left ]; do sleep 0.01; done";
const IS_GONE: &str =
    "for try in $(seq 3000); do kill -0 $(cat left) 2> left.said || exit 0; sleep 0.01; done; exit 1";

#[test]
fn reproduces_a_daemon_of_a_killed_process_that_stayed_until_the_worker_ended() {
    for end in ["os.kill(os.getpid(), 9)", "os._exit(1)"] {
        let function = format!(
            "import os, subprocess\ndef f(n):\n    if n == 0 and not os.path.exists('left'):\n        subprocess.run(['sh', '-c', {DAEMON:?}])\n        {end}\n    return [n, subprocess.call(['sh', '-c', {IS_GONE:?}])]\n"
        );
        let (_scratch, outcomes) = run(&function, 0);
        assert!(
            values_by_number(&outcomes).iter().all(|(n, value)| *value == serde_json::json!([n, 0])),
            "{end}: it is still there"
        );
    }
}

#[test]
fn a_daemon_of_a_command_does_not_outlive_its_task() {
    let scratch = Scratch::new();
    scratch.write("tasks.txt", "leave\nlook\n");
    scratch.write("leave", DAEMON);
    scratch.write("look", IS_GONE);
    let ended = scratch.run("run -j 1 --tasks tasks.txt --json -- sh {}").expect_code(0);
    assert_eq!(ended.json()["done"].as_u64(), Some(2));
}

#[test]
fn values_are_what_was_returned() {
    let scratch = Scratch::new();
    scratch.write(
        "f.py",
        "VALUES = [None, True, -0.0, 1e308, 2**63 - 1, -2**63, 'naïve 数据', '000001', b'\\x00\\xff', [], {}, [1, [2.5, 'x']], {'a': [None]}]\ndef f(n):\n    return VALUES[n]\n",
    );
    scratch.numbers("tasks.jsonl", 0..13);
    scratch.run("run -j 1 f:f --tasks tasks.jsonl --checkpoint c.checkpoint --quiet").expect_code(0);
    let mut expected: Vec<Vec<u8>> = Vec::new();
    let mut add = |bytes: &[u8]| expected.push(bytes.to_vec());
    add(&[0xc0]);
    add(&[0xc3]);
    add(&[0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    add(&rmp_serde::to_vec(&1e308).expect("memory"));
    add(&rmp_serde::to_vec(&i64::MAX).expect("memory"));
    add(&rmp_serde::to_vec(&i64::MIN).expect("memory"));
    add(&rmp_serde::to_vec("naïve 数据").expect("memory"));
    add(&rmp_serde::to_vec("000001").expect("memory"));
    add(&[0xc4, 2, 0, 0xff]);
    add(&[0x90]);
    add(&[0x80]);
    add(&[0x92, 1, 0x92, 0xcb, 0x40, 4, 0, 0, 0, 0, 0, 0, 0xa1, b'x']);
    add(&[0x81, 0xa1, b'a', 0x91, 0xc0]);
    let outcomes = outcomes(&scratch.file("c.checkpoint"));
    for (number, expected) in expected.iter().enumerate() {
        let key = rmp_serde::to_vec(&(number as u64,)).expect("memory");
        assert_eq!(outcomes[&key].as_ref().expect("a value"), expected, "value {number}");
    }
}
