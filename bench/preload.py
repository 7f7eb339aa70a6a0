"""What ``preload=`` gains: processes that import a module each, against copies of one that has imported it.

    python bench/preload.py [--module pandas] [--processes 8] [--rounds 5]

The two take turns. A figure is the median of the rounds:

- start: from the first call of a new executor until each of its processes has imported the module and runs a call,
- processor: what all of them used until then, with the one that they are copies of,
- memory: what they take together then (`Pss`: shared pages count once),
- replaced: from `kill -9` of an executor's only process until its successor has the module and runs a call.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "python" / "src"))

from maniple import Executor

PATIENCE = 60.0
FIGURES = "start, s", "processor, s", "memory, MB", "replaced, s"


def meet(module: str, folder: str, count: int) -> int:
    """Imports, and waits until so many processes have come here."""
    __import__(module)
    Path(folder, str(os.getpid())).touch()
    end = time.monotonic() + PATIENCE
    while len(os.listdir(folder)) < count and time.monotonic() < end:
        time.sleep(0.001)
    return os.getpid()


def stat(pid: int) -> list[int]:
    """The numbers that the system says of a process, from its parent on."""
    return [int(field) for field in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1:]]


def pythons(keeper: int) -> list[int]:
    """A keeper's Python processes."""
    pids = map(int, Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split())
    return [pid for pid in pids if "/proc/self/fd/" in Path(f"/proc/{pid}/cmdline").read_text()]


def processor(pids: list[int]) -> float:
    """Seconds that processes used, with the children that they waited for."""
    return sum(sum(stat(pid)[10:14]) for pid in pids) / os.sysconf("SC_CLK_TCK")


def memory(pids: list[int]) -> float:
    """Megabytes of processes."""
    rolled = [Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pid in pids]
    return sum(int(line.split()[1]) for lines in rolled for line in lines if line.startswith("Pss:")) / 1024


def started(module: str, preload: list[str], count: int) -> tuple[float, float, float]:
    """Seconds until so many processes run, and what they used and take."""
    with tempfile.TemporaryDirectory() as folder, Executor(count, preload=preload) as executor:
        begin = time.perf_counter()
        pids = {future.result() for future in [executor.submit(meet, module, folder, count) for _ in range(count)]}
        took = time.perf_counter() - begin
        assert len(pids) == count, "each process has a call"
        used = pythons(stat(pids.pop())[0])
        return took, processor(used), memory(used)


def replaced(module: str, preload: list[str]) -> float:
    """Seconds until there is another process."""
    with tempfile.TemporaryDirectory() as folder, Executor(1, preload=preload) as executor:
        first = executor.submit(meet, module, folder, 1).result()
        begin = time.perf_counter()
        os.kill(first, signal.SIGKILL)
        while executor.submit(meet, module, folder, 1).result() == first:
            pass
        return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description="What preload= gains.")
    parser.add_argument("--module", default="pandas")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    figures: dict[tuple[str, bool], list[float]] = {}
    for _ in range(options.rounds):
        for is_preloaded in (False, True):
            preload = [options.module] if is_preloaded else []
            measured = started(options.module, preload, options.processes), replaced(options.module, preload)
            for what, figure in zip(FIGURES, (*measured[0], measured[1])):
                figures.setdefault((what, is_preloaded), []).append(figure)
    print(f"{options.module} in {options.processes} processes: each imports it, preload=, ratio")
    for what in FIGURES:
        each, once = (statistics.median(figures[what, is_preloaded]) for is_preloaded in (False, True))
        print(f"{what:<14}{each:>10.2f}{once:>10.2f}{once / each:>10.2f}")


if __name__ == "__main__":
    main()
