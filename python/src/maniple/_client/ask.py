"""Questions to the coordinator about the key-values, over a connection. The messages: ``shared/src/wire/kv.rs``."""

from __future__ import annotations

import secrets
import threading
from typing import Any

from .wire import Connection

HANDOVER_LIMIT = 10.0
"""Seconds for which an engine that is about to end is asked for its key-values."""
NONE = b"\x90"
"""No pairs at all."""


class Question:
    """One that waits for its answer."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.answer: Any = "Lost"
        self.payload: bytes | bytearray = b""

    def hear(self, name: str, fields: Any, payload: bytes | bytearray) -> None:
        """What the coordinator says."""
        if name == "Answered":
            self.answer, self.payload = fields["answer"], payload
            self.answered.set()

    def lost(self, why: str) -> None:
        """The connection is gone."""
        self.answered.set()


def ask(
    connection: Connection, request: Any, payload: bytes = b"", limit: float | None = None
) -> tuple[Any, bytes | bytearray]:
    """The answer, and what comes with it. The thread of the connection cannot wait for what it brings itself."""
    question, number = Question(), secrets.randbits(64)
    connection.follow(number, question)
    try:
        connection.say({"Ask": {"ask": number, "request": request}}, payload)
        question.answered.wait(limit)
        return question.answer, question.payload
    finally:
        connection.leave(number)


def bequeath(old: Connection | None, new: Connection) -> None:
    """Have a coordinator be the one with the key-values, those of the other if there is one."""
    answer, pairs = ("Lost", b"") if old is None else ask(old, "Leave", limit=HANDOVER_LIMIT)
    # Whoever asks the new one hereafter is answered after this.
    new.say({"Ask": {"ask": 0, "request": "Inherit"}}, bytes(pairs) if answer == "Done" else NONE)


def leave_to_others(new: Connection) -> None:
    """Have a coordinator refuse all questions: another one has the key-values."""
    new.say({"Ask": {"ask": 0, "request": "Leave"}})
