"""The engine of this process: `maniple engine`, started on first use, used by every later call, ended with us.

It hears of our end by the end of a socket, whatever ends us. A process that was forked from us has none of its own
until it needs one. Who is connected to a cluster uses that instead.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EngineError
from ..loading import GUARD
from .ask import HANDOVER_LIMIT, bequeath, leave_to_others
from .wire import ERRORS, LOCAL_LIMIT, Connection

if TYPE_CHECKING:
    from .cluster import Cluster

END_LIMIT = 30.0
"""Seconds that an engine may take to end what it runs, and itself."""


class Away(Exception):
    """There is no connection to the cluster just now, and it is being made again."""


def binary() -> str:
    """The program `maniple`: the one that $MANIPLE_BINARY names, this package's own, or the first on the PATH."""
    named = os.environ.get("MANIPLE_BINARY")
    if named and not os.access(named, os.X_OK):
        raise EngineError(f"$MANIPLE_BINARY names {named}, which is no program that can be executed")
    # Where an installer puts programs: beside the interpreter, or for a user or a folder of packages elsewhere.
    folders = [Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))]
    folders += [Path(sysconfig.get_path("scripts", "posix_user")), Path(__file__).parents[2] / "bin"]
    places = list(dict.fromkeys(folder / "maniple" for folder in folders))
    beside = next((str(place) for place in places if os.access(place, os.X_OK)), None)
    found = named or beside or shutil.which("maniple")
    if not found:
        looked = ", ".join(str(place) for place in places)
        raise EngineError(
            f"no program maniple in {looked} or on the PATH; install the package anew, or set $MANIPLE_BINARY"
        )
    return found


def refuse_imports() -> None:
    """Raise EngineError in a process that runs tasks, where a module that it imports runs some: without end, mostly."""
    if not hasattr(sys.modules.get("__main__"), "_maniple_child"):
        return
    frame, module = sys._getframe(), None
    while frame.f_back is not None:
        if frame.f_code.co_name == "<module>":
            module = frame.f_globals.get("__name__")
        elif frame.f_code.co_filename == "<frozen importlib._bootstrap>" and module is not None:
            raise EngineError(
                f"module {module} runs tasks when it is imported, and the process that is to run them imports it: "
                f"{GUARD}"
            )
        frame = frame.f_back


