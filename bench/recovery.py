#!/usr/bin/env python3
"""From the kill of a process to work that flows again: of a pool's process, of a worker, of the coordinator.

    .venv/bin/python bench/recovery.py [--rounds N] [--workers N] [--vanish N]

With ``--vanish`` from the moment a machine is gone without a word; that needs root, for a network namespace.

README.md beside this file says what is measured and how. Needs the standard library only. The exit code is 0 if
every bar is met.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import address, children, engine, wait_for

HERE = Path(__file__).resolve().parent
TASK = 0.02
"""Seconds that a task takes: work begins so often in each process."""
BARS = {"kill of a pool's process": 0.150, "kill of a worker": 1.0, "kill of the coordinator": 2.0}
"""Seconds until work flows again, by what was killed."""
LEASE = 10.0
"""Seconds that a coordinator waits for a silent worker unless `--lease` says otherwise: the bar for a lost machine."""
FUNCTION = f"""
import os, time
LOG = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def f(n):
    os.write(LOG, f"{{n}} {{os.getpid()}} {{os.environ['BENCH_WORKER']}} {{time.monotonic()}}\\n".encode())
    time.sleep({TASK})
    return n
"""


class Machine:
    """Another machine as far as the network is concerned: a namespace on a switch of its own."""

    HERE = "10.79.0.1"

    def __init__(self) -> None:
        self.name = f"maniple-{os.getpid()}"
        self.switch, self.port = f"mb{os.getpid()}", f"mp{os.getpid()}"
        self.ip(f"link add {self.switch} type bridge")
        self.ip(f"addr add {self.HERE}/24 dev {self.switch}")
        self.ip(f"link set {self.switch} up")
        self.ip(f"netns add {self.name}")
        self.ip(f"link add {self.port} type veth peer name eth0 netns {self.name}")
        self.ip(f"link set {self.port} master {self.switch} up")
        self.ip(f"-n {self.name} addr add 10.79.0.2/24 dev eth0")
        self.ip(f"-n {self.name} link set eth0 up")

    def ip(self, args: str) -> None:
        """Run `ip`."""
        subprocess.run(["ip", *args.split()], check=True)

    def plug(self, state: str) -> None:
        """Pull the cable (`down`), or plug it in again (`up`)."""
        self.ip(f"link set {self.port} {state}")

    def remove(self) -> None:
        """Remove the namespace and the switch."""
        self.ip(f"netns del {self.name}")
        self.ip(f"link del {self.switch}")


class Cluster:
    """A coordinator, workers with one process each, and a job that does not end."""

    def __init__(self, maniple: Path, folder: Path, workers: int, host: str = "127.0.0.1") -> None:
        self.maniple, self.folder = maniple, folder
        self.listen = f"{host}:0"
        self.started: list[subprocess.Popen[bytes]] = []
        (folder / "f.py").write_text(FUNCTION)
        (folder / "tasks.jsonl").write_text("".join(f"[{number}]\n" for number in range(1_000_000)))
        self.coordinator = self.start_coordinator()
        self.workers = [self.start_worker(number) for number in range(workers)]
        self.next = workers
        job = ["f:f", "--tasks", "tasks.jsonl", "--checkpoint", "checkpoint", "--detach", "--retries", "100"]
        self.start("submit", "--access-file", "access/client.access", *job).wait()
        self.settle()

    def start(self, *args: str, worker: str = "", on: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a verb, `on` another machine if so."""
        environment = dict(os.environ, VIRTUAL_ENV=sys.prefix, BENCH_WORKER=worker, PYTHONDONTWRITEBYTECODE="1")
        with open(self.folder / "said", "ab") as said:
            started = subprocess.Popen(
                [*on, self.maniple, *args], cwd=self.folder, env=environment, stdout=said, stderr=said
            )
        self.started.append(started)
        return started

    def start_coordinator(self) -> subprocess.Popen[bytes]:
        """Start the coordinator, on the same port as before."""
        said = self.folder / "said"
        said.write_bytes(b"")
        started = self.start("coordinator", "--listen", self.listen, "--access-dir", "access")
        self.listen = address(said)
        return started

    def start_worker(self, number: int, on: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a worker with one process."""
        return self.start("worker", "--access-file", "access/worker.access", "-j", "1", worker=str(number), on=on)

    def runs(self) -> list[tuple[int, int, str, float]]:
        """Task, process, worker and time of each begin so far."""
        text = (self.folder / "log").read_text() if (self.folder / "log").exists() else ""
        lines = (line.split() for line in text[: text.rfind("\n") + 1].splitlines())
        return [(int(task), int(pid), worker, float(at)) for task, pid, worker, at in lines]

    def settle(self) -> None:
        """Wait until every worker is at work."""
        begun = time.monotonic()
        wait_for(
            "work on every worker",
            lambda: len({run[2] for run in self.runs() if run[3] > begun}) >= len(self.workers),
        )

    def kill_process(self) -> float:
        """Kill the process of a pool; seconds until its successor's first task."""
        _, pid, worker, _ = self.runs()[-1]
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)

        def later() -> list[float]:
            return [run[3] for run in self.runs() if run[2] == worker and run[1] != pid and run[3] > killed]

        wait_for("a successor's task", later)
        return min(later()) - killed

    def kill_worker(self) -> float:
        """Kill a worker; seconds until the last task that it was running runs elsewhere."""
        doomed = self.workers.pop(0)
        found = engine(doomed.pid)
        assert found, "it was at work"
        pids = {pid for pid in children(doomed.pid) if pid != found}

        def begun() -> int:
            return sum(run[1] in pids for run in self.runs())

        # In the midst of a task: one that had ended would not be run again.
        before = begun()
        wait_for("another task of the worker", lambda: begun() > before)
        killed = time.monotonic()
        for pid in (doomed.pid, found):
            os.kill(pid, signal.SIGKILL)
        doomed.wait()
        running = [run[0] for run in self.runs() if run[1] in pids][-1]

        def later() -> list[float]:
            return [run[3] for run in self.runs() if run[0] == running and run[1] not in pids]

        wait_for("another run of its task", later)
        self.workers.append(self.start_worker(self.next))
        self.next += 1
        return min(later()) - killed

    def restart_coordinator(self) -> float:
        """Kill the coordinator; seconds from its successor's start until each worker begins tasks that it leased."""
        self.coordinator.kill()
        self.coordinator.wait()
        # Workers go on with what they hold; only when nobody has anything left is new work told from old.
        wait_for("the end of what was leased", lambda: self.runs()[-1][3] < time.monotonic() - 10 * TASK)
        known = {run[0] for run in self.runs()}
        began = time.monotonic()
        self.coordinator = self.start_coordinator()

        def flowing() -> dict[str, float]:
            first: dict[str, float] = {}
            for task, _, worker, at in self.runs():
                if task not in known and at > began:
                    first.setdefault(worker, at)
            return first

        wait_for("work after the restart", lambda: len(flowing()) >= len(self.workers))
        return max(flowing().values()) - began

    def vanish(self, machine: Machine, far: str) -> float:
        """Take a worker's machine from the network; seconds until what it was given last runs elsewhere."""

        def begun() -> list[tuple[int, int, str, float]]:
            return [run for run in self.runs() if run[2] == far]

        before = len(begun())
        wait_for("another task of the far worker", lambda: len(begun()) > before)
        gone = time.monotonic()
        machine.plug("down")
        # It goes on with what it holds, and can tell nobody.
        wait_for("the end of what it holds", lambda: begun()[-1][3] < time.monotonic() - 10 * TASK)
        last = begun()[-1]
        assert last[3] > gone, "it held nothing"

        def later() -> list[float]:
            return [run[3] for run in self.runs() if run[0] == last[0] and run[2] != far]

        wait_for("another run of its task", later)
        took = min(later()) - gone
        machine.plug("up")
        return took

    def stop(self) -> None:
        """End everything."""
        for started in self.started:
            if started.poll() is None:
                started.terminate()
        for started in self.started:
            started.wait()


