#!/usr/bin/env python3
"""Maniple and what people use now, side by side: wall times as ratios, memory in bytes, each against its bar.

Called by `make bench`; README.md beside this file says what is measured and how. Needs the standard library only.
The exit code is 0 if every bar is met.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from memory import engine_peak

HERE = Path(__file__).resolve().parent
CALLS = 1_000_000
COMMANDS = 5_000
PAIRS = 3
"""Times that the commands are run in a round: the two programs are within a few percent, less than runs differ."""
POOL_BAR = 0.25
"""Wall time of the calls, as a share of multiprocessing.Pool's."""
XARGS_BAR = 1.0
"""Wall time of the commands, as a share of xargs's."""
RESUME_BAR = 1.0
"""Wall time of a run that finds every result in the checkpoint, as a share of the run that computed them."""
MEMORY_BAR = 100e6
"""Bytes of the engine's peak."""


@dataclass(frozen=True)
class Line:
    """A line of the table: what was measured, the figures, and the bar that they are held to."""

    what: str
    figures: str
    measured: float
    bar: float
    text: Callable[[float], str]

    @property
    def passed(self) -> bool:
        """Whether the bar is met."""
        return self.measured <= self.bar

    def __str__(self) -> str:
        """The line as it is printed."""
        verdict = "PASS" if self.passed else "FAIL"
        return f"{self.what:<36}{self.figures:<42}{self.text(self.measured):>8}  bar {self.text(self.bar):<7}{verdict}"


def ratio(number: float) -> str:
    """A ratio as it is printed."""
    return f"{number:.3f}x"


def megabytes(number: float) -> str:
    """A size as it is printed."""
    return f"{number / 1e6:.0f} MB"


class Bench:
    """A folder with the task files, and the programs that read them."""

    def __init__(self, maniple: Path, folder: Path) -> None:
        self.maniple = maniple
        self.folder = folder
        self.environment = dict(os.environ, VIRTUAL_ENV=sys.prefix, PYTHONPATH=str(HERE))
        self.calls = folder / "calls.jsonl"
        self.calls.write_text("".join(f"[{number}]\n" for number in range(CALLS)))
        self.commands = folder / "commands.txt"
        self.commands.write_text("".join(f"{number}\n" for number in range(1, COMMANDS + 1)))
        self.made = 0

    def checkpoint(self) -> Path:
        """The path of a checkpoint that is not there yet."""
        self.made += 1
        return self.folder / f"{self.made}.checkpoint"

    def maniple_calls(self, checkpoint: Path) -> list[str]:
        """The million calls by Maniple."""
        work = ["bench_tasks:trivial", "--tasks", str(self.calls)]
        return [str(self.maniple), "run", "-j", "2", *work, "--checkpoint", str(checkpoint), "--quiet"]

    def maniple_commands(self, checkpoint: Path) -> list[str]:
        """The five thousand commands by Maniple."""
        options = ["--tasks", "-", "-j", "2", "--checkpoint", str(checkpoint), "--quiet"]
        return [str(self.maniple), "run", *options, "--", "true", "{}"]

    def start(self, command: list[str], stdin: Path | None = None) -> subprocess.Popen[str]:
        """Starts a program in the folder of the benchmark's modules."""
        with open(stdin or os.devnull) as tasks:
            return subprocess.Popen(
                command, stdin=tasks, stdout=subprocess.PIPE, text=True, cwd=HERE, env=self.environment
            )

    def time(self, command: list[str], stdin: Path | None = None) -> float:
        """Seconds from start to exit; a program that fails ends the benchmark."""
        began = time.perf_counter()
        started = self.start(command, stdin)
        started.communicate()
        seconds = time.perf_counter() - began
        if started.returncode != 0:
            sys.exit(f"bench: exit code {started.returncode} of: {' '.join(command)}")
        return seconds

    def resume(self, checkpoint: Path) -> float:
        """Seconds of a run that has nothing to compute; the checkpoint has to hold every value, or this ends."""
        began = time.perf_counter()
        started = self.start([*self.maniple_calls(checkpoint), "--json"])
        summary = json.loads(started.communicate()[0])
        seconds = time.perf_counter() - began
        if (summary["done"], summary["skipped"], summary["failed"]) != (0, CALLS, 0):
            sys.exit(f"bench: the checkpoint does not hold every value: {summary}")
        return seconds

    def peak(self, command: list[str], stdin: Path | None = None) -> int:
        """Bytes of the engine's peak."""
        started = self.start(command, stdin)
        peak = engine_peak(started)
        started.communicate()
        if started.returncode != 0 or peak == 0:
            sys.exit(f"bench: exit code {started.returncode}, engine's peak {peak} of: {' '.join(command)}")
        return peak


def measure(bench: Bench, rounds: int) -> list[Line]:
    """All figures, in rounds: each program in each round, so that a slow minute of the machine meets them all."""
    names = ("pool", "calls", "resume", "xargs", "commands")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds} ...", file=sys.stderr, flush=True)
        checkpoint = bench.checkpoint()
        seconds["pool"].append(bench.time([sys.executable, "pool_map.py", str(bench.calls)]))
        seconds["calls"].append(bench.time(bench.maniple_calls(checkpoint)))
        seconds["resume"].append(bench.resume(checkpoint))
        for _ in range(PAIRS):
            seconds["xargs"].append(bench.time(["xargs", "-P2", "-n1", "true"], bench.commands))
            seconds["commands"].append(bench.time(bench.maniple_commands(bench.checkpoint()), bench.commands))
        checkpoint.unlink()
    pool, calls, resume, xargs, commands = (statistics.median(seconds[name]) for name in names)
    calls_peak = bench.peak(bench.maniple_calls(bench.checkpoint()))
    commands_peak = bench.peak(bench.maniple_commands(bench.checkpoint()), bench.commands)

    def line(what: str, ours: float, theirs: float, other: str, bar: float) -> Line:
        return Line(what, f"{ours:.2f} s, {other} {theirs:.2f} s", ours / theirs, bar, ratio)

    return [
        line(f"{CALLS:,} calls", calls, pool, "multiprocessing.Pool", POOL_BAR),
        line(f"{CALLS:,} calls, all known", resume, calls, "computed", RESUME_BAR),
        line(f"{COMMANDS:,} commands", commands, xargs, "xargs -P2", XARGS_BAR),
        Line(f"memory, {CALLS:,} calls", "peak of the engine", calls_peak, MEMORY_BAR, megabytes),
        Line(f"memory, {COMMANDS:,} commands", "peak of the engine", commands_peak, MEMORY_BAR, megabytes),
    ]


def main() -> int:
    """Measures, prints the table, and tells by the exit code whether every bar is met."""
    parser = argparse.ArgumentParser(description="Measure Maniple side by side with multiprocessing.Pool and xargs.")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; figures are medians of them (default: 5)")
    default = HERE.parent / "target" / "release" / "maniple"
    parser.add_argument("--maniple", type=Path, default=default, help="the binary (default: that of `make build`)")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error("a median needs at least 3 rounds")
    if not options.maniple.exists():
        parser.error(f"{options.maniple} is not there; run `make build`")
    with tempfile.TemporaryDirectory(prefix="maniple-bench-") as folder:
        lines = measure(Bench(options.maniple.resolve(), Path(folder)), options.rounds)
    print(f"medians of {options.rounds} rounds, two processes each; a ratio below 1 is faster")
    print(*lines, sep="\n")
    return 0 if all(line.passed for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
