//! A coordinator and some workers on loopback, over TLS.

use std::{io::Write, time::Instant};

use maniple_tests::{
    Program, Scratch,
    kills::census::{Family, assert_no_strangers},
    outcomes,
    outcomes::values_by_number,
};
use nix::sys::signal::Signal;

/// See the module.
pub struct Cluster<'a> {
    scratch: &'a Scratch,
    /// Where its coordinator listens.
    pub listen: String,
    options: &'static str,
    pub coordinator: Option<Program>,
    pub workers: Vec<Program>,
}

impl<'a> Cluster<'a> {
    /// Starts a coordinator, and a worker with so many processes for each of `slots`.
    pub fn start(scratch: &'a Scratch, slots: &[u32]) -> Cluster<'a> {
        Cluster::start_with(scratch, slots, "")
    }

    /// The same, with options for the coordinator.
    pub fn start_with(scratch: &'a Scratch, slots: &[u32], options: &'static str) -> Cluster<'a> {
        let listen = "127.0.0.1:0".to_owned();
        let mut cluster = Cluster { scratch, listen, options, coordinator: None, workers: Vec::new() };
        cluster.start_coordinator();
        slots.iter().for_each(|slots| cluster.start_worker(*slots));
        cluster
    }

    /// Starts the coordinator, on the same port as before if there was one.
    pub fn start_coordinator(&mut self) {
        let Cluster { listen, options, .. } = self;
        let args = format!("coordinator --listen {listen} --access-dir access --log info {options}");
        let coordinator = self.scratch.start(&args);
        let line = coordinator.wait_for("listening on ");
        self.listen = line.rsplit(' ').next().expect("an address").to_owned();
        self.coordinator = Some(coordinator);
    }

    /// Starts a worker with so many processes.
    pub fn start_worker(&mut self, slots: u32) {
        let args = format!("worker --access-file access/worker.access -j {slots} --log info");
        self.workers.push(self.scratch.start(&args));
    }

    /// `kill -9` of the coordinator.
    pub fn kill_coordinator(&mut self) -> Program {
        let mut coordinator = self.coordinator.take().expect("it runs");
        coordinator.kill();
        coordinator
    }

    /// Ends everything in order.
    pub fn stop(mut self) {
        for worker in self.workers.drain(..) {
            worker.signal(Signal::SIGTERM);
            worker.wait().expect_code(143);
        }
        if let Some(coordinator) = self.coordinator.take() {
            coordinator.signal(Signal::SIGTERM);
            coordinator.wait().expect_code(143);
        }
    }
}

#[test]
fn a_worker_may_come_late_and_a_detached_job_goes_on_without_its_client() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return n + 1\n");
    scratch.numbers("tasks.jsonl", 0..500);
    let mut cluster = Cluster::start(&scratch, &[]);
    scratch
        .run("submit --access-file access/client.access f:f --tasks tasks.jsonl --checkpoint c.checkpoint --detach")
        .expect_code(0);
    cluster.start_worker(2);
    cluster.coordinator.as_ref().expect("it runs").wait_for("a job has ended");
    assert_eq!(values_by_number(&outcomes(&scratch.file("c.checkpoint"))).len(), 500);
    cluster.stop();
}

#[test]
fn reproduces_a_detached_job_that_waited_for_ever_for_the_tasks_of_a_client_that_was_killed() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    open(f'ran{n}', 'w').close()\n    return n\n");
    let cluster = Cluster::start_with(&scratch, &[1], "--client-grace 0.3");
    let submit = "submit --access-file access/client.access f:f --checkpoint c.checkpoint --detach";
    let (read, write) = nix::unistd::pipe().expect("descriptors");
    let mut command = scratch.command(&format!("{submit} --tasks -"));
    command.stdin(read);
    let mut client = Program::start(command);
    let mut list = std::fs::File::from(write);
    list.write_all(b"[1]\n[2]\n").expect("room");
    scratch.wait_for_file("ran2", &client);
    client.kill();
    cluster.coordinator.as_ref().expect("it runs").wait_for("its client has not come back");
    cluster.coordinator.as_ref().expect("it runs").wait_for("a job has ended");
    scratch.numbers("tasks.jsonl", 0..5);
    scratch.run(&format!("{submit} --tasks tasks.jsonl").replace("--detach", "")).expect_code(0);
    cluster.stop();
}

#[test]
fn the_job_of_a_killed_client_is_stopped_and_leaves_no_process() {
    let scratch = Scratch::new();
    scratch.write("f.py", "import time\ndef f(n):\n    open('ran', 'w').close()\n    time.sleep(1000)\n");
    scratch.numbers("tasks.jsonl", 0..3);
    let cluster = Cluster::start_with(&scratch, &[2], "--client-grace 0.3");
    let submit = "submit --access-file access/client.access f:f --tasks tasks.jsonl";
    let mut client = scratch.start(submit);
    scratch.wait_for_file("ran", &client);
    client.kill();
    cluster.coordinator.as_ref().expect("it runs").wait_for("its client has not come back");
    let programs: Vec<i32> = cluster.coordinator.iter().map(Program::pid).collect();
    let keeper = Family { keeper: cluster.workers[0].pid(), slots: 0 };
    assert_no_strangers(&scratch.mark(), &programs, &[keeper], Instant::now(), "a stopped job");
    cluster.stop();
}

#[test]
fn two_jobs_share_a_cluster() {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return n\ndef g(n):\n    return -n\n");
    scratch.numbers("tasks.jsonl", 0..300);
    let cluster = Cluster::start(&scratch, &[1, 1]);
    let submit = |function: &str| {
        scratch.start(&format!(
            "submit --access-file access/client.access f:{function} --tasks tasks.jsonl --checkpoint {function}.checkpoint"
        ))
    };
    let (f, g) = (submit("f"), submit("g"));
    f.wait().expect_code(0);
    g.wait().expect_code(0);
    for (name, sign) in [("f", 1), ("g", -1)] {
        let values = values_by_number(&outcomes(&scratch.file(&format!("{name}.checkpoint"))));
        assert_eq!(values.len(), 300);
        assert!(values.iter().all(|(n, value)| value.as_i64() == Some(*n as i64 * sign)));
    }
    cluster.stop();
}

/// Found by the soak. Without a checkpoint a coordinator that is started anew has no value, and computes all again.
#[test]
fn reproduces_results_that_were_printed_twice_when_the_coordinator_was_started_anew() {
    let scratch = Scratch::new();
    scratch.write(
        "f.py",
        "import time\ndef f(n):\n    with open('log', 'a') as log: log.write('x\\n')\n    time.sleep(0.002)\n    return n\n",
    );
    scratch.numbers("tasks.jsonl", 0..2_000);
    let mut cluster = Cluster::start(&scratch, &[1]);
    let client = scratch.start("submit --access-file access/client.access f:f --tasks tasks.jsonl");
    scratch.wait_for_lines("log", 1_000);
    drop(cluster.kill_coordinator());
    cluster.start_coordinator();
    let ended = client.wait().expect_code(0);
    let mut lines: Vec<_> = ended.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    let twice: Vec<_> = lines.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(twice.is_empty(), "{twice:?}\n{}", ended.stderr);
    assert_eq!(lines.len(), 2_000, "{}", ended.stderr);
    cluster.stop();
}
