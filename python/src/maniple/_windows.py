"""Tasks without end on one checkpoint: jobs that follow one another, each with as many tasks as suit.

A job that goes on from a checkpoint begins once it knows all its tasks, and its values are read when it has ended. So
a job that is too large has the caller wait, and takes memory; one that is too small has the processes wait.

Invariants
- What is drawn ahead of the values that were taken is one job's tasks.
- All jobs but the first go on from the checkpoint, also where that was new.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ._client.job import Job, Outcomes, Plan, Progress

AIM = 10.0
"""Seconds that a job is to take: its processes may take a second or two to import what the function needs."""
SHARE = 20
"""How often longer it is to take than its values take to be read."""
BYTES = 64 << 20
"""What its values may have on the disk."""


class Pace:
    """How many tasks the next job has: at first the least, then as many as take the time that is aimed at."""

    def __init__(self, least: int, most: int) -> None:
        self.size = self._least = min(least, most)
        self._most = most

    def took(self, seconds: float, reading: float, weight: float) -> None:
        """The last one took so long, its values so long to be read, and each so many bytes."""
        aim = max(AIM, SHARE * reading)
        factor = 4.0 if seconds < aim / 4 else 2.0 if seconds < aim / 2 else 0.5 if seconds > 2 * aim else 1.0
        most = min(self._most, int(BYTES / max(weight, 1.0)))
        self.size = max(self._least, min(most, int(factor * self.size)))


def weight(checkpoint: str | os.PathLike[str], count: int) -> float:
    """About how many bytes of a checkpoint each of so many outcomes has."""
    names = (os.fspath(checkpoint), f"{os.fspath(checkpoint)}.wal")
    return sum(os.stat(name).st_size for name in names if os.path.exists(name)) / max(count, 1)


class Windows:
    """The jobs; their progress is that of all. `reading`, `weight`: of the last one's values, as its reader says."""

    def __init__(self, plan: Plan, tasks: Iterable[Any], pace: Pace) -> None:
        self._plan, self._tasks, self._pace = plan, iter(tasks), pace
        self._before = self._now = Progress(0, False, 0, 0, 0, 0, 0.0)
        self.reading = self.weight = 0.0

    def __iter__(self) -> Iterator[Outcomes]:
        """What came of the tasks of each job."""
        spec = self._plan.spec
        first = list(itertools.islice(self._tasks, 1))
        while True:
            drawn = itertools.chain(first, itertools.islice(self._tasks, self._pace.size - 1))
            since = time.monotonic()
            outcomes = Job(replace(self._plan, spec=spec, show=self._plan.show and self._hear), drawn).run()
            took = time.monotonic() - since
            yield outcomes
            self._pace.took(took, self.reading, self.weight)
            first = list(itertools.islice(self._tasks, 1))
            if not first:
                break
            self._before, spec = self._now, spec.onward()
        if self._plan.show is not None:
            self._plan.show(replace(self._now, complete=True))

    def _hear(self, told: Progress) -> None:
        before = self._before
        self._now = Progress(
            total=before.total + told.total,
            complete=False,  # which is known once no more can be drawn
            done=before.done + told.done,
            skipped=before.skipped + told.skipped,
            failed=before.failed + told.failed,
            busy=told.busy,
            elapsed=before.elapsed + told.elapsed,
        )
        if self._plan.show is not None:
            self._plan.show(self._now)
