"""A soak: rounds of 20 jobs on a small cluster with faults, for hours; nothing may be lost, nothing may grow.

    .venv/bin/python bench/soak [--seconds N] [--seed N] [--out FOLDER]

docs/soak.md says what is done and what is measured. The exit code is 0 if all jobs were right and all was flat.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import queue
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from cluster import HERE, Cluster
from faults import Faults
from jobs import Clients, Job, Run, round_of
from judge import figures, table
from plot import plot
from samples import EVERY, Sampler

LANES = 4
"""Jobs at a time."""
REST = 16.0
"""Seconds without jobs after each round."""


class Soak:
    """All of it."""

    def __init__(self, maniple: Path, folder: Path, out: Path, seconds: float, every: float, seed: int) -> None:
        self.out, self.seconds, self.every, self.folder = out, seconds, every, folder
        self.dice = random.Random(seed)
        self.trouble: list[str] = []
        self.kinds: dict[str, int] = {}
        self.tasks = 0
        self.over = threading.Event()
        self.interrupted = False
        self.enough: queue.SimpleQueue[None] = queue.SimpleQueue()
        """Holds something once no other fault is due. A signal's handler may put into it, but not set an event."""
        self.cluster = Cluster(maniple, folder, f"soak-{os.getpid()}")
        self.began = time.monotonic()
        self.clients = Clients()
        self.sampler = Sampler(self.cluster, out / "samples.csv", self.began)
        self.faults = Faults(self.cluster, self.clients, out / "faults.csv", self.began, seconds, seed, self.pause)

    def interrupt(self, *_: object) -> None:
        """Note that somebody has had enough; an exception in the midst of a wait would leave locks in disorder."""
        self.interrupted = True
        self.enough.put(None)

    def pause(self, seconds: float) -> None:
        """Wait, unless it is over."""
        with contextlib.suppress(queue.Empty):
            self.enough.put(self.enough.get(timeout=seconds))

    def say(self, text: str) -> None:
        """Tell how it goes."""
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def left(self) -> float:
        """Seconds until no other job is begun."""
        return self.seconds - (time.monotonic() - self.began)

    def lane(self, jobs: queue.SimpleQueue[Job]) -> None:
        """Carry out one job after the other."""
        while not self.over.is_set() and self.left() > 10:
            try:
                job = jobs.get_nowait()
            except queue.Empty:
                return
            job.seconds, longest = min(job.seconds, self.left()), job.seconds
            job.count = max(20, int(job.count * job.seconds / longest))
            begun = time.monotonic()
            try:
                Run(job, self.cluster, self.clients, self.over).carry_out()
                self.tasks += job.count
                name = f"{job.form}: {job.name}"
                self.kinds[name] = self.kinds.get(name, 0) + 1
                took = time.monotonic() - begun
                self.say(f"job {job.number} ({name}): {job.count} tasks, {took:.0f} s for {job.seconds:.0f}")
            except BaseException:
                if not self.over.is_set():
                    self.blame(f"job {job}: {traceback.format_exc()}")

    def blame(self, text: str) -> None:
        """Note what is wrong."""
        self.trouble.append(text)
        self.say(f"TROUBLE {text}")

    def rounds(self) -> None:
        """Round after round."""
        first = 0
        while self.left() > 10 and not self.over.is_set():
            jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
            for job in round_of(first, self.dice, self.seconds / 6):
                jobs.put(job)
                first += 1
            lanes = [threading.Thread(target=self.lane, args=(jobs,)) for _ in range(LANES)]
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
            with self.faults.resting:
                self.over.wait(REST - 2 * EVERY)
                self.sampler.at_rest = True
                self.over.wait(2 * EVERY)
                self.sampler.at_rest = False
            self.say(f"round {self.sampler.round} is over")
            self.sampler.round += 1
        self.enough.put(None)

    def run(self) -> None:
        """Jobs and faults, until the time is over and the last jobs have ended."""
        self.sampler.start()
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
            signal.signal(number, self.interrupt)
        rounds = threading.Thread(target=self.rounds)
        rounds.start()
        dice = random.Random(self.dice.random())
        try:
            while rounds.is_alive() and not self.interrupted:
                self.pause(dice.uniform(2, 4) / 3 * self.every)
                if rounds.is_alive() and self.left() > 0 and not self.interrupted:
                    try:
                        self.faults.next_one()
                    except Exception:
                        self.blame(f"fault: {traceback.format_exc()}")
            if self.interrupted:
                self.blame("interrupted")
                self.over.set()
            while rounds.is_alive():
                if self.interrupted:
                    self.clients.kill_all()
                rounds.join(0.2)  # another client may have been started just now
        finally:
            self.sampler.over.set()
            self.sampler.join()
            self.trouble += self.cluster.stop()
            self.faults.file.close()
        self.look()

    def look(self) -> None:
        """What was left behind, and what the processes said."""
        for name in ("tmp", "jobs"):
            left = sorted(path.name for path in (self.folder / name).iterdir())
            if left and not self.over.is_set():
                self.blame(f"files are left in {name}: {left[:20]}")
        for said in (self.folder / "said").iterdir():
            text = said.read_text(errors="replace")
            for word in ("panicked", "internal error"):
                if word in text:
                    self.blame(f"{said.name} says: {text[max(0, text.index(word) - 200) :][:1000]}")
        if self.trouble:
            shutil.copytree(self.folder / "said", self.out / "said", dirs_exist_ok=True)

    def report(self) -> dict[str, object]:
        """All of it in numbers."""
        measured = figures(self.out / "samples.csv", self.seconds)
        self.trouble += [f"grows: {figure}" for figure in measured if not figure.is_flat]
        print(table(measured))
        return {
            "seconds": round(time.monotonic() - self.began),
            "machine": f"{os.cpu_count()} cores, {platform.platform()}",
            "jobs": sum(self.kinds.values()),
            "rounds": self.sampler.round,
            "tasks": self.tasks,
            "kinds": self.kinds,
            "faults": self.faults.done,
            "clients_resumed": self.clients.resumed,
            "figures": [vars(figure) | {"flat": figure.is_flat} for figure in measured],
            "trouble": self.trouble,
        }


def main() -> int:
    """Soak, and tell by the exit code whether all is well."""
    parser = argparse.ArgumentParser(description="Soak a small cluster: jobs and faults for hours.")
    parser.add_argument("--seconds", type=float, default=7200, help="how long jobs are begun (default: 7200)")
    parser.add_argument("--every", type=float, default=30, help="seconds from one fault to the next (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="of jobs and faults (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="folder for samples and report (default: soak)")
    default = HERE.parent.parent / "target" / "release" / "maniple"
    parser.add_argument("--maniple", type=Path, default=default, help="the binary (default: that of `make build`)")
    asked = parser.parse_args()
    if not asked.maniple.exists():
        parser.error(f"{asked.maniple} is not there; run `make build`")
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="maniple-soak-") as folder:
        soak = Soak(asked.maniple.resolve(), Path(folder), asked.out, asked.seconds, asked.every, asked.seed)
        soak.run()
    report = soak.report()
    (asked.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (asked.out / "soak.svg").write_text(plot(asked.out))
    print(json.dumps({name: report[name] for name in ("seconds", "jobs", "tasks", "faults", "trouble")}, indent=1))
    return 1 if soak.trouble else 0


if __name__ == "__main__":
    sys.exit(main())
