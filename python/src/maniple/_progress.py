"""A line that tells how far a job is, rewritten in place on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from ._client.job import Progress

Shown = Callable[[Progress], None]
WIDTH, UNBOUNDED = 24, 1 << 16


def shown(progress: bool | Shown | None) -> Shown | None:
    """What shows the progress, if it is to be shown."""
    if progress is None or isinstance(progress, bool):
        return bar(always=progress is True) if progress is not False else None
    if not callable(progress):
        raise TypeError(f"progress={progress!r}: give True, False, None or a function")
    return progress


class Bar:
    """Draws the line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last, self._is_open = stream, "", False

    def __call__(self, progress: Progress) -> None:
        """So far it is."""
        text = line(progress, columns(self._stream))
        ended = progress.complete and progress.finished == progress.total
        if text != self._last or (ended and self._is_open):  # that these are all may be learnt after the last outcome
            self._stream.write(f"\r{text:<{len(self._last)}}" + ("\n" if ended else ""))
            self._stream.flush()
            self._last, self._is_open = text, not ended

    def end(self) -> None:
        """Leave the line to itself."""
        if self._is_open:
            self._is_open = False
            self._stream.write("\n")
            self._stream.flush()


def bar(*, always: bool) -> Bar | None:
    """What draws the line on standard error; nothing if that is no terminal, unless it is to be drawn `always`."""
    stream = sys.stderr
    return None if stream is None or not (always or stream.isatty()) else Bar(stream)


@contextmanager
def ending(show: Shown | None) -> Iterator[None]:
    """While a job is shown; whatever ends it, an error or a prompt that follows has a line of its own."""
    try:
        yield
    finally:
        if isinstance(show, Bar):
            show.end()


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
