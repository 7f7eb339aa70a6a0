"""A connection over a socket whose other end is held by the test: what is written, whatever interrupts its writing."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from maniple._client.wire import LOCAL_LIMIT, Connection

ACCEPTED = {"Accepted": {"version": {"major": 1, "minor": 1}, "lease_ms": 60_000}}


class Peer:
    """The other end: it reads frames when it is told to."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._file = end, end.makefile("rwb")

    def read(self) -> tuple[Any, bytes]:
        """The next frame."""
        head, payload = struct.unpack("<II", self._file.read(8))
        return msgpack.unpackb(self._file.read(head)), self._file.read(payload)

    def await_some(self) -> None:
        """Wait until something has come."""
        self._end.recv(1, socket.MSG_PEEK)

    def hang_up(self) -> None:
        """Neither read nor write any more."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def say(self, message: Any, payload: bytes = b"") -> None:
        """Send a frame."""
        head = msgpack.packb(message)
        self._file.write(struct.pack("<II", len(head), len(payload)) + head + payload)
        self._file.flush()

    def welcome(self) -> None:
        """Let the client in."""
        assert "role" in self.read()[0]
        self.say(ACCEPTED)


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Peer]]:
    """A connection, and who is at its other end."""
    ours, theirs = socket.socketpair()
    peer = Peer(theirs)
    greeter = threading.Thread(target=peer.welcome)
    greeter.start()
    connection = Connection(ours, LOCAL_LIMIT)
    greeter.join()
    yield connection, peer
    peer.hang_up()
    connection.close()
    theirs.close()


def test_reproduces_a_frame_that_an_interrupt_cut_short(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    payload = bytes(range(256)) * 40_000  # more than a socket takes while nobody reads
    interrupted = threading.Event()
    heard: list[Any] = []

    def read() -> None:
        peer.await_some()  # so its writing has begun, and cannot end
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        interrupted.wait()
        heard.extend(peer.read() for _ in range(2))

    reader = threading.Thread(target=read)
    reader.start()
    with pytest.raises(KeyboardInterrupt):
        connection.say("Tasks", payload)
    interrupted.set()
    connection.say("Cancel")
    reader.join(60)
    peer.hang_up()
    assert heard == [("Tasks", payload), ("Cancel", b"")]


def test_messages_arrive_in_the_order_in_which_they_were_said(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    heard: list[Any] = []
    reader = threading.Thread(target=lambda: heard.extend(peer.read() for _ in range(1001)))
    reader.start()
    for number in range(1000):
        connection.say(number, bytes(number))
    connection.aside(lambda: connection.say("last"), wait=True)
    reader.join()
    assert heard == [*((number, bytes(number)) for number in range(1000)), ("last", b"")]


def test_what_was_said_before_a_close_arrives(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    for number in range(100):
        connection.say(number)
    connection.close()
    assert [peer.read()[0] for _ in range(100)] == list(range(100))
    assert peer._file.read() == b""


def test_nobody_waits_for_a_connection_that_is_lost(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    peer.hang_up()
    for number in range(10):
        connection.say(number, bytes(1 << 20))
    connection.close()
    assert connection.is_lost
    connection.say("late", bytes(1 << 20))


def test_results_that_nobody_wants_any_more_hold_no_job_up(ends: tuple[Connection, Peer]) -> None:
    _, peer = ends
    peer.say({"Results": {"job": 5, "values": [[0, 3]]}}, b"\x01\x02\x03")
    assert peer.read() == ({"Taken": {"job": 5, "bytes": 3}}, b"")
