"""The socket between a child and its node: frames, and questions of a task that wait for their answer.

A node executes the text of this file between those of ``objects.py`` and ``story.py``. A frame: length of head,
length of payload (u32, little-endian), head, payload. Messages: ``shared/src/wire/child.rs``. What they mean it does
not know.
"""

import _thread
import fcntl
import os
import signal
import struct
from typing import Any

if "Codec" not in globals():
    from maniple.codec import Codec

HIGH_FD = min(200, os.sysconf("SC_OPEN_MAX") - 8)  # where tasks do not come across them


class Control:
    """See the module. It belongs to the thread and the process that made it."""

    def __init__(self, fd: int, codec: Codec) -> None:
        self.fd, self.codec = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD), codec
        os.close(fd)
        os.set_blocking(self.fd, True)
        self.input, self.output = open(self.fd, "rb", closefd=False), open(self.fd, "wb", closefd=False)
        self.owner = os.getpid(), _thread.get_ident()
        self.waiting: list[tuple[Any, bytes]] = []  # what came before an answer

    def disown(self) -> None:
        """In a copy that a task forked."""
        os.close(self.fd)

    def next(self) -> tuple[Any, bytes]:
        """The next message and its payload; raises ConnectionResetError if the node is gone."""
        return self.waiting.pop(0) if self.waiting else self.receive()

    def receive(self) -> tuple[Any, bytes]:
        lengths = self.input.read(8)
        if len(lengths) < 8:
            raise ConnectionResetError
        head_size, payload_size = struct.unpack("<II", lengths)
        message, payload = self.input.read(head_size), self.input.read(payload_size)
        if len(message) < head_size or len(payload) < payload_size:
            raise ConnectionResetError
        return self.codec.unpack(message), payload

    def send(self, message: bytes, payload: Any) -> None:
        self.output.write(struct.pack("<II", len(message), len(payload)) + message)
        self.output.write(payload)
        self.output.flush()

    def ask(self, request: Any, payload: bytes) -> tuple[Any, bytes]:
        """Asks the coordinator something for the task that runs, and waits for the answer (``maniple.kv``)."""
        if (os.getpid(), _thread.get_ident()) != self.owner:
            raise RuntimeError("only the thread that a task runs in can ask for key-values, not what it has started")
        # Interrupted by what a handler raises, half a frame would be lost.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            # A codec of its own, for the other may be at work: a value that is being pickled may ask, too.
            self.send(Codec().pack({"Ask": request}), payload)
            while True:
                message, answer = self.receive()
                if "Answered" in message:
                    return message["Answered"], answer
                self.waiting.append((message, answer))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
