"""A template of a job's children: it imports once what all of them need, and each copy of it is a child.

A node executes the text of this file between those of ``loading.py`` and ``child.py``, with one argument: its
socket's descriptor. Copies share the memory of what was imported, for as long as nobody writes there. It runs no task
and unpickles no function. Messages: ``shared/src/wire/child.rs``; a request for a copy brings the copy's descriptors.

A copy is forked twice and loses its parent, so that it becomes the keeper's child. Invariants
- No thread of Python runs when it forks; libraries whose own threads run take care of them at a fork.
- A copy is the keeper's child, and ends with it, before it goes on; if the template dies before that, so does the copy.
"""

import _thread
import contextlib
import ctypes
import fcntl
import gc
import importlib
import io
import os
import pickle
import signal
import socket
import struct
import sys
import warnings
from typing import Any, NoReturn

if "Codec" not in globals():
    from maniple.codec import Codec, text_of
    from maniple.control import HIGH_FD
    from maniple.loading import Unloadable, enter, lacking, provide, raised, refuse_exit
    from maniple.objects import sections
    from maniple.story import of_unloadable
    from maniple.streams import Streams

DESCRIPTORS = 4  # of a copy: its control socket, its beacon, its stdout and stderr
SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
MARK = "MANIPLE_PROCESS"  # in the environment; those of all processes of a keeper are of one length
UNCOPIED = "the process that preloads modules could not be copied"
LOST = 71  # a copy that its keeper does not have


