"""A process that still has much memory after a task is replaced by another, and no result is lost by it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

import maniple

MOST = 100 << 20
COUNT = 100


def grown(at: int, first: str) -> list[int]:
    """Where it ran. The first process that runs one has 150 MiB more from then on, as if that leaked."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(first)
        vars(os)["leaked"] = b"x" * (150 << 20)
    if "leaked" in vars(os):
        time.sleep(0.05)  # its work: what a process has is looked at once a second
    return [at, os.getpid()]


def by_executor(tasks: list[Any], **options: Any) -> list[Any]:
    with maniple.Executor(1, **options) as executor:
        return list(executor.map(grown, *zip(*tasks)))


def by_pool(tasks: list[Any], **options: Any) -> list[Any]:
    with maniple.Pool(1, **options) as pool:
        return pool.starmap(grown, tasks, 1)


def by_pools(tasks: list[Any], **options: Any) -> list[Any]:
    rows = maniple.run_pools(grown, tasks, num_threads=1, output="list", **options)
    return [row[2:] for row in rows]


def by_queue(tasks: list[Any], **options: Any) -> list[Any]:
    rows = maniple.run_pools_queue(grown, tasks, 1, f"{tasks[0][1]}.rows", 2, output="list", **options)
    return [row[2:] for row in rows]


CALLS: dict[str, Any] = {
    "map": lambda tasks, **options: maniple.map(grown, tasks, processes=1, **options),
    "Executor": by_executor,
    "Pool": by_pool,
    "run_pools": by_pools,
    "run_pools_queue": by_queue,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_process_that_has_grown_is_replaced(call: Any, tmp_path: Path) -> None:
    places, pids = zip(*call([(at, str(tmp_path / "first")) for at in range(COUNT)], recycle_memory=MOST))
    assert places == tuple(range(COUNT))
    assert len(set(pids)) == 2 and pids == tuple(sorted(pids, key=pids.index)), "one after the other"