class Engine:
    """A process that runs tasks with so many processes of its own, and the connection to it."""

    def __init__(self, processes: int | None) -> None:
        ours, theirs = socket.socketpair()
        command = [binary(), "engine", *([] if processes is None else ["-j", str(processes)])]
        if "MANIPLE_LOG" not in os.environ:
            command += ["--log", "error"]  # what becomes of tasks is told by values and exceptions
        process = None
        try:
            with theirs:
                try:
                    process = subprocess.Popen(
                        command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True
                    )
                except OSError as error:
                    raise EngineError(f"{command[0]} cannot be started: {error}") from error
            self._process, self.connection = process, Connection(ours, LOCAL_LIMIT)
        except BaseException as error:  # an interrupt, too
            ours.close()  # one that runs and is not known yet hears of it
            if process is not None:
                process.kill()
                process.wait()
            if not isinstance(error, ERRORS):
                raise
            raise EngineError(f"the engine does not answer ({error}); see what it wrote to standard error") from error

    @property
    def pid(self) -> int:
        """The first of its processes."""
        return int(self._process.pid)

    def end(self) -> None:
        """End it, and all that it has started."""
        self.connection.close()
        try:
            self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Engines:
    """The engines that are running, by the number of processes that each was asked for: one, unless jobs overlap.

    None is ended with the lock held: its thread may be about to take another one. One of them has the key-values
    (`asking`); before it ends the next one takes them over.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int | None, Engine] = {}
        self._users: Counter[Connection] = Counter()
        self._change = threading.Condition(self._lock)
        self._home: Connection | None = None  # who has the key-values
        self._moving = False  # they are on their way to another
        self._askers: Counter[Connection] = Counter()

    def take(self, processes: int | None) -> Connection:
        """A connection to an engine with so many processes; `None` takes any, and starts one process a core.

        Engines of another size are ended, unless somebody uses them.
        """
        heir: Connection | None = None
        try:
            with self._lock:
                unfit = self._unfit(processes)
                for size in unfit:
                    del self._running[size]
                fit = next(iter(self._running.values()), None) if processes is None else self._running.get(processes)
                is_new = fit is None
                if fit is None:
                    fit = self._running[processes] = Engine(processes)
                self._users[fit.connection] += 1
                home = self._home
                goes = home is None or home.is_lost or any(engine.connection is home for engine in unfit.values())
                if goes and not self._moving:
                    self._moving, heir = True, fit.connection
                elif is_new:
                    leave_to_others(fit.connection)
            if heir is not None:
                bequeath(home, heir)
        finally:
            if heir is not None:
                with self._change:
                    self._home, self._moving = heir, False
                    self._change.notify_all()
        for engine in unfit.values():
            self._await_askers(engine.connection)
            engine.end()
        return fit.connection

    def _unfit(self, processes: int | None) -> dict[int | None, Engine]:
        def is_idle(connection: Connection) -> bool:
            # Its own thread could not hear what it says at its end.
            return not self._users[connection] and not connection.is_own_thread

        return {
            size: engine
            for size, engine in self._running.items()
            if engine.connection.is_lost or (processes not in (None, size) and is_idle(engine.connection))
        }

    def _await_askers(self, connection: Connection) -> None:
        with self._change:
            self._change.wait_for(lambda: not self._askers[connection], HANDOVER_LIMIT)

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """A connection to the engine that has the key-values. It may be replaced, but ends after that."""
        while True:
            with self._change:
                self._change.wait_for(lambda: not self._moving)
                home = self._home
                if home is not None and not home.is_lost:
                    self._askers[home] += 1
                    break
            self.release(self.take(None))
        try:
            yield home
        finally:
            with self._change:
                self._askers[home] -= 1
                if not self._askers[home]:
                    del self._askers[home]
                self._change.notify_all()

    def release(self, connection: Connection) -> None:
        """One user less."""
        with self._lock:
            self._users[connection] -= 1
            if not self._users[connection]:
                del self._users[connection]

    def end(self) -> None:
        """End them; the next job starts another."""
        with self._lock:
            running = list(self._running.values())
            self._running.clear()
        for engine in running:
            engine.end()

    def pids(self) -> list[int]:
        """The first process of each that is running."""
        return [engine.pid for engine in self._running.values()]

    def forget(self) -> None:
        """In a process that was forked: the engines are the parent's."""
        for engine in self._running.values():
            engine.connection.disown()
        Engines.__init__(self)


class Places(Engines):
    """Where jobs can run: an engine of this process, or a cluster that it is connected to."""

    def __init__(self) -> None:
        super().__init__()
        self.clusters: list[Cluster] = []
        """Those that this process is connected to; the last one is used by whoever names none."""

    def default(self) -> Cluster | None:
        """The cluster that is used by whoever names none: what was connected to last, or $MANIPLE_ACCESS_FILE."""
        named = os.environ.get("MANIPLE_ACCESS_FILE")
        if not self.clusters and named:
            from .cluster import connect

            return connect(named)
        return self.clusters[-1] if self.clusters else None

    def chosen(self, engine: Cluster | None) -> Cluster | None:
        """The cluster that a caller names by `engine=`, or the one that is used by default."""
        if engine is not None and not callable(getattr(engine, "take", None)):
            raise TypeError(f"engine={engine!r} is no cluster; give what maniple.connect returned, or None")
        return engine or self.default()

    def take(
        self, processes: int | None, cluster: Cluster | None = None, later: Callable[[], None] | None = None
    ) -> Connection:
        """A connection to a cluster, or to an engine if there is none; see `Engines.take`.

        A cluster that is away is waited for; with `later` that is called when it is back, and `Away` raised.
        """
        refuse_imports()
        cluster = cluster or self.default()
        return super().take(processes) if cluster is None else cluster.take(later)

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """A connection to the cluster, or to the engine that has the key-values."""
        cluster = self.default()
        if cluster is not None:
            yield cluster.take()
        else:
            with super().asking() as connection:
                yield connection

    def release(self, connection: Connection) -> None:
        """One user less; a cluster stays connected."""
        if not connection.is_remote:
            super().release(connection)

    def end(self) -> None:
        """End them, and leave the clusters."""
        for cluster in list(self.clusters):
            cluster.close()
        super().end()

    def forget(self) -> None:
        """In a process that was forked: the engines are the parent's, and so are the connections."""
        super().forget()
        for cluster in self.clusters:
            cluster.forget()


ENGINES = Places()
atexit.register(ENGINES.end)
os.register_at_fork(after_in_child=ENGINES.forget)
