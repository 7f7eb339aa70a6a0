"""The task that is timed: nothing but the call and a float."""

from __future__ import annotations


def trivial(number: int) -> float:
    """The number as a float."""
    return float(number)
