#!/usr/bin/env python3
"""A long list of which a few tasks are missing: seconds until the first of them computes, and memory a key.

    .venv/bin/python bench/resume.py [--tasks N] [--missing N] [--shuffled] [--rounds N]

README.md beside this file says what is measured and how. Needs the standard library only. The exit code is 0 if both
bars are met.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from memory import engine_peak

HERE = Path(__file__).resolve().parent
CODES = 5_400
"""Codes a day; tasks are days times codes."""
FEW = 1_000
"""Tasks of the run that tells what the engine needs for no keys at all."""
TIME_BAR = 0.5e-6
"""Seconds a task until the first one that is missing computes: 10 s for 20,000,000."""
MEMORY_BAR = 24.0
"""Bytes of the engine's peak a key, the key's own bytes included."""


def line(task: int) -> str:
    """A task as a line of the file."""
    day, code = divmod(task, CODES)
    return f'[{20240102 + day}, "{code:06}"]\n'


def write(path: Path, tasks: Iterable[int]) -> None:
    """Writes a task file."""
    with open(path, "w", buffering=1 << 20) as file:
        file.writelines(map(line, tasks))


@dataclass(frozen=True)
class Figures:
    """What one run showed."""

    first: float
    """Seconds from its start to its first call."""
    wall: float
    """Seconds from its start to its end."""
    peak: int
    """Bytes of the engine's peak."""


class Resume:
    """A checkpoint that lacks a few of some tasks, and the file of them all."""

    def __init__(self, maniple: Path, folder: Path, count: int, missing: int, shuffled: bool) -> None:
        self.maniple, self.folder = maniple, folder
        self.count, self.missing = count, missing
        self.tasks = folder / "tasks.jsonl"
        self.checkpoint = folder / "checkpoint"
        gone = {count * number // missing for number in range(missing)}
        write(self.tasks, (task for task in range(count) if task not in gone))
        self.check(self.start(), done=count - missing, skipped=0)
        self.known = folder / "known"
        self.checkpoint.rename(self.known)
        order = list(range(count)) if shuffled else range(count)
        if isinstance(order, list):
            random.Random(count).shuffle(order)
        write(self.tasks, order)

    def start(self, stamps: Path | None = None) -> subprocess.Popen[str]:
        """Starts a run over the tasks, with the checkpoint."""
        work = ["bench_tasks:stamped", "--tasks", str(self.tasks), "--checkpoint", str(self.checkpoint)]
        environment = dict(os.environ, VIRTUAL_ENV=sys.prefix, PYTHONPATH=str(HERE))
        if stamps is not None:
            environment["MANIPLE_BENCH_STAMPS"] = str(stamps)
        command = [str(self.maniple), "run", "-j", "2", *work, "--quiet", "--json"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE, env=environment)

    def check(self, started: subprocess.Popen[str], done: int, skipped: int) -> None:
        """Waits for a run; one that has done something else ends the benchmark."""
        summary = json.loads(started.communicate()[0])
        if (summary["done"], summary["skipped"], summary["failed"]) != (done, skipped, 0):
            sys.exit(f"bench: expected {done} done and {skipped} skipped, but: {summary}")

    def measure(self) -> Figures:
        """Runs what is missing, on a copy of the checkpoint."""
        self.checkpoint.write_bytes(self.known.read_bytes())
        stamps = self.folder / "stamps"
        began = time.time()
        started = self.start(stamps)
        peak = engine_peak(started)
        wall = time.time() - began
        self.check(started, done=self.missing, skipped=self.count - self.missing)
        first = min(map(float, stamps.read_text().split())) - began
        stamps.unlink()
        return Figures(first, wall, peak)


def main() -> int:
    """Measures, prints the figures, and tells by the exit code whether both bars are met."""
    parser = argparse.ArgumentParser(description="Measure how a long list with a few missing tasks is resumed.")
    parser.add_argument("--tasks", type=int, default=20_000_000, help="tasks in the list (default: 20,000,000)")
    parser.add_argument("--missing", type=int, default=10, help="tasks the checkpoint lacks (default: 10)")
    parser.add_argument("--shuffled", action="store_true", help="give the list in another order than it was run in")
    parser.add_argument("--rounds", type=int, default=3, help="runs; the median counts (default: 3)")
    default = HERE.parent / "target" / "release" / "maniple"
    parser.add_argument("--maniple", type=Path, default=default, help="the binary (default: that of `make build`)")
    parser.add_argument(
        "--folder", type=Path, help="where files of about 75 bytes a task fit (default: a temporary one)"
    )
    options = parser.parse_args()
    if not options.maniple.exists():
        parser.error(f"{options.maniple} is not there; run `make build`")
    maniple = options.maniple.resolve()
    with tempfile.TemporaryDirectory(prefix="maniple-bench-", dir=options.folder) as folder:
        few, many = Path(folder, "few").resolve(), Path(folder, "many").resolve()
        few.mkdir()
        many.mkdir()
        base = Resume(maniple, few, FEW, 1, False).measure()
        resume = Resume(maniple, many, options.tasks, options.missing, options.shuffled)
        runs = [resume.measure() for _ in range(options.rounds)]
    for run in runs:
        print(f"first task after {run.first:.2f} s, end after {run.wall:.2f} s, peak {run.peak / 1e6:.0f} MB")
    middle = sorted(runs, key=lambda run: run.first)[len(runs) // 2]
    time_a_key = middle.first / options.tasks
    bytes_a_key = (max(run.peak for run in runs) - base.peak) / options.tasks
    time_met, memory_met = time_a_key <= TIME_BAR, bytes_a_key <= MEMORY_BAR
    verdict = {True: "PASS", False: "FAIL"}
    print(
        f"{options.tasks:,} tasks, {options.missing} missing; without tasks the engine needs {base.peak / 1e6:.0f} MB"
    )
    print(
        f"time to the first task    {middle.first:8.2f} s   bar {TIME_BAR * options.tasks:.2f} s  {verdict[time_met]}"
    )
    print(f"the engine's peak a key   {bytes_a_key:8.1f} B   bar {MEMORY_BAR:.1f} B   {verdict[memory_met]}")
    return 0 if time_met and memory_met else 1


if __name__ == "__main__":
    sys.exit(main())
