"""The jobs of the soak: how each is handed in, gone on with when its client was killed, and held against its list."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import work
from cluster import Cluster
from maniple import Checkpoint

SHELL = "sleep 0.04; [ $(({} % 50)) -ne 7 ] && echo {}"
KINDS = (
    *[("attached", "plain")] * 3,
    *[("detached", "plain")] * 3,
    *[("attached", "failing")] * 2,
    ("detached", "failing"),
    ("attached", "large"),
    ("attached", "grim"),
    ("detached", "grim"),
    ("attached", "leaving"),
    *[("attached", "command")] * 2,
    ("detached", "command"),
    ("printed", "plain"),
    ("python", "failing"),
    ("python", "large"),
    ("python without checkpoint", "large"),
)
"""The 20 jobs of a round: how each is handed in, what its tasks do."""
LATER = ("in use", "cannot join cluster")
"""What a client says that may be given again: its checkpoint still has a writer, or the coordinator is stopped."""
SLACK = 240.0
"""Seconds that a job may take beyond three times what it is meant to."""


class Trouble(Exception):
    """A promise was broken."""


@dataclass
class Job:
    """One job."""

    number: int
    form: str
    name: str
    count: int
    """Of tasks."""
    seconds: float
    """What it is meant to take."""


def round_of(first: int, dice: random.Random, longest: float) -> list[Job]:
    """The jobs of a round, in an order of their own."""
    kinds = random.Random(dice.random()).sample(KINDS, len(KINDS))
    jobs = []
    for number, (form, name) in enumerate(kinds, first):
        seconds = min(dice.uniform(40, 130), longest)
        # Four jobs share six processes.
        each = 0.15 if name == "large" else 0.04
        jobs.append(Job(number, form, name, max(20, int(seconds * 1.5 / each)), seconds))
    return jobs


class Clients:
    """The clients that run, for whom faults choose one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.resumed = 0

    def kill_one(self, dice: random.Random) -> bool:
        """Kill a client; whether there is one."""
        with self.lock:
            alive = [number for number, client in self.running.items() if client.poll() is None]
            if not alive:
                return False
            self.running[dice.choice(alive)].kill()
            return True

    def kill_all(self) -> None:
        """Kill every client."""
        with self.lock:
            for client in self.running.values():
                client.kill()