def vanishings(maniple: Path, workers: int, rounds: int) -> list[float]:
    """Seconds for each time that the machine of one of the workers vanishes."""
    machine = Machine()
    try:
        with tempfile.TemporaryDirectory(prefix="maniple-bench-") as folder:
            cluster = Cluster(maniple, Path(folder), workers - 1, machine.HERE)
            try:
                cluster.workers.append(cluster.start_worker(workers, ("ip", "netns", "exec", machine.name)))
                figures = []
                for _ in range(rounds):
                    cluster.settle()
                    figures.append(cluster.vanish(machine, str(workers)))
                return figures
            finally:
                cluster.stop()
    finally:
        machine.remove()


def main() -> int:
    """Measure, print the table, and tell by the exit code whether every bar is met."""
    parser = argparse.ArgumentParser(description="Measure how soon work flows again after a kill.")
    parser.add_argument("--rounds", type=int, default=10, help="kills of each kind (default: 10)")
    parser.add_argument("--workers", type=int, default=10, help="workers, with a process each (default: 10)")
    parser.add_argument("--vanish", type=int, default=0, help="times that a machine vanishes (default: 0); needs root")
    default = HERE.parent / "target" / "release" / "maniple"
    parser.add_argument("--maniple", type=Path, default=default, help="the binary (default: that of `make build`)")
    asked = parser.parse_args()
    if not asked.maniple.exists():
        parser.error(f"{asked.maniple} is not there; run `make build`")
    figures: dict[str, list[float]] = {name: [] for name in BARS}
    with tempfile.TemporaryDirectory(prefix="maniple-bench-") as folder:
        cluster = Cluster(asked.maniple.resolve(), Path(folder), asked.workers)
        try:
            kills = (cluster.kill_process, cluster.kill_worker, cluster.restart_coordinator)
            for _ in range(asked.rounds):
                for name, kill in zip(BARS, kills, strict=True):
                    figures[name].append(kill())
                    cluster.settle()
        finally:
            cluster.stop()
    bars = dict(BARS)
    if asked.vanish:
        name = "machine that vanishes"
        figures[name], bars[name] = vanishings(asked.maniple.resolve(), asked.workers, asked.vanish), LEASE
    print(f"{asked.workers} workers, {asked.rounds} kills of each kind, tasks of {TASK * 1e3:.0f} ms")
    passed = True
    for name, bar in bars.items():
        if not figures[name]:
            continue
        middle, worst = statistics.median(figures[name]), max(figures[name])
        passed &= worst <= bar
        verdict = "PASS" if worst <= bar else "FAIL"
        shown = f"median {middle * 1e3:6.0f} ms   worst {worst * 1e3:6.0f} ms   bar {bar * 1e3:5.0f} ms"
        print(f"{name:<28}{shown}  {verdict}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
