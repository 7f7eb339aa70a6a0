"""A connection to a coordinator: frames, the first words, and a thread that hears what it says.

The messages are those of `shared/src/wire/client.rs`. It knows nothing of tasks or functions: what is said about a job
goes to that job's `hear`, and when the connection is lost every job is told by `lost`.

Invariants
- Frames are written whole, by one thread at a time.
- After `lost` a job hears nothing more over this connection.
- The coordinator hears of each result that a job has taken in: it waits for that when many are on their way.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from collections import deque
from typing import Any, Protocol

import msgpack

from .. import __version__
from ..errors import EngineError

VERSION = {"major": 1, "minor": 1}
HEAD_LIMIT, PAYLOAD_LIMIT, LOCAL_LIMIT = 1 << 20, 64 << 20, 1 << 30
"""Bytes of a frame's head, of its payload on the network, and of that on a socket of our own."""
WELCOME_LIMIT = 30.0
"""Seconds that a coordinator may take for its first word."""


class Listener(Protocol):
    """A job that is followed over a connection."""

    def hear(self, name: str, fields: Any, payload: bytes | bytearray) -> None:
        """The coordinator has said this; called by the thread of the connection, so it must not wait."""

    def lost(self, why: str) -> None:
        """The connection is gone."""


class Connection:
    """See the module. `stream` is a connected socket, which is closed with it; `payload_limit` is what it carries."""

    def __init__(self, stream: socket.socket, payload_limit: int = PAYLOAD_LIMIT) -> None:
        self.payload_limit = payload_limit
        self._stream, self._writing, self._jobs = stream, threading.Lock(), dict[int, Listener]()
        self._guard, self._why = threading.Lock(), ""
        self._later: deque[Any] = deque()
        stream.settimeout(WELCOME_LIMIT)
        try:
            self._write(self._hello(), b"")
            welcome, _ = self._read()
        except (OSError, ValueError, struct.error) as error:
            stream.close()
            raise EngineError(f"the engine does not answer ({error}); see what it wrote to standard error") from error
        except BaseException:
            stream.close()
            raise
        stream.settimeout(None)
        if "Refused" in welcome:
            stream.close()
            raise EngineError(welcome["Refused"]["reason"])
        self._beat = welcome["Accepted"]["lease_ms"] / 3e3
        self._thread = threading.Thread(target=self._listen, name="maniple", daemon=True)
        self._thread.start()

    @staticmethod
    def _hello() -> dict[str, Any]:
        host = socket.gethostname()
        return {"version": VERSION, "software": __version__, "host": host, "pid": os.getpid(), "role": "client"}

    def say(self, message: Any, payload: bytes = b"") -> None:
        """Send a message; that the connection is lost is heard by the jobs, and no error here."""
        try:
            self._write(message, payload)
        except OSError:
            self._shut()

    def say_later(self, message: Any) -> None:
        """Send a message, from anywhere: also from a finalizer, which may interrupt what holds a lock.

        Where somebody is about to write, it is sent when it suits.
        """
        self._later.append(message)
        if self._writing.acquire(blocking=False):
            self._writing.release()
            self._say_rest()

    def _say_rest(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self.say(self._later.popleft())

    def follow(self, number: int, job: Listener) -> None:
        """Have a job hear what is said about it."""
        with self._guard:
            if not self._why:
                self._jobs[number] = job
                return
        job.lost(self._why)

    def leave(self, number: int) -> None:
        """A job hears nothing more."""
        with self._guard:
            self._jobs.pop(number, None)

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be said any more."""
        return bool(self._why)

    def close(self) -> None:
        """Hang up, and wait until the thread has ended."""
        self._shut()
        if not self.is_listening:
            self._thread.join()

    @property
    def is_listening(self) -> bool:
        """Whether this is the thread that hears what is said, which must not wait for it."""
        return threading.current_thread() is self._thread

    def disown(self) -> None:
        """In a process that was forked: the connection is the parent's, and so is its thread."""
        self._stream.close()
        self._why = "this process was forked from the one that runs the job"

    def _shut(self) -> None:
        try:
            self._stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other end has hung up already

    def _write(self, message: Any, payload: bytes) -> None:
        head: bytes = msgpack.packb(message)
        if len(head) > HEAD_LIMIT or len(payload) > self.payload_limit:
            raise ValueError(f"a message of {len(head)} and {len(payload)} bytes is too long for a frame")
        with self._writing:
            self._stream.sendall(struct.pack("<II", len(head), len(payload)) + head)
            if payload:
                self._stream.sendall(payload)

    def _read(self) -> tuple[Any, bytearray]:
        head, payload = struct.unpack("<II", self._take(8))
        if head > HEAD_LIMIT or payload > self.payload_limit:
            raise ValueError(f"a frame of {head} and {payload} bytes is too long")
        return msgpack.unpackb(self._take(head), strict_map_key=False), self._take(payload)

    def _take(self, size: int) -> bytearray:
        parts = bytearray(size)
        view = memoryview(parts)
        while view:
            got = self._stream.recv_into(view)
            if not got:
                raise ConnectionResetError("it hung up")
            view = view[got:]
        return parts

    def _listen(self) -> None:
        why = "it hung up"
        try:
            while True:
                while not select.select([self._stream], [], [], self._beat)[0]:
                    self.say("Heartbeat")
                self._say_rest()
                message, payload = self._read()
                if isinstance(message, dict):
                    ((name, fields),) = message.items()
                    self._dispatch(name, fields, payload)
        except (OSError, ValueError, struct.error) as error:
            why = str(error) or why
        with self._guard:
            self._why, jobs = why, list(self._jobs.values())
            self._jobs.clear()
        self._stream.close()
        for job in jobs:
            job.lost(why)

    def _dispatch(self, name: str, fields: Any, payload: bytes | bytearray) -> None:
        if name in ("Note", "Watched"):
            numbers = list(self._jobs)
        elif isinstance(fields, dict):
            numbers = [fields.get("job") or fields.get("ask", 0)]
        else:
            numbers = [fields]
        for number in numbers:
            with self._guard:
                job = self._jobs.get(number)
            if job is not None:
                job.hear(name, fields, payload)
                if name == "Results":
                    self.say({"Taken": {"job": number, "bytes": len(payload)}})
