"""A connection to a coordinator: frames, the first words, a thread that hears what it says, and one that answers.

The messages are those of `shared/src/wire/client.rs`. It knows nothing of tasks or functions: what is said about a job
goes to that job's `hear`, and when the connection is lost every job is told by `lost`.

Invariants
- Frames are written whole: by a thread of their own, as an interrupt may cut short whatever the main thread does.
- After `lost` a job hears nothing more over this connection.
- The coordinator hears of each result that a job has taken in: it waits for that when many are on their way, and before
  the job ends.
- A coordinator elsewhere is given signs of life however long a frame takes, and is lost when it gives none for a lease.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgpack

from .. import __version__
from ..errors import EngineError

VERSION = {"major": 1, "minor": 1}
HEAD_LIMIT, PAYLOAD_LIMIT, LOCAL_LIMIT = 1 << 20, 64 << 20, 1 << 30
"""Bytes of a frame's head, of its payload on the network, and of that on a socket of our own."""
WELCOME_LIMIT = 30.0
"""Seconds that a coordinator may take for its first word."""
FAREWELL_LIMIT = 5.0
"""Seconds that it may take to read what is left to say when the connection is closed."""
LARGE, BACKLOG = 64 << 10, 64
"""Bytes of a payload whose writing is waited for, and how many messages may wait before that of any payload is."""


class Listener(Protocol):
    """A job that is followed over a connection."""

    def hear(self, name: str, fields: Any, payload: bytes | bytearray) -> None:
        """The coordinator has said this; called by the thread of the connection, so it must not wait."""

    def lost(self, why: str) -> None:
        """The connection is gone."""


class Stream(Protocol):
    """A socket, or what stands for one: one thread reads, and one at a time writes."""

    def fileno(self) -> int:
        """The descriptor of the socket."""

    def settimeout(self, timeout: float | None, /) -> None:
        """How long the other end is waited for."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Bytes that have come; 0 when the other end has hung up."""

    def sendall(self, data: bytes, /) -> None:
        """Send bytes."""

    def shutdown(self, how: int, /) -> None:
        """Hang up."""

    def close(self) -> None:
        """Close the socket."""


class Network(Stream, Protocol):
    """A stream to another machine."""

    idle: Callable[[], None]
    """Called by `recv_into` when it has to wait for the socket, which it may leave to this."""


ERRORS = (OSError, ValueError, struct.error)
"""What a connection that is lost, or an end that speaks nonsense, raises."""


