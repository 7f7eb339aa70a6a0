"""Drives the real child as a process, the way a node does: socket pair, beacon page, pipes.

It knows the frames and the beacon, not how the child does its work. Each wait is for an event: a frame, an end of file,
the end of the process; the long timeout only turns a hang into a failure.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import queue
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any

from maniple._client.engine import ENGINES
from maniple.codec import Codec

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src" / "maniple"
PYTHON = os.environ.get("MANIPLE_TEST_PYTHON", sys.executable)
NO_BOUND = 2**64 - 1
HANG = 120.0
SLOW = """
def slow(x):
    if x == 20:
        open("gate").close()
        import signal
        signal.pause()
    return x
"""
"""For a program of its own: a function whose task 20 opens a gate, and then waits for ever."""
KEPT = "maniple.map(slow, range(100), processes=1, checkpoint='f', flush=0, batch_size=1)"
"""What calls it, and keeps each value at once."""
PLAIN = "import sys; sys.modules['msgpack'] = None; "


def gone(pid: int) -> None:
    """Wait until a process has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([handle], [], [], HANG)[0], f"process {pid} goes on"
    os.close(handle)


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    children = [int(child) for child in text.split()]
    return children + [below for child in children for below in descendants(child)]


def kill_engine() -> None:
    """`kill -9` of the engine of this program, and with it its keeper."""
    (keeper,) = ENGINES.pids()
    binary = os.path.realpath(os.environ["MANIPLE_BINARY"])
    (engine,) = [pid for pid in descendants(keeper) if os.readlink(f"/proc/{pid}/exe") == binary]
    os.kill(engine, signal.SIGKILL)
    gone(keeper)


