"""The output of running commands: read as it comes by one thread, of which there is none while nothing runs.

Invariants
- A writer never waits for whoever asks what was written.
- No more is kept of a stream than its limit; what was dropped is counted.
"""

from __future__ import annotations

import os
import selectors
import threading
from collections.abc import Callable
from contextlib import suppress

CHUNK = 1 << 18
"""Bytes of one read."""
LAST = 1 << 20
"""The most that is read of a pipe whose command has ended: what it left behind may go on writing."""


class Tail:
    """The end of a stream: at most so many bytes, and how many were dropped before them."""

    def __init__(self, limit: int) -> None:
        self._limit, self._lock, self._kept, self._all = limit, threading.Lock(), bytearray(), 0

    def push(self, data: bytes) -> None:
        """More of it."""
        with self._lock:
            self._all += len(data)
            self._kept += data
            if len(self._kept) > 2 * self._limit:
                del self._kept[: len(self._kept) - self._limit]

    def look(self) -> tuple[str, int]:
        """What is kept as text, and how many bytes before it were dropped."""
        with self._lock:
            kept, seen = bytes(self._kept[max(0, len(self._kept) - self._limit) :]), self._all
        if len(kept) < seen:
            # A character that was cut in two is dropped whole.
            kept = kept[next((at for at, byte in enumerate(kept[:4]) if byte & 0xC0 != 0x80), 0) :]
        return kept.decode(errors="replace"), seen - len(kept)


class Pipe:
    """A pipe that a command writes to, by the path of this end of it; we keep a writing end, so it never ends early."""

    def __init__(self, limit: int) -> None:
        self.tail = Tail(limit)
        self.reading, self._writing = os.pipe()
        os.set_blocking(self.reading, False)

    @property
    def path(self) -> str:
        """What another process of this user opens."""
        return f"/proc/{os.getpid()}/fd/{self._writing}"

    def read(self, limit: int = CHUNK) -> int:
        """Take in what is there; how many bytes."""
        with suppress(BlockingIOError):
            data = os.read(self.reading, limit)
            self.tail.push(data)
            return len(data)
        return 0

    def close(self) -> None:
        """Nobody writes any more, or nobody cares."""
        os.close(self.reading)
        os.close(self._writing)


class Reader:
    """The thread that reads pipes."""

    def __init__(self) -> None:
        self._lock, self._todo, self._running = threading.Lock(), list[Callable[[], None]](), False

    def add(self, pipes: list[Pipe]) -> None:
        """Read these from now on."""
        self._do(lambda: self._register(pipes))

    def finish(self, pipes: list[Pipe], then: Callable[[], None]) -> None:
        """Their command has ended: read what is left, close them, and then call this."""
        self._do(lambda: self._finish(pipes, then))

    def _do(self, act: Callable[[], None]) -> None:
        with self._lock:
            self._todo.append(act)
            if not self._running:
                self._running = True
                self._selector = selectors.DefaultSelector()
                self._woken, self._wake = os.pipe()
                self._selector.register(self._woken, selectors.EVENT_READ)
                threading.Thread(target=self._run, name="maniple-output", daemon=True).start()
            os.write(self._wake, b"!")

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.data, Pipe):
                    key.data.read()
                else:
                    os.read(self._woken, CHUNK)
            with self._lock:
                todo, self._todo = self._todo, []
            for act in todo:
                act()
            with self._lock:
                if not self._todo and len(self._selector.get_map()) == 1:
                    self._running = False
                    self._selector.close()
                    os.close(self._woken)
                    os.close(self._wake)
                    return

    def _register(self, pipes: list[Pipe]) -> None:
        for pipe in pipes:
            self._selector.register(pipe.reading, selectors.EVENT_READ, pipe)

    def _finish(self, pipes: list[Pipe], then: Callable[[], None]) -> None:
        for pipe in pipes:
            self._selector.unregister(pipe.reading)
            left = LAST
            while left > 0 and (got := pipe.read(left)):
                left -= got
            pipe.close()
        then()

    def disown(self) -> None:
        """In a process that was forked: the thread is the parent's."""
        if self._running:
            self._selector.close()
            os.close(self._woken)
            os.close(self._wake)
