"""What the child adds to a call: microseconds a task, beside a bare loop over the same function.

    python bench/child.py [runs of 5,000]

It drives the real process through the harness of the tests; two runs are in flight, as a node keeps them. Each figure
is the median of the rounds; the rounds of all cases are interleaved, because a machine's speed drifts.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent / "python"
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from harness import Node  # noqa: E402

TASKS = 5_000
ROUNDS = 7


def same(x: Any) -> Any:
    return x


def bare(keys: Sequence[Any]) -> float:
    """Seconds of CPU for the calls alone, and for a list of what they return."""
    started = time.process_time()
    kept = []
    for key in keys:
        kept.append(same(key))
    return time.process_time() - started


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    return time.clock_gettime((~pid << 3) | 2)


def served(node: Node, keys: Sequence[Any], runs: int) -> float:
    """Seconds of the child's CPU for some runs of these keys."""
    before = cpu_seconds(node.process.pid)
    flying = [node.begin(keys), node.begin(keys)]
    for _ in range(runs - 2):
        node.skip(flying.pop(0))
        flying.append(node.begin(keys))
    for ordinals in flying:
        node.skip(ordinals)
    return cpu_seconds(node.process.pid) - before


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    shapes: dict[str, list[Any]] = {
        "int": [n * 1000 for n in range(TASKS)],
        "[int]": [[n * 1000] for n in range(TASKS)],
        "tuple": [[(n, n)] for n in range(TASKS)],
        "20 floats": [[[n / 7 + m for m in range(20)]] for n in range(TASKS)],
    }
    figures: dict[tuple[str, str], list[float]] = {}
    with Node("msgpack") as fast, Node("plain") as plain:
        for node in (fast, plain):
            node.load("same", value_limit=1 << 24)
        for _ in range(ROUNDS):
            for shape, keys in shapes.items():
                figures.setdefault((shape, "bare"), []).append(bare(keys) / TASKS)
                figures.setdefault((shape, "msgpack"), []).append(served(fast, keys, runs) / runs / TASKS)
                figures.setdefault((shape, "plain"), []).append(served(plain, keys, 4) / 4 / TASKS)
    print(f"{'us a task':<12}{'bare loop':>10}{'msgpack':>10}{'plain':>10}")
    for shape in shapes:
        row = [statistics.median(figures[shape, how]) * 1e6 for how in ("bare", "msgpack", "plain")]
        print(f"{shape:<12}" + "".join(f"{figure:>10.3f}" for figure in row))


if __name__ == "__main__":
    main()
