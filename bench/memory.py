"""Peak memory of the engine of a running `maniple`, read from procfs.

`maniple run` is two processes: the keeper, which was started, and the engine, its child of the same executable.
Processes that run tasks are children of the keeper too, but of another executable once they have started.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

SAMPLE_EVERY = 0.005
"""Seconds between two looks."""


def engine_peak(started: subprocess.Popen[str]) -> int:
    """Bytes of the largest resident size that the engine had; returns when the program has ended."""
    return peak_of(started, engines)


def peak_of(started: subprocess.Popen[str], meant: Callable[[int], list[int]]) -> int:
    """Bytes of the largest resident size of the processes that are meant, found by the program's; returns at its end.

    The kernel keeps the peak (`VmHWM`), so only growth in the last moment before the end can be missed.
    """
    peak = 0
    while started.poll() is None:
        peak = max([peak, *map(high_water, meant(started.pid))])
        time.sleep(SAMPLE_EVERY)
    return peak


def engines(keeper: int) -> list[int]:
    """Children of the keeper that run its own executable.

    A task's process does, too, between clone and exec; it shares the keeper's memory then, which is small.
    """
    try:
        executable = os.readlink(f"/proc/{keeper}/exe")
        with open(f"/proc/{keeper}/task/{keeper}/children") as children:
            return [child for child in map(int, children.read().split()) if runs(child, executable)]
    except OSError:
        return []


def runs(pid: int, executable: str) -> bool:
    """Whether a process runs this executable."""
    try:
        return os.readlink(f"/proc/{pid}/exe") == executable
    except OSError:
        return False


def high_water(pid: int) -> int:
    """The peak of a process's resident size in bytes; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/status") as status:
            sizes = [line.split()[1] for line in status if line.startswith("VmHWM:")]
    except OSError:
        return 0
    return int(sizes[0]) * 1024 if sizes else 0
