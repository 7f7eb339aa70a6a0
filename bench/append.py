#!/usr/bin/env python3
"""A large checkpoint written as fast as it goes, against dd with the same syncs; and how long it takes to open it.

README.md beside this file says what is measured and how. Needs cargo and the standard library. The exit code is 0 if
every bar is met. One file of 2 KiB a row at a time; all are removed at the end.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APPEND = ROOT / "target" / "release" / "examples" / "append"
BLOCK = 8 << 20
"""Bytes between two syncs: what waits in memory becomes a frame from here on."""
THROUGHPUT_BAR = 0.8
"""Bytes a second, as a share of dd's."""
OPEN_BAR = 3.0
"""Seconds to open the file in order to go on with it."""
RATE = 50e6
"""Bytes a second that a job may produce ..."""
CPU_BAR = 0.05
"""... and the share of a core that writing them takes."""


def run(*command: object) -> tuple[float, float]:
    """Wall and processor seconds of a program that ends well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def forget(path: Path) -> None:
    """Take a file out of the page cache."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def opening(path: Path, width: int, *, cold: bool) -> float:
    """Seconds of a writer that only opens the file and closes it."""
    if cold:
        forget(path)
    return run(APPEND, path, 0, width)[0]


def cut(path: Path) -> None:
    """Leave the file as a writer leaves it that was killed in the midst of its last frames."""
    os.truncate(path, path.stat().st_size - BLOCK - BLOCK // 2)


def verdict(what: str, figures: str, measured: str, bar: str, *, passed: bool) -> bool:
    """Print a line of the table."""
    print(f"{what:<34}{figures:<44}{measured:>8}  bar {bar:<7}{'PASS' if passed else 'FAIL'}", flush=True)
    return passed


def main() -> int:
    """Measure, print the table, and tell by the exit code whether every bar is met."""
    parser = argparse.ArgumentParser(description="Measure how fast a checkpoint is written and opened.")
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the file (default: 2,000,000)")
    parser.add_argument("--width", type=int, default=262, help="float64 columns (default: 262)")
    parser.add_argument("--rounds", type=int, default=3, help="figures are medians of as many (default: 3)")
    parser.add_argument("--folder", type=Path, help="where the files are made (default: the temporary folder)")
    asked = parser.parse_args()
    subprocess.run(
        ["cargo", "build", "--release", "-q", "-p", "maniple-coordinator", "--example", "append"], cwd=ROOT, check=True
    )
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    opens: dict[str, list[float]] = {"closed, cold": [], "closed": [], "after a crash, cold": [], "after a crash": []}
    with tempfile.TemporaryDirectory(prefix="maniple-bench-", dir=asked.folder) as folder:
        path = Path(folder) / "file"
        for number in range(1, asked.rounds + 1):
            print(f"round {number} of {asked.rounds} ...", file=sys.stderr, flush=True)
            ours.append(run(APPEND, path, asked.rows, asked.width))
            size = path.stat().st_size
            for cold in (True, False):
                opens["closed, cold" if cold else "closed"].append(opening(path, asked.width, cold=cold))
            cut(path)
            opens["after a crash, cold"].append(opening(path, asked.width, cold=True))
            cut(path)
            opens["after a crash"].append(opening(path, asked.width, cold=False))
            path.unlink()
            blocks = f"count={size // BLOCK}"
            theirs.append(run("dd", "if=/dev/zero", f"of={path}", f"bs={BLOCK}", blocks, "oflag=dsync"))
            path.unlink()
    wall, other = (statistics.median(wall for wall, _ in held) for held in (ours, theirs))
    speed = other / wall
    share, least = (statistics.median(cpu for _, cpu in held) * RATE / size for held in (ours, theirs))
    print(f"{asked.rows:,} rows x {asked.width} float64, {size / 1e9:.1f} GB; medians of {asked.rounds} rounds")
    figures = f"{size / wall / 1e6:,.0f} MB/s, dd {size / other / 1e6:,.0f} MB/s"
    bar = f"{THROUGHPUT_BAR:.1f}x"
    passed = [verdict("append", figures, f"{speed:.2f}x", bar, passed=speed >= THROUGHPUT_BAR)]
    cpu = f"of a core at {RATE / 1e6:.0f} MB/s, dd {least:.1%}"
    passed += [verdict("append, processor", cpu, f"{share:.1%}", f"{CPU_BAR:.0%}", passed=share <= CPU_BAR)]
    for what, held in opens.items():
        took = statistics.median(held)
        passed += [verdict(f"open, {what}", "", f"{took:.2f} s", f"{OPEN_BAR:.0f} s", passed=took <= OPEN_BAR)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
