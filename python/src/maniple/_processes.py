"""``maniple.ProcessManager``: commands that run beside a program, a web server mostly, by names of its choice.

An engine of their own runs them, so whatever ends this program ends them and all that they have started.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ._calls import Calls
from ._client.engine import Engines
from ._client.spec import LONGEST, is_number, whole
from ._client.wire import Connection
from ._command import SIGKILL, SIGTERM, Command, argv_of, environment, is_utf8, now
from ._tail import Reader
from .errors import EngineError

DEFAULT_LIMIT = 5
"""Processes at the same time where nobody gave a number."""
MOST = 1024
"""The largest such number."""
START_LIMIT, END_LIMIT = 30.0, 10.0
"""Seconds that a start, and the end of what was killed, may take."""

_ENGINES = Engines()


class Entry:
    """A process id that somebody chose, and what became of its command."""

    def __init__(self, name: str, on_complete: Callable[[str, int | None], object] | None) -> None:
        self.name, self.on_complete = name, on_complete
        self.command: Command | None = None
        self.settled = threading.Event()
        """There is a command, or it is known that there will be none."""
        self.error: str | None = None
        self.ended_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will change."""
        return self.ended_at is not None

    def status(self) -> dict[str, Any]:
        """See `ProcessManager.get_process_status`."""
        command = self.command
        told = dict(_UNKNOWN, status=self._word(), process_id=self.name, error=self.error)
        if command is not None:
            (stdout, lost), (stderr, lost_too) = (pipe.tail.look() for pipe in command.pipes)
            told |= {
                "returncode": command.returncode if self.is_over else None,
                "stdout": stdout,
                "stderr": stderr,
                "stdout_dropped": lost,
                "stderr_dropped": lost_too,
                "pid": command.pid,
                "cmd": [os.fsdecode(argument) for argument in command.argv],
                "cwd": command.cwd,
                "start_time": command.start_time,
                "end_time": command.end_time,
                "error": command.error,
            }
        return told

    def _word(self) -> str:
        command = self.command
        if not self.is_over:
            return "starting" if command is None or not command.began.is_set() else "running"
        if command is None or command.error is not None:
            return "failed"
        return "stopped" if command.stopping else "completed"


_UNKNOWN: dict[str, Any] = {
    "process_id": None,
    "status": "unknown",
    "returncode": None,
    "stdout": "",
    "stderr": "",
    "stdout_dropped": 0,
    "stderr_dropped": 0,
    "pid": None,
    "cmd": None,
    "cwd": None,
    "start_time": None,
    "end_time": None,
    "error": None,
}


