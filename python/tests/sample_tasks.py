"""The functions that the tests let a child call: the harmless, the slow and the malicious."""

from __future__ import annotations

import ctypes
import gc
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any, NoReturn

NOT_A_FUNCTION = 7
calls = 0


class Nested:
    @staticmethod
    def deep(x: Any) -> Any:
        return x


def echo(*args: Any, **fields: Any) -> Any:
    """What it was called with."""
    return [list(args), fields]


def same(x: Any) -> Any:
    return x


def count(*_: Any) -> int:
    """How often it was called."""
    global calls
    calls += 1
    return calls


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def wait(fifo: str) -> str:
    """Returns what somebody writes to a FIFO."""
    if not fifo:
        return ""
    with open(fifo) as file:
        return file.read()


def incr_of(key: str) -> int:
    from maniple import kv

    return kv.incr(key)


def incr_with_alarm(key: str) -> int:
    def raises(*_: Any) -> NoReturn:
        raise TimeoutError("alarm")

    signal.signal(signal.SIGALRM, raises)
    return incr_of(key)


class Lock:
    """An object that no pickle takes."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lock cannot be given away")


class Wordy:
    def __reduce__(self) -> NoReturn:
        raise TypeError("é" * 30_000)


class DiesPickled:
    def __reduce__(self) -> NoReturn:
        os._exit(9)


class Quits:
    def __reduce__(self) -> NoReturn:
        sys.exit(5)


class Nameless(type):
    def __getattribute__(cls, name: str) -> NoReturn:
        raise ValueError(name)


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def made(what: str, size: int = 0) -> Any:
    """A value of some kind."""
    import _thread

    kinds: dict[str, Any] = {
        "lock": lambda: [_thread.allocate_lock()],
        "own": lambda: {"deep": (Lock(),)},
        "quits": Quits,
        "wordy": Wordy,
        "dies": DiesPickled,
        "text": lambda: "x" * size,
        "bytes": lambda: bytes(size),
        "set": lambda: {1, 2},
        "lambda": lambda: lambda x: x + 1,
        "surrogate": lambda: ["a\udc80"],
        "unmeasured": Unmeasured,
        "pair": lambda: [1, 2],
    }
    return kinds[what]()


class Unmeasured(list[Any]):
    """A list that does not say how long it is."""

    def __len__(self) -> int:
        raise RuntimeError("no length")


def endless(depth: int) -> int:
    return endless(depth + 1)


def fails(how: str, *rest: Any) -> Any:
    """Raises, or worse."""
    if how == "no":
        return how
    if how == "raise":
        raise ValueError(*rest)
    if how == "mute":
        raise Mute
    if how == "nameless":
        raise Nameless("Nameless", (Exception,), {})("still")
    if how == "exit":
        sys.exit(*rest)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "generator":
        raise GeneratorExit
    if how == "recursion":
        return endless(0)
    if how == "chain":
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise OSError(2, "outer") from error
    if how == "surrogate":
        raise ValueError("a\udc80b")
    if how == "type":
        raise type("T" * 100_000, (Exception,), {})("long name")
    raise AssertionError(how)


def allocate(size: int) -> int:
    return len(bytearray(size))


def hoard() -> list[int]:
    kept: list[Any] = []
    while True:
        kept.append([None] * 1000)


def dies(how: str) -> str:
    if how == "exit":
        os._exit(7)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return how


def descriptors(how: str, *rest: Any) -> Any:
    """Does things to descriptors."""
    if how == "close":
        os.close(*rest)
    if how == "range":
        os.closerange(*rest)
    if how == "list":
        return sorted(int(name) for name in os.listdir("/proc/self/fd"))
    if how == "inherited":
        listing = subprocess.run(["ls", "/proc/self/fd"], close_fds=False, stdout=subprocess.PIPE, check=True)
        return sorted(map(int, listing.stdout.split()))
    if how == "shell":
        return subprocess.run(["echo", *rest], check=True).returncode
    return None


def streams(how: str, *rest: Any) -> Any:
    """Does things to standard streams."""
    if how == "print":
        print(*rest)
    if how == "complain":
        print(*rest, file=sys.stderr)
    if how == "much":
        print("m" * rest[0])
    if how == "partial":
        print(*rest, end="")
    if how == "read":
        return sys.stdin.read()
    if how == "close stdin":
        sys.stdin.close()
    if how == "close":
        sys.stdout.close()
    if how == "replace":
        sys.stdout = io.StringIO()
    if how == "closed file":
        with open(os.devnull, "w") as sys.stdout:
            pass
    if how == "none":
        sys.stdout = None
    if how == "break":
        sys.stdout = Broken()
    return how


class Broken:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> NoReturn:
        sys.exit("from flush")


def forks(how: str) -> str:
    """A copy of the process comes back from the task too."""
    pid = os.fork()
    if pid == 0:
        if how == "raise":
            sys.exit(0)
        if how == "return":
            return "the copy"
        wait(how)
        os._exit(0)
    if how not in ("raise", "return"):
        return "the copy lives on"
    os.waitpid(pid, 0)
    return "the original"


def pool(method: str) -> list[int]:
    with multiprocessing.get_context(method).Pool(1) as workers:
        return workers.map(abs, [-1, -2])


def any_of(function: str, *rest: Any) -> Any:
    return globals()[function](*rest)


def leaves_thread() -> int:
    threading.Thread(target=threading.Event().wait).start()
    return threading.active_count()


def facts(what: str) -> Any:
    if what == "collector":
        return [gc.get_threshold()[0], gc.get_freeze_count() > 0, gc.isenabled()]
    return [sys.path, os.getcwd(), sys.argv]
