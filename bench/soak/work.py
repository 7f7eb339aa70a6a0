"""What the tasks of the soak do, and what has to come out. It is copied into the folder that the cluster works in."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

LARGE = 100_000
"""Bytes of a large value."""


def fails(name: str, n: int) -> bool:
    """Whether this task fails whenever it is run."""
    return (name in ("failing", "command") and n % 50 == 7) or (name == "grim" and n % 400 == 13)


def value(name: str, n: int) -> Any:
    """What a task returns that does not fail."""
    if name == "command":
        return {"stdout": f"{n}\n", "stderr": ""}
    return n.to_bytes(8, "big") * (LARGE // 8) if name == "large" else [n, n * 0.1, str(n)]


def pause(n: int) -> None:
    """Wait for 40 ms on average."""
    time.sleep((10, 20, 30, 40, 40, 60, 80)[n % 7] / 1e3)


def plain(n: int) -> Any:
    """Return a row."""
    pause(n)
    return value("plain", n)


def failing(n: int) -> Any:
    """Return a row, or raise."""
    pause(n)
    if fails("failing", n):
        raise ValueError(n)
    return value("failing", n)


def large(n: int) -> Any:
    """Return a large value."""
    time.sleep(0.15)
    return value("large", n)


def grim(n: int) -> Any:
    """Return a row, or kill the process."""
    pause(n)
    if fails("grim", n):
        os.kill(os.getpid(), signal.SIGKILL)
    return value("grim", n)


def leaving(n: int) -> Any:
    """Return a row, and now and then leave a process behind in a session of its own."""
    pause(n)
    if n % 100 == 0:
        subprocess.Popen(["sleep", "2"], start_new_session=True)
    return value("leaving", n)
