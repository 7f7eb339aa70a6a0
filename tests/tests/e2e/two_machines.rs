//! The walk-through of `deploy/README.md` between network namespaces: what the services run, and a cable that is cut.

use std::process::Command;

use maniple_tests::{Network, Program, Scratch, binary, outcomes, outcomes::values_by_number, skip, units};
use nix::sys::signal::Signal;

use crate::main_job::factors;

/// Where the coordinator of machine 1 listens.
const LISTEN: &str = "10.77.0.1:7711";

/// A coordinator and a worker on the first machine, a worker on the second, started as their services do.
struct Machines<'a> {
    scratch: &'a Scratch,
    // Ended before the network is removed.
    services: Vec<Program>,
    network: Network,
}

impl<'a> Machines<'a> {
    /// Starts them; `None` if this machine has no network namespaces for us.
    fn start(scratch: &'a Scratch, test: &str, coordinator_options: &str) -> Option<Machines<'a>> {
        let network = match Network::new(2) {
            Ok(network) => network,
            Err(why) => {
                skip::not_checked(test, &why);
                return None;
            }
        };
        let mut machines = Machines { scratch, services: Vec::new(), network };
        let settings = [("MANIPLE_LISTEN", LISTEN), ("MANIPLE_COORDINATOR_OPTIONS", coordinator_options)];
        machines.service(1, "coordinator", &settings).wait_for(&format!("listening on {LISTEN}"));
        for machine in [1, 2] {
            let access = scratch.file(&format!("machine{machine}.access"));
            std::fs::copy(scratch.file("access/worker.access"), &access)
                .expect("the coordinator has written it");
            let access = access.to_str().expect("text");
            let settings = [("MANIPLE_ACCESS_FILE", access), ("MANIPLE_WORKER_OPTIONS", "-j 1")];
            machines.service(machine, "worker", &settings).wait_for("connected");
        }
        Some(machines)
    }

    fn service(&mut self, machine: usize, name: &str, settings: &[(&str, &str)]) -> &Program {
        let state = self.scratch.path().to_str().expect("text");
        let service = self.maniple(machine, &units::arguments(name, settings, state));
        self.services.push(service);
        self.services.last().expect("just pushed")
    }

    fn maniple(&self, machine: usize, args: &[String]) -> Program {
        let mut command = self.scratch.command("");
        command.args(args).env("MACHINE", machine.to_string()).env("MANIPLE_LOG", "info");
        Program::start(self.network.on(machine, &command))
    }

    /// Submits a job from a machine.
    fn submit(&self, machine: usize, args: &str) -> Program {
        let all = format!("submit --access-file access/client.access {args}");
        self.maniple(machine, &words(&all))
    }

    /// Stops the services as systemd does.
    fn stop(mut self) {
        for service in self.services.drain(..).rev() {
            service.signal(Signal::SIGTERM);
            service.wait().expect_code(143);
        }
    }
}

#[test]
fn the_walk_through_gives_what_one_machine_gives() {
    let scratch = Scratch::new();
    let tasks = factors(&scratch);
    let Some(machines) = Machines::start(&scratch, "deploy/README.md on two machines", "") else { return };
    machines.submit(2, "alphas:factors --tasks tasks.csv --checkpoint two.checkpoint").wait().expect_code(0);
    scratch
        .run("run -j 2 alphas:factors --tasks tasks.csv --checkpoint one.checkpoint --quiet")
        .expect_code(0);
    let two = outcomes(&scratch.file("two.checkpoint"));
    assert_eq!(two.len(), tasks);
    assert_eq!(two, outcomes(&scratch.file("one.checkpoint")));
    machines.stop();
}

/// Each call notes its machine; the first call waits until it may end, so that the job cannot end before.
const FUNCTION: &str = r#"
import os, time

def f(n):
    with open(f"log{os.environ['MACHINE']}", "a") as log:
        log.write(f"{n}\n")
    while n == 0 and not os.path.exists("gate"):
        time.sleep(0.01)
    time.sleep(0.002)
    return n * 3
"#;

#[test]
fn a_cable_that_is_pulled_for_a_moment_and_for_longer_than_the_lease_costs_nothing() {
    let scratch = Scratch::new();
    scratch.write("f.py", FUNCTION);
    scratch.numbers("tasks.jsonl", 0..3_000);
    let Some(machines) = Machines::start(&scratch, "a cut network", "--lease 1") else { return };
    let job = machines.submit(1, "f:f --tasks tasks.jsonl --checkpoint c.checkpoint --json");
    let far = &machines.services[2];
    scratch.wait_for_lines("log2", 1);
    machines.network.cut(2);
    machines.network.mend(2);
    machines.network.cut(2);
    far.wait_for("lost the coordinator");
    machines.network.mend(2);
    far.wait_for_times("connected", 2);
    scratch.write("gate", "");
    let ended = job.wait().expect_code(0);
    assert_eq!(ended.json()["done"].as_u64(), Some(3_000));
    let values = values_by_number(&outcomes(&scratch.file("c.checkpoint")));
    assert_eq!(values.len(), 3_000);
    assert!(values.iter().all(|(n, value)| value.as_u64() == Some(n * 3)));
    machines.stop();
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn systemd_understands_the_units() {
    let scratch = Scratch::new();
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skip::not_checked("the systemd units", "systemd-analyze is not installed (package systemd)");
    }
    let maniple = binary::maniple().to_str().expect("text");
    for name in ["maniple-coordinator.service", "maniple-worker.service"] {
        let unit = std::fs::read_to_string(units::path(name)).expect("the unit is there");
        assert!(unit.contains("ExecStart=/usr/local/bin/maniple "), "{unit}");
        let unit = scratch.write(name, unit.replace("/usr/local/bin/maniple", maniple));
        let mut verify = Command::new("systemd-analyze");
        let output = verify.args(["verify", "--man=no"]).arg(unit).output().expect("it is there");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.trim().is_empty(), "{name}: {said}");
    }
}
