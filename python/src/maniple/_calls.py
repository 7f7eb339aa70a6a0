"""Calls of what a user gave, by a thread that is there while there is something to call."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

_LOG = logging.getLogger("maniple")


class Calls:
    """See the module. The interpreter's end waits for the call that is being made, and drops the others."""

    def __init__(self) -> None:
        self._lock, self._running = threading.Lock(), False
        self._waiting: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._closed = False

    def close(self) -> None:
        """Call nothing more."""
        with self._lock:
            self._closed = True
            self._waiting.clear()

    def add(self, function: Callable[..., object], *args: Any) -> None:
        """Call it when those before it are done."""
        with self._lock:
            if self._closed:
                return
            self._waiting.append((function, args))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="maniple-callbacks", daemon=False).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                function, args = self._waiting.popleft()
            try:
                function(*args)
            except Exception:
                _LOG.exception("%r raised an exception when it was called with %r", function, args)