class Connection:
    """See the module. `stream` is closed with it, and carries payloads up to a limit.

    If nothing is said, or nonsense, it raises one of `ERRORS`. A coordinator at the other end of a `network` goes on
    with its jobs when the connection is lost.
    """

    def __init__(
        self,
        stream: Stream,
        payload_limit: int = PAYLOAD_LIMIT,
        network: Network | None = None,
        limit: float = WELCOME_LIMIT,
    ) -> None:
        self.payload_limit = payload_limit
        self._stream, self._jobs = stream, dict[int, Listener]()
        self._guard, self._why, self.lost_at = threading.Lock(), "", 0.0
        self._surviving: set[int] = set()
        self.orphans: list[int] = []
        """Jobs that were lost with the connection, and will not be followed again."""
        self._network, self._lease = network, limit
        self._due: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        try:
            stream.settimeout(limit)
            self._write(msgpack.packb(self._hello()), b"")
            welcome, _ = self._read()
            stream.settimeout(None)
            if "Refused" in welcome:
                raise EngineError(welcome["Refused"]["reason"])
            self._check(welcome["Accepted"]["version"])
        except BaseException:
            stream.close()
            raise
        self._lease = welcome["Accepted"]["lease_ms"] / 1e3
        if network:
            network.idle = self._await
        self._listener = threading.Thread(target=self._listen, name="maniple", daemon=True)
        self._writer = threading.Thread(target=self._answer, name="maniple-answer", daemon=True)
        self._listener.start()
        self._writer.start()

    @staticmethod
    def _hello() -> dict[str, Any]:
        host = socket.gethostname()
        return {"version": VERSION, "software": __version__, "host": host, "pid": os.getpid(), "role": "client"}

    @staticmethod
    def _check(version: dict[str, int]) -> None:
        if version["major"] != VERSION["major"] or abs(version["minor"] - VERSION["minor"]) > 1:
            theirs, ours = (f"{each['major']}.{each['minor']}" for each in (version, VERSION))
            raise EngineError(
                f"the coordinator speaks protocol {theirs}, this maniple ({__version__}) {ours}; "
                "install the same version on both"
            )

    @property
    def is_remote(self) -> bool:
        """Whether the jobs are a cluster's, and live on without this connection."""
        return self._network is not None

    def say(self, message: Any, payload: bytes = b"") -> None:
        """Send a message; that the connection is lost is heard by the jobs, and no error here.

        One without a payload is never waited for, so that a finalizer may send it.
        """
        head: bytes = msgpack.packb(message)
        if len(head) > HEAD_LIMIT or len(payload) > self.payload_limit:
            raise ValueError(f"a message of {len(head)} and {len(payload)} bytes is too long for a frame")
        is_waited_for = len(payload) >= LARGE or (bool(payload) and self._due.qsize() > BACKLOG)
        self.aside(lambda: self._write(head, payload), wait=is_waited_for)

    def aside(self, act: Callable[[], None], *, wait: bool) -> None:
        """Have something done by the thread that writes, which no interrupt reaches; nothing once that has ended.

        That is waited for, if this is not a thread which has to go on.
        """
        if not wait or self.is_own_thread:
            self._due.put(act)
            return
        done = threading.Event()

        def act_and_tell() -> None:
            try:
                act()
            finally:
                done.set()

        self._due.put(act_and_tell)
        while self._writer.is_alive() and not done.wait(1):
            pass

    def follow(self, number: int, job: Listener, *, survives: bool = False) -> None:
        """Have a job hear what is said about it; whether it `survives` the connection, and is followed again."""
        with self._guard:
            if not self._why:
                self._jobs[number] = job
                if survives:
                    self._surviving.add(number)
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
        """Hang up when all is said, and wait until the threads have ended."""
        self._due.put(None)
        if not self.is_own_thread:
            try:
                self._writer.join(FAREWELL_LIMIT)
            finally:  # also if it was interrupted
                self._shut()
            self._writer.join()
            self._listener.join()

    @property
    def is_own_thread(self) -> bool:
        """Whether this is one of its threads, which must not wait for what it brings itself."""
        return threading.current_thread() in (self._listener, self._writer)

    def refuse_callbacks(self, what: str) -> None:
        """Raise RuntimeError in the thread that calls the callbacks of futures: it would wait for itself for ever."""
        if self.is_own_thread:
            raise RuntimeError(
                f"{what} in a callback of a future: it is called by the thread that takes in the answer; have another "
                "thread do it"
            )

    def disown(self) -> None:
        """In a process that was forked: the connection is the parent's, and so is its thread."""
        self._stream.close()
        self._why = "this process was forked from the one that runs the job"

    def _shut(self) -> None:
        try:
            self._stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other end has hung up already

    def _answer(self) -> None:
        """Write what is to be said, and give signs of life meanwhile."""
        heartbeat = msgpack.packb("Heartbeat")
        try:
            while True:
                try:
                    act = self._due.get(timeout=self._lease / 3)
                except queue.Empty:
                    self._write(heartbeat, b"")
                    continue
                if act is None:
                    return
                act()
                act = None  # and with it what it has sent
        except OSError:
            pass  # who listens hears of it
        finally:
            self._shut()

    def _write(self, head: bytes, payload: bytes) -> None:
        self._stream.sendall(struct.pack("<II", len(head), len(payload)) + head)
        if payload:
            self._stream.sendall(payload)

    def _await(self) -> None:
        """Wait until bytes have come."""
        poll = select.poll()
        poll.register(self._stream.fileno(), select.POLLIN)
        if not poll.poll(self._lease * 1e3):
            raise TimeoutError(f"no sign of life for {self._lease:g} s")

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
                message, payload = self._read()
                if isinstance(message, dict):
                    ((name, fields),) = message.items()
                    self._dispatch(name, fields, payload)
        except ERRORS as error:
            why = str(error) or why
        with self._guard:
            self.lost_at = time.monotonic()
            self._why, jobs = why, list(self._jobs.values())
            self.orphans = [number for number in self._jobs if number not in self._surviving]
            self._jobs.clear()
        self._due.put(None)
        self._shut()
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
            if name == "Results":  # also those that nobody wants any more
                self.say({"Taken": {"job": number, "bytes": len(payload)}})
