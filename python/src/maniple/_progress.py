"""A line that tells how far a job is, rewritten in place on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ._client.job import Progress

WIDTH = 24


def bar(*, always: bool) -> Callable[[Progress], None] | None:
    """What draws the line on standard error; nothing if that is no terminal, unless it is to be drawn `always`."""
    stream = sys.stderr
    if stream is None or not (always or stream.isatty()):
        return None
    last, open_line = "", False

    def draw(progress: Progress) -> None:
        nonlocal last, open_line
        text = line(progress)
        ended = progress.complete and progress.finished == progress.total
        if text != last or (ended and open_line):  # that these are all may be learnt behind the last outcome
            stream.write(f"\r{text:<{len(last)}}" + ("\n" if ended else ""))
            stream.flush()
            last, open_line = text, not ended

    return draw


def line(progress: Progress) -> str:
    """Share, count, time, rate, and what failed."""
    total, finished = progress.total, progress.finished
    share = finished / total if total else 0.0
    rate = progress.done / progress.elapsed if progress.elapsed else 0.0
    left = (total - finished) / rate if rate else 0.0
    full = "#" * int(WIDTH * share)
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    skipped = f", {progress.skipped:,} known" if progress.skipped else ""
    times = f"{clock(progress.elapsed)}<{clock(left)}"
    return f"{share:4.0%}|{full:<{WIDTH}}| {finished:,}/{total:,} [{times}, {rate:,.1f}/s{skipped}{failed}]"


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes:02}:{rest:02}"
