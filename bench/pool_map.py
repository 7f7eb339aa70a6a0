"""What Maniple is measured against: load the same task file, `multiprocessing.Pool(2).map`, say how many came back.

Run as `python pool_map.py FILE`. Nothing is checkpointed; a killed run has computed nothing.
"""

from __future__ import annotations

import json
import sys
from multiprocessing import Pool


def trivial(task: list[int]) -> float:
    """The task of `bench_tasks.trivial`, without a wrapper that would cost a second call."""
    return float(task[0])


if __name__ == "__main__":
    with open(sys.argv[1]) as lines:
        tasks = [json.loads(line) for line in lines]
    with Pool(2) as pool:
        print(len(pool.map(trivial, tasks, chunksize=2000)))
