"""What travels beside the tasks: values in memory that the processes of this machine map instead of having copies.

The memory is a file without a name, so nothing is left of it when this process ends, however it ends. What is in it:
``maniple/objects.py``. A cluster fetches it piece by piece. It knows nothing of jobs.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import secrets
import struct
import tempfile
import threading
import weakref
import zlib
from collections.abc import Callable
from typing import Any, Literal

import cloudpickle

from ..errors import FunctionError
from ..objects import padding
from .packages import names_in

Purpose = Literal["Function", "Shared"]

SIZE_LIMIT = 2 << 30
"""Bytes of a function that is sent by value."""
PIECE = 4 << 20
"""Bytes of an object that are read, and sent, at once, at most."""
SEALS = (
    "F_SEAL_SHRINK",
    "F_SEAL_GROW",
    "F_SEAL_WRITE",
    "F_SEAL_SEAL",
)


class MemoryFile:
    """Memory that other processes can map by its path, until it is closed, or forgotten, or we end."""

    def __init__(self, name: str) -> None:
        self.fd = memory_file(name)
        _FILES.add(self)

    @property
    def path(self) -> str:
        """What processes of this machine open."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def close(self) -> None:
        """Give the memory back, once nobody maps it any more."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        """Forgotten."""
        if hasattr(self, "fd"):
            self.close()


class Object(MemoryFile):
    """A value in memory that other processes can map."""

    def __init__(self, purpose: Purpose, pickled: bytes, buffers: list[pickle.PickleBuffer]) -> None:
        self._reading = threading.Lock()
        super().__init__("maniple-object")
        self.purpose, self.id = purpose, secrets.randbits(64)
        self._crc: int | None = None
        parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
        head = struct.pack(f"<{2 + len(parts)}Q", self.id, len(buffers), *(part.nbytes for part in parts))
        self.size = 0
        for part in (memoryview(head), *parts):
            self._write(memoryview(bytes(padding(self.size))))
            self._write(part)
        seal(self.fd)

    def _write(self, part: memoryview) -> None:
        while part:
            written = os.write(self.fd, part)
            part = part[written:]
            self.size += written

    @property
    def spec(self) -> dict[str, Any]:
        """An `ObjectSpec` for processes of this machine."""
        return {"id": self.id, "size": self.size, "purpose": self.purpose, "place": self.path}

    @property
    def spec_elsewhere(self) -> dict[str, Any]:
        """An `ObjectSpec` for those of others."""
        if self._crc is None:
            crc = 0
            for at in range(0, self.size, PIECE):
                crc = zlib.crc32(self.piece(at, PIECE), crc)
            self._crc = crc
        return {"id": self.id, "size": self.size, "purpose": self.purpose, "crc": self._crc}

    def piece(self, at: int, most: int) -> bytes:
        """Bytes of it; none once it is closed."""
        with self._reading:  # another file may have the descriptor afterwards
            return os.pread(self.fd, min(most, PIECE), at) if self.fd >= 0 else b""

    def close(self) -> None:
        """Give the memory back, once nobody maps it any more."""
        with self._reading:
            super().close()


_FILES: weakref.WeakSet[MemoryFile] = weakref.WeakSet()


def _forget() -> None:
    """In a process that was forked: they are the parent's."""
    for known in list(_FILES):
        MemoryFile.close(known)  # whoever was reading it is not here


os.register_at_fork(after_in_child=_forget)


def memory_file(name: str) -> int:
    """A file in memory that no folder has; the name is for those who look at descriptors."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile(dir="/dev/shm", buffering=0) as file:  # Pythons that were built for old systems
        return os.dup(file.fileno())


def seal(fd: int) -> None:
    """Have nobody change it any more, where the system knows of that."""
    if hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS"):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, sum(getattr(fcntl, name) for name in SEALS))


class Cargo:
    """The objects of one job, or of the jobs of an executor."""

    def __init__(self) -> None:
        self._objects: list[Object] = []
        self.names: set[str] = set()
        """What may be modules that the shared values refer to."""

    def share(self, values: dict[str, Any] | None) -> None:
        """Add values that every call gets by name.

        Raises
        ------
        FunctionError
            They do not pickle, or there is no room for them.
        """
        if not values:
            return
        if not all(isinstance(name, str) and name.isidentifier() for name in values):
            raise ValueError(f"shared={list(values)!r}: each name has to be one of a parameter")
        buffers: list[pickle.PickleBuffer] = []
        pickled = dumped(values, "what is given as shared=", buffers.append)
        self.names |= names_in(pickled)
        self._add("Shared", pickled, buffers)

    def add_function(self, name: str, pickled: bytes) -> None:
        """Add a function that is too large to be sent beside the tasks."""
        if len(pickled) > SIZE_LIMIT:
            raise FunctionError(
                f"function {name} takes {len(pickled) / 1e9:.1f} GB with all that it refers to, at most "
                f"{SIZE_LIMIT >> 30} GiB can be sent: have it load its data by itself, from a file, once a process"
            )
        self._add("Function", pickled, [])

    def _add(self, purpose: Purpose, pickled: bytes, buffers: list[pickle.PickleBuffer]) -> None:
        try:
            self._objects.append(Object(purpose, pickled, buffers))
        except OSError as error:
            size = sum(buffer.raw().nbytes for buffer in buffers) + len(pickled)
            raise FunctionError(f"no memory for {size / 1e6:.0f} MB that all tasks share: {error}") from error

    def specs(self, *, elsewhere: bool) -> list[dict[str, Any]]:
        """What a `JobSpec` says of them, for this machine or others."""
        return [known.spec_elsewhere if elsewhere else known.spec for known in self._objects]

    def piece(self, fetch: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The answer to a `Fetch`, and its payload, which is empty once the cargo is closed: then its job is over."""
        number, at = fetch["object"], fetch["at"]
        found = next((known for known in list(self._objects) if known.id == number), None)
        data = found.piece(at, fetch["most"]) if found is not None else b""
        return {"Piece": {"job": fetch["job"], "object": number, "at": at}}, data

    def __enter__(self) -> Cargo:
        """What is given back at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        self.close()

    def close(self) -> None:
        """Give the memory back: no process will map it from now on."""
        for known in self._objects:
            known.close()
        self._objects.clear()


def dumped(value: Any, name: str, keep: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """The pickle of a value; `keep` takes its buffers where they are to stay outside.

    Raises
    ------
    FunctionError
        It does not pickle.
    """
    try:
        pickled: bytes = cloudpickle.dumps(value, protocol=5, buffer_callback=keep)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise FunctionError(f"{name} cannot be sent to other processes, as it does not pickle: {why}") from error
    return pickled