class Template:
    """See the module."""

    def __init__(self, streams: Streams, control: int) -> None:
        self.streams, self.codec, self.keeper = streams, Codec(), os.getppid()
        self.prctl = ctypes.CDLL(None).prctl
        self.socket = socket.socket(fileno=fcntl.fcntl(control, fcntl.F_DUPFD_CLOEXEC, HIGH_FD))
        os.close(control)
        self.socket.setblocking(True)

    def copied(self) -> tuple[int, int]:
        """Imports, and makes copies for as long as somebody wants them; returns in each: its socket and its beacon."""
        try:
            self.prepare(**self.receive()[0]["Preload"])
        except Unloadable as error:
            self.send("Unloadable", **of_unloadable(error))
            os._exit(0)
        self.send("Ready")
        while True:
            message, descriptors = self.receive()
            number = message["Fork"]["number"]
            try:
                if (born := self.fork(descriptors)) is None:
                    return descriptors[0], descriptors[1]
            except OSError as error:
                self.send("NotForked", number=number, why=f"{UNCOPIED}: {text_of(error)}")
            else:
                if born:
                    self.send("Forked", number=number, pid=born[0], started=born[1])
                else:
                    self.send("Killed", number=number)
            for descriptor in descriptors:
                os.close(descriptor)

    def prepare(self, names: list[str], path: list[str], pickled: "bytes | None", objects: Any) -> None:
        """Imports; raises Unloadable from what is the matter."""
        enter(path)
        if modules := sent_along(pickled, objects):
            provide(modules)
        host = os.uname().nodename
        setattr(sys.modules["__main__"], "_maniple_child", None)  # so that no module runs tasks as it is imported
        for name in names:
            try:
                importlib.import_module(name)
            except BaseException as error:
                missing = lacking(error)
                if missing and f"{name}.".startswith(f"{missing}."):
                    raise Unloadable(f"no module {missing} on {host}, and it is to be preloaded") from error
                if missing:
                    raise Unloadable(f"no module {missing} on {host}, and {name}, to be preloaded, needs it") from error
                refuse_exit(error, name, f"{name}, to be preloaded, needs it")
                raise Unloadable(f"module {name}, which is to be preloaded, {raised(error)} on {host}") from error
            if threads := _thread._count():
                what = f"leaves {threads} thread{'' if threads == 1 else 's'} running"
                why = "copies of a process with threads hang: do not preload it"
                raise Unloadable(f"module {name}, which is to be preloaded, {what} on {host}, and {why}")
        gc.collect()
        gc.freeze()  # a collection in a copy writes into each object that it looks at

    def fork(self, descriptors: list[int]) -> "list[int] | None":
        """One copy: its pid, and when it started in clock ticks; empty if it was killed; None in the copy itself."""
        self.streams.tidy()
        with contextlib.ExitStack() as ends:
            said, says = pipe(ends)
            waits, goes = pipe(ends)
            if not (between := fork()):
                try:
                    if fork():
                        pause()
                    os.setsid()
                    says.write(" ".join(stat()).encode())
                    goes.close()
                    waits.read(1)
                    self.settle(descriptors)
                    return None
                except BaseException as error:
                    with contextlib.suppress(OSError):
                        says.write(f"- {text_of(error)}".encode())
                    os._exit(LOST)
            says.close()
            waits.close()
            words = said.read(1 << 12).decode()
            os.kill(between, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # a module may have had its children reaped by others
                os.waitpid(between, 0)
        if words.startswith("-"):
            raise OSError(words[2:])
        return [int(word) for word in words.split()]

    def settle(self, descriptors: list[int]) -> None:
        """In a copy: it is as if it had been spawned by the keeper."""
        if os.getppid() == self.keeper:
            self.prctl(SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self.keeper:
            os._exit(LOST)
        self.socket.close()
        self.streams.lead_to(*descriptors[2:])
        with contextlib.suppress(Exception):  # random does so by itself
            sys.modules["numpy.random"].seed()

    def receive(self) -> tuple[Any, list[int]]:
        """The next message, and the descriptors that came with it; ends if nobody wants copies any more."""
        lengths, descriptors, _, _ = socket.recv_fds(self.socket, 8, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        data, size = bytearray(), sum(struct.unpack("<II", lengths)) if len(lengths) == 8 else 1
        while len(data) < size:
            if not (piece := self.socket.recv(size - len(data))):
                os._exit(0)
            data += piece
        return self.codec.unpack(bytes(data)), descriptors

    def send(self, name: str, **fields: Any) -> None:
        """Says something; ends if nobody listens."""
        message = self.codec.pack({name: fields})
        try:
            self.socket.sendall(struct.pack("<II", len(message), 0) + message)
        except OSError:
            os._exit(0)


def pipe(ends: contextlib.ExitStack) -> tuple[io.FileIO, io.FileIO]:
    """Both ends of a pipe, closed with the others at the latest."""
    source, sink = os.pipe()
    return ends.enter_context(io.FileIO(source)), ends.enter_context(io.FileIO(sink, "w"))


def fork() -> int:
    """As `os.fork`, without a word about threads: those of Python were looked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def pause() -> NoReturn:
    """Wait to be killed."""
    while True:
        signal.pause()


def stat() -> list[str]:
    """The pid of this process, and when it started."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return [str(os.getpid()), fields[19].decode()]


def put_mark(value: str) -> None:
    """In a copy: what it starts is known as its own, by programs' environment and by that of processes it forks."""
    entry = f"{MARK}=".encode()
    strings = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    at = 0
    while place := strings[at]:
        held = ctypes.string_at(place)
        if held.startswith(entry) and len(held) >= len(entry) + len(value):
            ctypes.memmove(place + len(entry), value.encode() + b"\0", len(value) + 1)
        at += 1
    os.environ[MARK] = value


def sent_along(pickled: "bytes | None", objects: Any) -> "bytes | None":
    """The modules that were sent with a function, which itself is not unpickled."""

    class Plain(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            raise pickle.UnpicklingError("a function")

    large = [told for told in objects if told["purpose"] == "Function"]
    text = sections(large[0])[0] if large else pickled
    try:
        sent = Plain(io.BytesIO(text or b"")).load()
    except Exception:
        return None
    return sent.get("modules") if type(sent) is dict else None
