"""The tasks that are timed: nothing but the call and a float."""

from __future__ import annotations

import os
import time

STAMPS = os.environ.get("MANIPLE_BENCH_STAMPS")
"""The file that each call of `stamped` adds the time to, if there is one."""


def trivial(number: int) -> float:
    """The number as a float."""
    return float(number)


def stamped(day: int, code: str) -> float:
    """The day as a float, and the time where it is asked for."""
    if STAMPS is not None:
        with open(STAMPS, "a") as stamps:
            stamps.write(f"{time.time()}\n")
    return float(day)