class Run:
    """A job that is carried out."""

    def __init__(self, job: Job, cluster: Cluster, clients: Clients, over: threading.Event) -> None:
        self.job, self.cluster, self.clients, self.over = job, cluster, clients, over
        self.folder = cluster.folder / "jobs" / f"{job.number}"
        self.folder.mkdir()
        self.checkpoint = self.folder / "checkpoint"
        self.deadline = time.monotonic() + 3 * job.seconds + SLACK

    def carry_out(self) -> None:
        """From the list of tasks to the last check. Raises Trouble."""
        job = self.job
        (self.folder / "tasks.jsonl").write_text("".join(f"{n}\n" for n in range(job.count)))
        if job.form.startswith("python"):
            self._python(without="without" in job.form)
        elif job.form == "printed":
            self._printed()
        else:
            if job.form == "detached":
                self._client(self._submit("--detach"), (0,))
                self._wait_for_all()
            failing = sum(work.fails(job.name, n) for n in range(job.count))
            self._summary(failing)
            again = self._summary(failing)
            if again["done"] or again["skipped"] != job.count - failing:
                raise Trouble(f"what has a value was computed again: {again}")
        if self.checkpoint.exists():
            self._check()
        shutil.rmtree(self.folder)

    def _submit(self, *more: str) -> list[str | Path]:
        job = self.job
        head: list[str | Path] = [self.cluster.maniple, "submit", "--access-file", "access/client.access"]
        retries = "5" if job.name == "grim" else "100"
        options: list[str | Path] = [*more, "--tasks", self.folder / "tasks.jsonl", "--retries", retries]
        if job.form != "printed":
            options += ["--checkpoint", self.checkpoint, "--json"]
        what = ["--", "sh", "-c", SHELL] if job.name == "command" else [f"work:{job.name}"]
        return [*head, *options, *what] if job.name == "command" else [*head, *what, *options]

    def _client(self, command: list[str | Path], wanted: tuple[int, ...]) -> bytes:
        """Run a client, again if it is killed or has to come later; what it printed."""
        said = f"job{self.job.number}"
        out, error = (self.cluster.folder / "said" / name for name in (f"{said}.out", said))
        while not self.over.is_set():
            out.unlink(missing_ok=True)
            error.unlink(missing_ok=True)
            client = self.cluster.start(command, said)
            with self.clients.lock:
                self.clients.running[self.job.number] = client
            try:
                code = client.wait(max(1.0, self.deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                client.kill()
                client.wait()
                raise Trouble("it does not end") from None
            finally:
                with self.clients.lock:
                    self.clients.running.pop(self.job.number, None)
            words = error.read_text()
            if code == -9 and not self.over.is_set():
                self.clients.resumed += 1
            elif any(reason in words for reason in LATER) and time.monotonic() < self.deadline:
                self.over.wait(0.5)
            elif code in wanted:
                text = out.read_bytes()
                out.unlink()
                error.unlink()
                return text
            else:
                raise Trouble(f"exit code {code}: {words[-2000:]}")
        raise Trouble("the soak was interrupted")

    def _summary(self, failing: int) -> dict[str, object]:
        summary: dict[str, object] = json.loads(self._client(self._submit(), (0, 1)))
        if summary["left"] != 0 or summary["stopped"] is not None or summary["failed"] != failing:
            raise Trouble(f"{failing} tasks should fail: {summary}")
        return summary

    def _wait_for_all(self) -> None:
        """Until the checkpoint of a detached job has all outcomes."""
        while not self.over.wait(2):
            asked = subprocess.run(
                [self.cluster.maniple, "checkpoint", "info", self.checkpoint, "--json"],
                capture_output=True,
                check=False,
            )
            held = json.loads(asked.stdout) if asked.returncode == 0 else {"values": 0, "failed": 0}
            if held["values"] + held["failed"] >= self.job.count:
                return
            if time.monotonic() > self.deadline:
                raise Trouble(f"it does not end: {held}")

    def _printed(self) -> None:
        lines = self._client(self._submit(), (0,)).splitlines()
        if sorted(map(json.loads, lines)) != [[n, work.value(self.job.name, n)] for n in range(self.job.count)]:
            raise Trouble(f"{len(lines)} lines are not the values of {self.job.count} tasks")

    def _python(self, without: bool) -> None:
        job = self.job
        checkpoint = "-" if without else f"{self.checkpoint}"
        said = json.loads(self._client([sys.executable, "client.py", job.name, f"{job.count}", checkpoint], (0,)))
        if said != {"right": True, "failed": [n for n in range(job.count) if work.fails(job.name, n)]}:
            raise Trouble(f"wrong values: {said}")

    def _check(self) -> None:
        """Each task has exactly one outcome, and the right one."""
        job = self.job
        verified = subprocess.run(
            [self.cluster.maniple, "checkpoint", "verify", self.checkpoint], capture_output=True, check=False
        )
        if verified.returncode != 0:
            raise Trouble(f"checkpoint verify: {verified.stderr.decode()}")
        with Checkpoint(self.checkpoint) as checkpoint:
            rows = list(checkpoint.items())
            failed = sorted(key for key, _ in checkpoint.failures())
        wrong = [key for key, found in rows if found != work.value(job.name, key)]
        keys = sorted(key for key, _ in rows)
        if keys != [n for n in range(job.count) if not work.fails(job.name, n)]:
            raise Trouble(f"{len(keys)} values for {job.count} tasks, or of others")
        if failed != [n for n in range(job.count) if work.fails(job.name, n)]:
            raise Trouble(f"these failed: {failed[:20]}")
        if wrong:
            raise Trouble(f"wrong values: {wrong[:20]}")
