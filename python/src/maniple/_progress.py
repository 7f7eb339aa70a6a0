"""A line that tells how far a job is, rewritten in place on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TextIO

from ._client.job import Progress

WIDTH, UNBOUNDED = 24, 1 << 16


def bar(*, always: bool) -> Callable[[Progress], None] | None:
    """What draws the line on standard error; nothing if that is no terminal, unless it is to be drawn `always`."""
    stream = sys.stderr
    if stream is None or not (always or stream.isatty()):
        return None
    last, open_line = "", False

    def draw(progress: Progress) -> None:
        nonlocal last, open_line
        text = line(progress, columns(stream))
        ended = progress.complete and progress.finished == progress.total
        if text != last or (ended and open_line):  # that these are all may be learnt behind the last outcome
            stream.write(f"\r{text:<{len(last)}}" + ("\n" if ended else ""))
            stream.flush()
            last, open_line = text, not ended

    return draw


def columns(stream: TextIO) -> int:
    """How many characters fit into a line of a terminal; of anything else any number does."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or UNBOUNDED
    except (OSError, ValueError, AttributeError):
        return UNBOUNDED


def line(progress: Progress, room: int) -> str:
    """Share, count, time, rate, and what failed, in less than the room: a line that wraps cannot be redrawn."""
    total, finished = progress.total, progress.finished
    share = finished / total if total else 0.0
    rate = progress.done / progress.elapsed if progress.elapsed else 0.0
    left = (total - finished) / rate if rate else 0.0
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    skipped = f", {progress.skipped:,} known" if progress.skipped else ""
    times = f"{clock(progress.elapsed)}<{clock(left)}"
    told = f" {finished:,}/{total:,} [{times}, {rate:,.1f}/s{skipped}{failed}]"
    width = max(0, min(WIDTH, room - len(told) - len("100%||") - 1))
    full = "#" * int(width * share)
    return f"{share:4.0%}|{full:<{width}}|{told}"[: room - 1]


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes:02}:{rest:02}"
