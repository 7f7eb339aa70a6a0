//! The cluster that suffers: a coordinator, workers and a client, each behind a relay of its own; and what is done to them.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    plan::{Blow, Fault, Hold, LEASE, Plan},
    relay::Relay,
};
use crate::{
    Program, Scratch,
    disk::SmallDisk,
    leftovers, outcomes,
    outcomes::values_by_number,
    program::{PATIENCE, children, engine},
    skip,
    wait::until,
};

/// In a folder of its own, which may be a small disk.
pub const CHECKPOINT: &str = "disk/c.checkpoint";
const LOG: &str = "log";
const FUNCTION: &str = r#"
import os, time
PAUSES = (0, 0.001, 0.002, 0.002, 0.003, 0.005, 0.01)
LOG = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def f(n):
    os.write(LOG, b"%d %d\n" % (n, os.getpid()))
    time.sleep(0.2 if n % 211 == 0 else PAUSES[n % 7])
    if n % 500 == 7: raise ValueError(n)
    return [n, n * 0.1]
"#;

/// Whether this task fails whenever it is run.
pub fn fails(number: u64) -> bool {
    number % 500 == 7
}

struct Worker {
    slots: u32,
    life: u32,
    program: Program,
    relay: Relay,
}

/// See the module.
pub struct Site {
    listen: String,
    coordinator: Option<Program>,
    workers: Vec<Worker>,
    /// One that waits for its job.
    pub client: Option<Program>,
    client_relay: Option<Relay>,
    flush_ms: u64,
    /// At each death of a coordinator: how many tasks had been begun, and which had a value. Only until a worker may
    /// hold what another one has, too.
    pub deaths: Vec<(usize, BTreeSet<u64>)>,
    /// Whether a worker may hold what another one has, too.
    pub may_double: bool,
    disk: Option<SmallDisk>,
    // Last: it fails if a process is left.
    pub scratch: Scratch,
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn send(pids: impl IntoIterator<Item = i32>, signal: Signal) {
    // Who has ended meanwhile need not be told.
    for pid in pids {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

impl Site {
    /// Starts everything, and the job.
    pub fn start(plan: &Plan) -> Site {
        let scratch = Scratch::new();
        scratch.write("f.py", FUNCTION);
        scratch.numbers("tasks.jsonl", 0..plan.tasks);
        let disk = SmallDisk::mount(&scratch.file("disk"));
        let mut site = Site {
            listen: "127.0.0.1:0".to_owned(),
            coordinator: None,
            workers: Vec::new(),
            client: None,
            client_relay: None,
            flush_ms: plan.flush_ms,
            deaths: Vec::new(),
            may_double: false,
            disk,
            scratch,
        };
        site.start_coordinator();
        for (number, slots) in plan.workers.iter().enumerate() {
            let relay = Relay::new(site.listen.clone());
            relay.access(&site.scratch, "worker", &format!("w{number}"));
            let program = site.start_worker(number, 0, *slots);
            site.workers.push(Worker { slots: *slots, life: 0, program, relay });
        }
        let relay = Relay::new(site.listen.clone());
        relay.access(&site.scratch, "client", "client");
        site.client_relay = Some(relay);
        match plan.detached {
            true => drop(site.submit("--detach").wait().expect_code(0)),
            false => site.client = Some(site.submit("--json")),
        }
        site
    }

    fn start_coordinator(&mut self) {
        let args =
            format!("coordinator --listen {} --access-dir access --lease {LEASE} --log info", self.listen);
        let coordinator = self.scratch.start(&args);
        let line = coordinator.wait_for("listening on ");
        self.listen = line.rsplit(' ').next().expect("an address").to_owned();
        self.coordinator = Some(coordinator);
    }

    fn start_worker(&self, number: usize, life: u32, slots: u32) -> Program {
        let mut command =
            self.scratch.command(&format!("worker --access-file w{number} -j {slots} --log info"));
        command.env(leftovers::MARK, self.mark(number, life));
        Program::start(command)
    }

    fn mark(&self, number: usize, life: u32) -> String {
        self.scratch.mark_of(&format!("w{number}.{life}"))
    }

    /// Submits the tasks, as often as one likes.
    pub fn submit(&self, more: &str) -> Program {
        let flush = self.flush_ms as f64 / 1e3;
        self.scratch.start(&format!(
            "submit --access-file client f:f --tasks tasks.jsonl --checkpoint {CHECKPOINT} --retries 20 --flush {flush} {more}"
        ))
    }

    /// The tasks that were begun, in order.
    pub fn begun(&self) -> Vec<u64> {
        let number = |line: &String| line.split(' ').next()?.parse().ok();
        self.scratch.lines(LOG).iter().map(|line| number(line).expect("a number")).collect()
    }

    /// Waits until so many tasks were begun.
    pub fn wait_for_begun(&self, count: usize) {
        let begun =
            || fs::read(self.scratch.file(LOG)).map_or(0, |log| log.split(|byte| *byte == b'\n').count() - 1);
        let said = || self.coordinator().said();
        until(
            PATIENCE,
            || begun() >= count,
            || format!("{} tasks were begun; it has said:\n{}", begun(), said()),
        );
    }

    pub fn coordinator(&self) -> &Program {
        self.coordinator.as_ref().expect("it runs")
    }

    /// Coordinator, keepers and engines.
    pub fn ours(&self) -> Vec<i32> {
        let workers =
            self.workers.iter().flat_map(|worker| [Some(worker.program.pid()), engine(worker.program.pid())]);
        [self.coordinator().pid()].into_iter().chain(workers.flatten()).collect()
    }

    /// Does a fault.
    pub fn suffer(&mut self, fault: Fault) {
        self.may_double |= fault.may_double();
        match fault {
            Fault::Blow(blow) => self.strike(blow),
            Fault::Hold(hold, ms, within) => {
                let half = Duration::from_millis(ms / 2);
                self.hold(hold, true);
                std::thread::sleep(half);
                within.into_iter().for_each(|blow| self.strike(blow));
                std::thread::sleep(half);
                self.hold(hold, false);
            }
        }
    }

    fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::KillCoordinator => {
                self.coordinator.take().expect("it runs").kill();
                if !self.may_double && self.scratch.file(CHECKPOINT).exists() {
                    let recorded = values_by_number(&outcomes(&self.scratch.file(CHECKPOINT)));
                    self.deaths.push((self.begun().len(), recorded.into_keys().collect()));
                }
                self.start_coordinator();
            }
            Blow::KillWorker(worker) => self.kill_worker(worker, true, true),
            Blow::KillKeeper(worker) => self.kill_worker(worker, true, false),
            Blow::KillEngine(worker) => self.kill_worker(worker, false, true),
            Blow::KillProcess(worker) => {
                let program = &self.workers[worker].program;
                let engine = engine(program.pid());
                send(children(program.pid()).into_iter().find(|pid| Some(*pid) != engine), Signal::SIGKILL);
            }
            Blow::KillClient => {
                if let Some(client) = self.client.take() {
                    send([client.pid()], Signal::SIGKILL);
                    client.wait();
                }
            }
            Blow::CutWorker(worker) => self.workers[worker].relay.cut(),
            Blow::CutClient => self.client_relay.iter().for_each(Relay::cut),
            Blow::ResetAll => self.reset(),
        }
    }

    /// Kills parts of a worker in one moment; all of it has to be gone then, and another one takes its place.
    fn kill_worker(&mut self, number: usize, keeper: bool, and_engine: bool) {
        let (program, life) = (&self.workers[number].program, self.workers[number].life);
        // One that was just started may have none yet.
        until(PATIENCE, || !and_engine || engine(program.pid()).is_some(), || program.said());
        let parts = [keeper.then(|| program.pid()), engine(program.pid()).filter(|_| and_engine)];
        send(parts.into_iter().flatten(), Signal::SIGKILL);
        // A worker that is stopped meanwhile goes on to its end.
        self.signal_worker(number, Signal::SIGCONT);
        leftovers::assert_none(&self.mark(number, life));
        let slots = self.workers[number].slots;
        let next = self.start_worker(number, life + 1, slots);
        let worker = &mut self.workers[number];
        worker.life += 1;
        let ended = std::mem::replace(&mut worker.program, next).wait();
        if !keeper {
            ended.expect_code(70);
        }
    }

    fn signal_worker(&self, number: usize, signal: Signal) {
        send(leftovers::pids(&self.mark(number, self.workers[number].life)), signal);
    }

    /// A reset of each connection that the coordinator has.
    fn reset(&self) {
        let port = self.listen.rsplit(':').next().expect("a port");
        if !is_root() {
            return skip::not_checked("connections that are reset", "ss -K needs root");
        }
        let output = Command::new("ss").args(["-K", "sport", "=", &format!(":{port}")]).output();
        assert!(output.is_ok(), "ss (Debian package iproute2): {output:?}");
    }

    fn hold(&self, hold: Hold, begins: bool) {
        let signal = if begins { Signal::SIGSTOP } else { Signal::SIGCONT };
        match hold {
            Hold::StopWorker(worker) => self.signal_worker(worker, signal),
            Hold::StopCoordinator => send([self.coordinator().pid()], signal),
            Hold::Mute(worker, directions) => {
                self.workers[worker].relay.mute(directions.map(|direction| direction && begins));
            }
            Hold::Slow(worker) => {
                self.workers[worker].relay.delay(Duration::from_millis(if begins { 40 } else { 0 }));
            }
            Hold::FillDisk => self.fill(begins),
        }
    }

    fn fill(&self, begins: bool) {
        match (&self.disk, begins) {
            (None, _) => skip::not_checked("a disk that is full for a while", "mounting a tmpfs needs root"),
            (Some(disk), true) => disk.fill(),
            (Some(disk), false) => disk.free(),
        }
    }

    /// Ends everything in order.
    pub fn stop(mut self) {
        for worker in self.workers.drain(..) {
            worker.program.signal(Signal::SIGTERM);
            worker.program.wait().expect_code(143);
        }
        let coordinator = self.coordinator.take().expect("it runs");
        coordinator.signal(Signal::SIGTERM);
        coordinator.wait().expect_code(143);
    }
}
