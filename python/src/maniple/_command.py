"""One command as its caller follows it: a job of one task, which its engine's keeper starts, signals and ends.

What it writes comes over two pipes of our own (`_tail`), so it can be read while the command runs.
"""

from __future__ import annotations

import datetime
import os
import secrets
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack

from ._client.spec import Work, job_spec, limits
from ._client.wire import Connection
from ._tail import Pipe
from .errors import cause_of

SIGTERM, SIGKILL = 15, 9


def argv_of(cmd: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[bytes]:
    """Program and arguments; a text is taken apart as a shell does it, but no shell runs.

    Raises
    ------
    TypeError, ValueError
        There is no program, or something that cannot be an argument.
    """
    if isinstance(cmd, str):
        cmd = shlex.split(cmd)
    elif isinstance(cmd, os.PathLike):
        cmd = [cmd]
    try:
        argv = [os.fsencode(argument) for argument in cmd]
    except TypeError as error:
        raise TypeError(f"cmd={cmd!r}: give a list of texts, or one text ({error})") from None
    if not argv or not argv[0]:
        raise ValueError(f"cmd={cmd!r} names no program")
    if any(b"\0" in argument for argument in argv):
        raise ValueError(f"cmd={cmd!r} has a NUL character in it")
    return argv


def environment(env: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """This process's environment as it is now, with `env` laid over it."""
    for name, value in (env or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"env has {name!r}: {value!r}, but names and values are texts")
        if not name or "=" in name or "\0" in name + value or not is_utf8(name + value):
            raise ValueError(f"env has {name!r}: {value!r}, which cannot be in an environment")
    # What is not UTF-8 the engine has got from us already, when it was started.
    own = {name: value for name, value in os.environ.items() if is_utf8(name + value)}
    return list({**own, **(env or {})}.items())


def is_utf8(text: str) -> bool:
    """Whether it can be sent."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def now() -> datetime.datetime:
    """The time, with its zone."""
    return datetime.datetime.now(datetime.timezone.utc)


class Command:
    """See the module. `ended` is called once, when nothing more will be heard; mostly by the connection's thread."""

    def __init__(
        self, argv: list[bytes], cwd: str, env: list[tuple[str, str]], limit: int, ended: Callable[[], None]
    ) -> None:
        self.argv, self.cwd, self._env, self._ended = argv, cwd, env, ended
        self.pipes = [Pipe(limit), Pipe(limit)]
        self.began, self.gone = threading.Event(), threading.Event()
        self._told, self._is_told = threading.Lock(), False
        self.number = secrets.randbits(64)
        self.pid: int | None = None
        self.returncode: int | None = None
        self.error: str | None = None
        self.stopping = False
        self.start_time = now()
        self.end_time: datetime.datetime | None = None
        self._connection: Connection | None = None

    def start(self, connection: Connection) -> None:
        """Have it run."""
        self._connection = connection
        stdout, stderr = self.pipes
        command = {
            "argv": ["{}"],  # the fields of the task, each an argument
            "fields": [],
            "cwd": self.cwd,
            "env": self._env,
            "attended": {"stdout": stdout.path, "stderr": stderr.path},
        }
        spec = job_spec(Work({"Command": command}), limits(retries=0), batch_size=1)
        connection.follow(self.number, self)
        connection.say(spec.submit(self.number, elsewhere=False))
        connection.say({"Tasks": {"job": self.number, "count": 1}}, msgpack.packb(self.argv))
        connection.say({"TasksEnd": {"job": self.number, "total": 1}})

    def signal(self, number: int) -> None:
        """Send a signal to it and to all that it has started."""
        assert self._connection is not None
        self._connection.say({"Signal": {"job": self.number, "number": number}})

    def give_up(self, why: str) -> None:
        """Have it killed, or not begun, and wait for no answer."""
        assert self._connection is not None
        self._connection.leave(self.number)
        self._connection.say({"Cancel": {"job": self.number, "now": True}})
        self._over(why)
        self._end()

    def hear(self, name: str, fields: Any, payload: bytes | bytearray) -> None:
        """What the coordinator says."""
        if name == "Began":
            self.pid = fields["pid"]
            self.began.set()
        elif name == "Results":
            self.returncode = 0
        elif name == "Failed":
            self._failed(fields["failure"])
        elif name == "Finished":
            assert self._connection is not None
            self._connection.leave(self.number)
            if fields["stopped"] is not None and self.returncode is None:
                self._over(fields["stopped"]["message"])
            self._end()

    def lost(self, why: str) -> None:
        """The engine is gone, and everything that it ran was killed."""
        self._over(f"the engine that ran it died ({why})")
        self._end()

    def _end(self) -> None:
        with self._told:
            told, self._is_told = self._is_told, True
        if not told:
            self._ended()

    def _failed(self, failure: dict[str, Any]) -> None:
        cause = failure["cause"]
        if isinstance(cause, dict) and "ExitCode" in cause:
            self.returncode = cause["ExitCode"]["code"]
        elif isinstance(cause, dict) and "Signal" in cause:
            self.returncode = -cause["Signal"]
        else:
            self._over(failure["message"] or cause_of(cause))

    def _over(self, why: str) -> None:
        self.error = why
        self.returncode = None if self.pid is None else -SIGKILL
