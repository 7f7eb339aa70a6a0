"""What the benches share that start a cluster: processes as /proc shows them, and waiting for what they do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 60.0


def wait_for(what: str, found: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until something is so; what gives no notice of itself is looked at every 5 ms."""
    deadline = time.monotonic() + patience
    while not found():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not happen within {patience:.0f} s")
        time.sleep(0.005)


def read(path: str) -> bytes:
    """A file of /proc; empty if the process has ended."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in read(f"/proc/{pid}/task/{pid}/children").split()]


def engine(keeper: int) -> int | None:
    """The child of a worker's keeper that does the work, if it is there yet."""
    for pid in children(keeper):
        if b"\0worker\0" in read(f"/proc/{pid}/cmdline"):
            return pid
    return None


def address(said: Path) -> str:
    """Where a coordinator listens, once it has said so."""
    wait_for("the coordinator's start", lambda: b"listening on " in said.read_bytes())
    return said.read_text().split("listening on ")[1].split()[0]