class ProcessManager:
    """Runs commands by names of the caller's choice; there is one in a program, whoever asks for it.

    Parameters
    ----------
    max_processes : int, optional
        How many may run at the same time. Without one: ``MAX_PROCESSES`` of the configuration inside a Flask
        application, else 5.
    output_limit : int, optional
        Bytes that are kept of each stream of each process, the last ones; 1 MiB unless said otherwise.
    expire : float, optional
        Seconds for which a process that has ended is remembered; 3600 unless said otherwise.
    keep : int, optional
        How many of those are remembered at most; 100 unless said otherwise.

    Notes
    -----
    What is given changes the one manager, for what is started from then on; every method may be called by any thread.
    """

    _instance: ProcessManager | None = None
    _limit: int | None
    _making = threading.Lock()

    def __new__(cls, *_: Any, **__: Any) -> ProcessManager:
        """The one that there is."""
        with cls._making:
            if cls._instance is None:
                made = super().__new__(cls)
                made._begin()
                cls._instance = made
            return cls._instance

    def __init__(
        self,
        max_processes: int | None = None,
        *,
        output_limit: int | None = None,
        expire: float | None = None,
        keep: int | None = None,
    ) -> None:
        if max_processes is not None:
            self._limit = checked(max_processes, "max_processes")
        if output_limit is not None:
            self._output = whole("output_limit", output_limit, "bytes, at least 1", 1, 1 << 40)
        if expire is not None:
            if not (is_number("expire", expire, "seconds") and 0 <= expire <= LONGEST):
                raise ValueError(f"expire={expire!r}: give seconds, at least 0")
            self._expire = expire
        if keep is not None:
            self._keep = whole("keep", keep, "a number of processes", 0, 1 << 31)

    def _begin(self) -> None:
        self._limit = None
        self._output, self._expire, self._keep = 1 << 20, 3600.0, 100
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._reader = Reader()
        self._calls = Calls()

    @property
    def max_processes(self) -> int:
        """How many may run at the same time."""
        return self._limit or configured() or DEFAULT_LIMIT

    def start_process(
        self,
        process_id: str,
        cmd: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        on_complete: Callable[[str, int | None], object] | None = None,
    ) -> bool:
        """Start a command, and return once it runs.

        Parameters
        ----------
        process_id
            Its name. That of a process that has ended may be used again, and means the new one then.
        cmd
            Program and arguments. One text is taken apart at its blanks as a shell does it, quotes included, but no
            shell runs; if one is wanted: ``["sh", "-c", text]``.
        cwd
            Its working directory; this program's one if there is none.
        env
            Variables that are laid over this program's environment.
        on_complete
            Called as ``on_complete(process_id, returncode)`` when a process that has run is gone and its output is
            complete. Callbacks are called one after the other, by one thread; what they raise is logged. The end of
            this program waits for one that is being called, and calls none for the processes that it ends.

        Returns
        -------
        bool
            False if a process of this name runs already, if so many run as may, or if the program cannot be started;
            the last of these is told by ``get_process_status(process_id)["error"]``.

        Raises
        ------
        TypeError, ValueError
            Arguments that no process can have.
        EngineError
            There is no engine.
        """
        if not isinstance(process_id, str):
            raise TypeError(f"process_id={process_id!r}: give a text")
        argv, variables = argv_of(cmd), environment(env)
        folder = os.path.abspath(os.fspath(cwd) if cwd is not None else os.getcwd())
        if "\0" in folder or not is_utf8(folder):
            raise ValueError(f"cwd={cwd!r} is no path that can be sent")
        limit, entry = self.max_processes, Entry(process_id, on_complete)
        if not self._admit(entry, limit):
            return False
        try:
            connection = _ENGINES.take(limit)
        except BaseException as error:
            self._failed(entry, str(error))
            raise
        try:
            command = Command(argv, folder, variables, self._output, lambda: self._leave(entry, connection))
        except OSError as error:
            _ENGINES.release(connection)
            return self._failed(entry, f"no pipes for its output: {error.strerror}")
        entry.command = command
        entry.settled.set()
        self._reader.add(command.pipes)
        try:
            command.start(connection)
            if not command.began.wait(START_LIMIT):
                raise EngineError(f"the engine has not started process {process_id!r} for {START_LIMIT:g} s")
        except BaseException as error:
            command.give_up(str(error) or type(error).__name__)
            raise
        return command.pid is not None

    def _admit(self, entry: Entry, limit: int) -> bool:
        with self._lock:
            self._forget_old()
            same = self._entries.get(entry.name)
            running = sum(not other.is_over for other in self._entries.values())
            if (same is not None and not same.is_over) or running >= limit:
                return False
            self._entries.pop(entry.name, None)
            self._entries[entry.name] = entry
            return True

    def _failed(self, entry: Entry, why: str) -> bool:
        entry.error, entry.ended_at = why, time.monotonic()
        entry.settled.set()
        return False

    def _leave(self, entry: Entry, connection: Connection) -> None:
        """Nothing more will be heard of it; mostly called by the thread of its connection."""
        _ENGINES.release(connection)
        command = entry.command
        assert command is not None
        self._reader.finish(command.pipes, lambda: self._over(entry, command))

    def _over(self, entry: Entry, command: Command) -> None:
        """All is known; called by the thread that reads."""
        command.end_time, entry.ended_at = now(), time.monotonic()
        if command.pid is not None and entry.on_complete is not None:
            self._calls.add(entry.on_complete, entry.name, command.returncode)
        command.gone.set()
        command.began.set()

    def get_process_status(self, process_id: str) -> dict[str, Any]:
        """How a process is, also while it runs; waits for nothing.

        Returns
        -------
        dict
            ``status``: ``"starting"``, ``"running"``, ``"completed"`` (it ended by itself, with whatever code),
            ``"stopped"`` (by `stop_process`), ``"failed"`` (it could not be started, or its engine died; ``error`` says
            why) or ``"unknown"`` (no such name, or it has expired).
            ``returncode``: None before the end; ``-N`` if signal N ended it. ``stdout``, ``stderr``: the last of what
            it has written so far, and ``stdout_dropped``, ``stderr_dropped``: how many bytes before that are gone.
            ``start_time``, ``end_time``: ``datetime`` in UTC. ``process_id``, ``pid``, ``cmd``, ``cwd``.
        """
        with self._lock:
            self._forget_old()
            entry = self._entries.get(process_id)
        return dict(_UNKNOWN, process_id=process_id) if entry is None else entry.status()

    def process_ids(self) -> list[str]:
        """The names of all that run or are remembered, in the order in which they were started."""
        with self._lock:
            self._forget_old()
            return list(self._entries)

    def stop_process(self, process_id: str, grace: float = 5.0) -> bool:
        """Have a process and all that it has started end, and wait for it: SIGTERM, after `grace` seconds SIGKILL.

        Returns
        -------
        bool
            Whether it ran, and is gone now.
        """
        with self._lock:
            entry = self._entries.get(process_id)
        if entry is None or entry.is_over:
            return False
        entry.settled.wait(START_LIMIT)
        command = entry.command
        if command is None or not command.began.wait(START_LIMIT) or command.gone.is_set():
            return False
        command.stopping = True
        command.signal(SIGTERM)
        if not command.gone.wait(grace):
            command.signal(SIGKILL)
        return command.gone.wait(END_LIMIT)

    def remove_process(self, process_id: str) -> bool:
        """Forget a process that has ended, with its output; whether there was one."""
        with self._lock:
            entry = self._entries.get(process_id)
            if entry is None or not entry.is_over:
                return False
            del self._entries[process_id]
            return True

    def _forget_old(self) -> None:
        over = [entry for entry in self._entries.values() if entry.is_over]
        over.sort(key=lambda entry: entry.ended_at or 0.0)
        long_ago = time.monotonic() - self._expire
        spare = max(0, len(over) - self._keep)
        for at, entry in enumerate(over):
            if at < spare or (entry.ended_at or 0.0) <= long_ago:
                del self._entries[entry.name]

    def _disown(self) -> None:
        """In a process that was forked: what runs is the parent's."""
        for entry in self._entries.values():
            if entry.command is not None and not entry.is_over:
                for pipe in entry.command.pipes:
                    with suppress(OSError):  # the parent was just closing it
                        pipe.close()
        self._reader.disown()
        settings = self._limit, self._output, self._expire, self._keep
        self._begin()
        self._limit, self._output, self._expire, self._keep = settings


def checked(number: Any, name: str) -> int:
    """A number of processes.

    Raises
    ------
    ValueError
        It is none.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST:
        raise ValueError(f"{name}={number!r}: give a number from 1 to {MOST}")
    return number


def configured() -> int | None:
    """What the configuration of the Flask application says that we are in, if we are in one."""
    flask = sys.modules.get("flask")
    if flask is None or not flask.has_app_context():
        return None
    number = flask.current_app.config.get("MAX_PROCESSES")
    return None if number is None else checked(number, "MAX_PROCESSES")


def _forked() -> None:
    _ENGINES.forget()
    manager = ProcessManager._instance
    ProcessManager._making = threading.Lock()
    if manager is not None:
        manager._disown()


def _at_exit() -> None:
    manager = ProcessManager._instance
    if manager is not None:
        manager._calls.close()
    _ENGINES.end()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_forked)
