"""Memory, descriptors, threads and processes of the cluster, every few seconds, as rows of a CSV."""

from __future__ import annotations

import csv
import os
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cluster import Cluster, marked
from processes import read

EVERY = 5.0
COLUMNS = (
    "seconds",
    "round",
    "at_rest",
    "role",
    "pid",
    "processes",
    "anonymous_kib",
    "resident_kib",
    "descriptors",
    "threads",
    "disk_kib",
)


class Sizes(NamedTuple):
    """What processes take, added up."""

    anonymous: int
    resident: int
    descriptors: int
    threads: int


def number(text: bytes, name: bytes) -> int:
    """A number of /proc/PID/status."""
    found = re.search(rb"^%s:\s+(\d+)" % name, text, re.MULTILINE)
    return int(found[1]) if found else 0


def sizes(pids: Iterable[int]) -> Sizes:
    """What these processes take."""
    total = [0, 0, 0, 0]
    for pid in pids:
        status = read(f"/proc/{pid}/status")
        try:
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            descriptors = 0
        names = (b"RssAnon", b"VmRSS", b"", b"Threads")
        for place, name in enumerate(names):
            total[place] += number(status, name) if name else descriptors
    return Sizes(*total)


def size_of(folder: Path) -> int:
    """KiB of the files of a folder."""
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(above, name)).st_size
            except OSError:
                continue
    return total >> 10


class Sampler(threading.Thread):
    """Writes samples until it is told to end."""

    def __init__(self, cluster: Cluster, path: Path, began: float) -> None:
        super().__init__(name="samples", daemon=True)
        self.cluster, self.began = cluster, began
        self.over = threading.Event()
        self.round = 0
        self.at_rest = False
        self.file = open(path, "w", newline="")
        self.rows = csv.writer(self.file)
        self.rows.writerow(COLUMNS)

    def run(self) -> None:
        """Take samples."""
        while not self.over.wait(EVERY):
            self.take()
        self.file.close()

    def take(self) -> None:
        """Take one sample of everything."""
        at = [f"{time.monotonic() - self.began:.1f}", self.round, int(self.at_rest)]
        coordinator = self.cluster.coordinator.pid
        roles: dict[str, list[int]] = {"coordinator": [coordinator], "pools": []}
        for worker in list(self.cluster.workers):
            engine = worker.engine
            roles[f"worker {worker.number} keeper"] = [worker.keeper]
            roles[f"worker {worker.number} engine"] = [engine] if engine else []
            roles["pools"] += worker.pool
        roles["all"] = marked(self.cluster.mark)
        for role, pids in roles.items():
            pid = pids[0] if len(pids) == 1 else ""
            disk = size_of(self.cluster.folder / "state") if role == "coordinator" else ""
            self.rows.writerow([*at, role, pid, len(pids), *sizes(pids), disk])
        self.file.flush()