def until(holds: Callable[[], bool]) -> None:
    """Wait for what gives no notice."""
    end = time.monotonic() + HANG
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def aside(act: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:
    """Have a call made by a thread of its own, for which the end of the program does not wait."""
    made: Future[Any] = Future()

    def make() -> None:
        try:
            made.set_result(act(*args, **options))
        except BaseException as error:
            made.set_exception(error)

    threading.Thread(target=make, daemon=True).start()
    return made


def memory(pid: int, name: str) -> int:
    """A line of smaps_rollup, in bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) << 10


def not_checked(what: str, why: str) -> None:
    """Have `make test` say at its end what this machine cannot check."""
    with open(HERE.parents[1] / "target" / "skipped", "a") as file:
        file.write(f"{what}: {why}\n")


def plain_codec() -> Codec:
    """A codec as if there were no library msgpack."""
    codec = Codec()
    codec.pack, codec.unpack = codec.encode, codec.decode
    return codec


def memfd(content: bytes, size: int = 0) -> int:
    fd = os.memfd_create("harness")
    os.write(fd, content)
    if size:
        os.ftruncate(fd, size)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Node:
    """One child and the node's side of it."""

    def __init__(self, codec: str = "msgpack", deaf: bool = False) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(HANG)
        theirs.setblocking(False)  # as the runtime of a node may leave it
        names = ("codec", "shape", "objects", "control", "story", "streams", "loading", "child")
        texts = ((SOURCE / f"{name}.py").read_bytes() for name in names)
        program = memfd(b"".join(texts))
        beacon = memfd(b"", 4096)
        self.page = memoryview(mmap.mmap(beacon, 4096)).cast("Q")
        self.page[1] = NO_BOUND
        start = f"{PLAIN if codec == 'plain' else ''}exec(open({program}).read())"
        self.process = subprocess.Popen(
            [PYTHON, "-u", "-c", start, str(theirs.fileno()), str(beacon)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(program, theirs.fileno(), beacon),
        )
        theirs.close()
        os.close(program)
        os.close(beacon)
        pipes = [self.process.stdout, self.process.stderr]
        if deaf:
            for pipe in pipes:
                assert pipe
                pipe.close()
            pipes.clear()
        self.output = [bytearray(), bytearray()]
        self.readers = [
            threading.Thread(target=self._drain, args=(pipe, kept), daemon=True)
            for pipe, kept in zip(pipes, self.output)
        ]
        for reader in self.readers:
            reader.start()
        self.codec, self.next = Codec(), 1
        self.outbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()  # neither side may wait for the other to read
        self.sender = threading.Thread(target=self._send, daemon=True)
        self.sender.start()

    @staticmethod
    def _drain(pipe: Any, kept: bytearray) -> None:
        while piece := os.read(pipe.fileno(), 1 << 16):
            kept += piece

    def _send(self) -> None:
        with contextlib.suppress(OSError):  # the child is gone
            while frame := self.outbox.get():
                self.socket.sendall(frame)

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outbox.put(b"")
        self.socket.close()
        self.process.kill()
        self.process.wait()

    def send(self, message: Any, payload: bytes = b"") -> None:
        head = self.codec.pack(message)
        self.outbox.put(struct.pack("<II", len(head), len(payload)) + head + payload)

    def receive(self) -> tuple[str, dict[str, Any], bytes]:
        """The next message: its name, its fields, the payload."""
        head_size, payload_size = struct.unpack("<II", self._exactly(8))
        assert head_size <= 1 << 20 and payload_size <= 1 << 30, "the node would refuse this frame"
        ((name, fields),) = self.codec.unpack(self._exactly(head_size)).items()
        return name, fields, self._exactly(payload_size)

    def _exactly(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            piece = self.socket.recv(min(size - len(got), 1 << 20))
            if not piece:
                raise EOFError(f"the child ended: {bytes(self.output[1])!r}")
            got += piece
        return bytes(got)

    def load(
        self,
        function: str,
        module: str = "sample_tasks",
        path: Sequence[str] = (str(HERE),),
        memory: int | None = None,
        value_limit: int = 1 << 20,
        shape: Any = None,
        objects: Any = None,
    ) -> tuple[str, dict[str, Any]]:
        what = {"module": module, "function": function, "path": list(path), "memory": memory}
        told = {name: value for name, value in (("shape", shape), ("objects", objects)) if value is not None}
        self.send({"Load": {**what, "value_limit": value_limit, **told}})
        name, fields, _ = self.receive()
        return name, fields

    def begin(self, keys: Sequence[Any]) -> range:
        """Sends a run; returns its ordinals."""
        ordinals = range(self.next, self.next + len(keys))
        self.next = ordinals.stop
        self.codec.alone = True  # keys may hold objects
        array = self.codec.encode(list(keys))
        self.codec.alone = False
        self.send({"Run": {"first": ordinals.start, "count": len(ordinals)}}, array)
        return ordinals

    def skip(self, ordinals: range) -> None:
        """Receives what comes of a run without a look at the values."""
        expected = ordinals.start
        while expected < ordinals.stop:
            _, fields, _ = self.receive()
            expected += fields["count"]

    def collect(self, ordinals: range) -> Ended:
        """What comes back until all of a run is covered or it was stopped, checked to be in order and gapless."""
        ended = Ended()
        expected = ordinals.start
        while expected < ordinals.stop:
            name, fields, payload = self.receive()
            if name == "Stopped":
                assert fields == {"at": expected}
                ended.stopped = expected
                break
            assert name == "Ran" and fields["first"] == expected and fields["count"] > 0, (name, fields)
            failed = {failure["ordinal"]: failure for failure in fields["failures"]}
            covered = range(expected, expected + fields["count"])
            values = self.values(payload)
            for ordinal in covered:
                if ordinal not in failed:
                    ended.values[ordinal] = next(values)
            assert next(values, None) is None and set(failed) <= set(covered)
            assert list(failed) == sorted(failed)
            ended.failures.update(failed)
            ended.frames.append({**fields, "payload": len(payload)})
            expected = covered.stop
        return ended

    def values(self, payload: bytes) -> Any:
        at = 0
        while at < len(payload):
            self.codec.alone = True
            value, at = self.codec.take(payload, at)
            self.codec.alone = False
            if self.codec.broken:
                raise self.codec.broken
            yield value

    def run(self, *keys: Any) -> Ended:
        return self.collect(self.begin(keys))

    def one(self, *key: Any) -> Any:
        """The value of a single task."""
        ended = self.run(list(key))
        assert not ended.failures, ended.failures
        return next(iter(ended.values.values()))

    def finish(self) -> tuple[int, str, str]:
        """Leaves the child; its exit code, and all that it printed."""
        self.socket.shutdown(socket.SHUT_RDWR)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        code = self.process.wait(HANG)
        for reader in self.readers:
            reader.join(HANG)
        out, err = (bytes(kept).decode(errors="replace") for kept in self.output)
        return code, out, err


class Ended:
    """What a run came to, by ordinal."""

    def __init__(self) -> None:
        self.values: dict[int, Any] = {}
        self.failures: dict[int, dict[str, Any]] = {}
        self.frames: list[dict[str, Any]] = []
        self.stopped: int | None = None


def interrupted() -> Iterator[int]:
    """A number, and an interrupt as it goes on where it comes while `threading.Condition` gives up its lock."""
    yield 1
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise RuntimeError("cannot notify on un-acquired lock")  # noqa: B904 - as the interpreter does
