"""Faults at random, by a seed: what is killed, stopped and cut while jobs run."""

from __future__ import annotations

import csv
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cluster import WORKERS, Cluster, marked, send
from jobs import Clients

DEATHS = (0.04, 0.1, 0.16, 0.22, 0.97)
"""When the coordinator is killed, as shares of the time. In the long stretch between it shows whether it grows."""
STEADY = 0
"""The worker whose keeper and engine are never killed, so that they show whether they grow."""
KINDS = {
    "kill a pool's process": 4,
    "kill a worker's engine": 1,
    "kill a worker's keeper": 1,
    "kill a worker": 1,
    "stop a worker": 3,
    "stop the coordinator": 1,
    "kill a client": 3,
    "reset all connections": 2,
}
"""What there is beside the coordinator's death, and how often it is chosen."""


class Faults:
    """Does faults and writes them down."""

    def __init__(
        self,
        cluster: Cluster,
        clients: Clients,
        path: Path,
        began: float,
        seconds: float,
        seed: int,
        pause: Callable[[float], None],
    ) -> None:
        self.pause = pause
        self.cluster, self.clients, self.began, self.seconds = cluster, clients, began, seconds
        self.dice = random.Random(seed)
        self.resting = threading.Lock()
        """Held while the cluster is at rest: then nothing is done to it."""
        self.deaths = [began + share * seconds for share in DEATHS]
        self.file = open(path, "w", newline="")
        self.rows = csv.writer(self.file)
        self.rows.writerow(("seconds", "fault", "target"))
        self.done: dict[str, int] = {}

    def next_one(self) -> None:
        """Do one fault."""
        with self.resting:
            if self.deaths and time.monotonic() >= self.deaths[0]:
                self.deaths.pop(0)
                what, target = "kill the coordinator", ""
                self._note(what, target)
                self.cluster.restart_coordinator()
            else:
                what = self.dice.choices(list(KINDS), list(KINDS.values()))[0]
                self._do(what)

    def _note(self, what: str, target: object) -> None:
        self.rows.writerow((f"{time.monotonic() - self.began:.1f}", what, target))
        self.file.flush()
        self.done[what] = self.done.get(what, 0) + 1

    def _stop(self, pids: list[int], seconds: float) -> None:
        send(pids, signal.SIGSTOP)
        self.pause(seconds)
        send(pids, signal.SIGCONT)

    def _do(self, what: str) -> None:
        dice, cluster = self.dice, self.cluster
        number = dice.randrange(WORKERS)
        doomed = dice.choice([number for number in range(WORKERS) if number != STEADY])
        seconds = dice.choice((2.0, 4.0, 14.0))
        if what == "kill a pool's process":
            pool = cluster.workers[number].pool
            if pool:
                self._note(what, number)
                send([dice.choice(pool)], signal.SIGKILL)
        elif what == "stop a worker":
            self._note(what, f"{number} for {seconds:.0f} s")
            self._stop(marked(cluster.workers[number].mark), seconds)
        elif what == "stop the coordinator":
            self._note(what, f"for {seconds:.0f} s")
            self._stop([cluster.coordinator.pid], seconds)
        elif what == "kill a client":
            if self.clients.kill_one(dice):
                self._note(what, "")
        elif what == "reset all connections":
            port = cluster.listen.rpartition(":")[2]
            killed = subprocess.run(["ss", "-K", "sport", "=", f":{port}"], capture_output=True, check=False)
            self._note(what if killed.returncode == 0 else "no right to reset connections", "")
        else:
            self._note(what, doomed)
            cluster.restart_worker(
                doomed, keeper=what != "kill a worker's engine", engine=what != "kill a worker's keeper"
            )
