"""``maniple.Executor``: a ``concurrent.futures.Executor`` whose processes may die without breaking it.

Calls wait here until there is room for them in the engine, so that they can be cancelled; they travel in a job that
stays open, and that is ended and followed by another before it has grown large.

Invariants
- A call is in the queue, in flight in one job, or has an outcome.
- Futures are told of their outcome without any lock held.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import multiprocessing.process
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures import Executor as Base
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import cloudpickle

from . import _call
from ._client.engine import ENGINES, Away
from ._client.function import describe
from ._client.spec import job_spec, limits
from ._flight import Flight, Item, Room, Several, again, call_of, chunked, counted, pickled, settle
from .codec import Codec, Undecodable
from .errors import EngineError, Failure, ManipleError, TaskFailed, is_interrupt

if TYPE_CHECKING:
    from ._client.cluster import Cluster

T = TypeVar("T")

GATHERED = 256
"""Calls that are sent on even so."""

cloudpickle.register_pickle_by_value(_call)


class Executor(Base):
    """Runs calls in processes, and gives a future of each; a drop-in for ``ProcessPoolExecutor``.

    A call whose process dies is tried again, and fails alone if it dies each time: the executor never breaks by it.
    Functions and arguments may be lambdas, closures, or anything that cloudpickle takes.

    Parameters
    ----------
    max_workers
        How many calls run at a time. None: one per core.
    initializer, initargs
        Called once in each process, before its first call. If it raises, the executor is broken.
    shared
        Values by name: a call whose function has a parameter of that name, and is not given it, gets the value as a
        keyword argument. See :func:`maniple.map`.
    modules, preload
        Modules that are sent along, and that are imported once on each machine; see :func:`maniple.map`.
    max_tasks_per_child
        How many calls a process makes; then another takes its place. None: any number.
    retries, timeout, memory, recycle_memory
        How often a call is made again after its process died; seconds that one may take; bytes that its process may
        take, and that it may still have after a call (with more another takes its place).
    engine
        The cluster that makes the calls, if it is not the one that was connected to last.

    Examples
    --------
    >>> from maniple import Executor
    >>> with Executor(2) as executor:
    ...     print(executor.submit(pow, 2, 10).result())
    1024
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., Any] | None = None,
        initargs: tuple[Any, ...] = (),
        shared: dict[str, Any] | None = None,
        modules: Iterable[str | ModuleType] = (),
        preload: Iterable[str | ModuleType] = (),
        max_tasks_per_child: int | None = None,
        retries: int = 3,
        timeout: float | None = None,
        memory: int | None = None,
        recycle_memory: int | None = None,
        engine: Cluster | None = None,
    ) -> None:
        max_workers = counted("max_workers", max_workers, "greater than 0", (1 << 16) - 1)
        max_tasks_per_child = counted("max_tasks_per_child", max_tasks_per_child, ">= 1", (1 << 32) - 1)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._processes, self._engine = max_workers, ENGINES.chosen(engine)
        self.workers = max_workers or os.cpu_count() or 1
        """How many calls run at a time."""
        begin = None if initializer is None else pickled((initializer, initargs))
        maker = _call.maker(begin, bytes(multiprocessing.process.current_process().authkey))
        function = describe(maker, shared=shared, modules=modules, preload=preload, engine=self._engine)
        self._shared = tuple(shared or ())
        self._spec = job_spec(function, limits(retries, 0, timeout, memory, max_tasks_per_child, recycle_memory))
        self._codec = Codec()
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._queue: deque[Item] = deque()
        self._flight: Flight | None = None
        self._flights: set[Flight] = set()
        self._broken: str | None = None
        self._closed = False
        self._deaths = 0
        self._pid = os.getpid()
        # A cluster has as many processes as it has, so what may run there is all that is sent.
        is_exact = self._engine is not None and max_workers is not None
        self._room = Room(self.workers, self.workers) if is_exact else Room(2 * self.workers)

    def __del__(self) -> None:
        """Forgotten without a shutdown, and nothing is left to do."""
        flight = getattr(self, "_flight", None)
        if flight is not None:
            flight.connection.say(flight.last_words)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a call made; see ``concurrent.futures.Executor.submit``."""
        future: Future[T] = Future()
        name = getattr(fn, "__qualname__", type(fn).__qualname__)
        work, trouble, is_due = b"", None, False
        try:
            work = call_of(name, fn, args, kwargs, self._shared)
        except Exception as error:
            trouble = error
        with self._lock:
            if self._broken is not None:
                raise BrokenExecutor(self._broken)
            if self._closed or _ENDED:
                raise RuntimeError(
                    f"cannot schedule new futures after {'' if self._closed else 'interpreter '}shutdown"
                )
            if self._pid != os.getpid():
                raise RuntimeError("this executor belongs to the process that this one was forked from; make a new one")
            if trouble is None:
                self._queue.append(Item(future, name, work))
                _BUSY.add(self)
                # While every process has enough to do, calls gather: what comes back sends them on together.
                is_due = self._in_flight() < self._room.least or len(self._queue) >= GATHERED
        if trouble is not None:
            future.set_running_or_notify_cancel()
            future.set_exception(trouble)
        elif is_due:
            self._pump_aside()
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Call a function with the elements of iterables, in order; see ``concurrent.futures.Executor.map``."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        end = None if timeout is None else timeout + time.monotonic()
        chunks = chunked(zip(*iterables), chunksize)
        several = Several(fn, star=True)
        futures = deque(self.submit(several, chunk) for chunk in itertools.islice(chunks, buffersize))

        def results() -> Iterator[T]:
            try:
                while futures:
                    first = futures.popleft()
                    if buffersize is not None:
                        futures.extend(self.submit(several, chunk) for chunk in itertools.islice(chunks, 1))
                    try:
                        self._refuse_callbacks()
                        values = first.result(None if end is None else end - time.monotonic())
                    finally:
                        first.cancel()
                    del first  # and so nothing here holds a value that was handed out
                    values.reverse()
                    while values:
                        yield values.pop()
            finally:
                for future in futures:
                    future.cancel()

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; see ``concurrent.futures.Executor.shutdown``."""
        with self._lock:
            self._closed = True
            dropped = list(self._queue) if cancel_futures else []
            if cancel_futures:
                self._queue.clear()
        for item in dropped:
            item.future.cancel()
            item.future.set_running_or_notify_cancel()
        self._pump_aside()
        if wait and self._pid == os.getpid():
            with self._idle:
                self._refuse_callbacks()
                self._idle.wait_for(lambda: not self._queue and not self._flights)

    def _refuse_callbacks(self) -> None:
        for flight in self._flights:
            flight.connection.refuse_callbacks("calls cannot be waited for")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shut down; an interrupt ends what runs, which would be waited for otherwise."""
        if is_interrupt(error):
            self.kill()
        self.shutdown()

    def kill(self) -> None:
        """Take no more calls, end those that run, and cancel all others; their futures say so."""
        with self._lock:
            self._closed = True
            self._broken = self._broken or "the executor was told to end at once"
            flights = list(self._flights)
        self._pump()
        for flight in flights:
            flight.connection.say({"Cancel": {"job": flight.number, "now": True}})

    # What happens to calls: by whoever submits, and by the thread of the connection.

    def _in_flight(self) -> int:
        return sum(len(flight.items) for flight in self._flights)

    def _pump_aside(self) -> None:
        """Have a thread that no interrupt reaches send what there is room for; here a call might get lost by one."""
        with self._lock:
            if self._queue and self._flight is None and self._broken is None and not self._take_off():
                return
            flight = self._flight
        if flight is None:
            self._pump()
        else:
            flight.connection.aside(self._pump, wait=True)

    def _pump(self) -> None:
        """Send what there is room for; end the job when there will be nothing more."""
        while True:
            with self._lock:
                if self._queue and self._broken is None and self._room.size > self._in_flight():
                    if not self._take_off():
                        return
                    self._send()
                elif self._closed and not self._queue and self._flight is not None:
                    self._flight.end()
                    self._flight = None
                broken = list(self._queue) if self._broken is not None else []
                if broken:
                    self._queue.clear()
                    self._idle.notify_all()
                more = bool(self._queue) and self._room.size > self._in_flight()
            for item in broken:
                if item.future.set_running_or_notify_cancel():
                    item.future.set_exception(BrokenExecutor(self._broken))
            if not more:
                return

    def _take_off(self) -> bool:
        """Have a job, which may be lost at once; False if the cluster is away: `_pump` is called when it is back."""
        if self._flight is not None and self._flight.is_full:
            self._flight.end()
            self._flight = None
        if self._flight is not None:
            return True
        try:
            connection = ENGINES.take(self._processes, self._engine, self._pump)
        except Away:
            return False
        except ManipleError as error:
            self._broken = str(error)
            return True
        self._flight = flight = Flight(self, connection)
        self._flights.add(flight)
        flight.begin(self._spec)
        return True

    def _send(self) -> None:
        if (flight := self._flight) is None:
            return
        room, size = self._room.size - self._in_flight(), 0
        items: list[Item] = []
        keys: list[bytes] = []
        while self._queue and len(items) < room and size < 1 << 20:
            item = self._queue.popleft()
            if not item.future.set_running_or_notify_cancel():
                continue
            key = self._codec.pack([flight.calls + len(items), item.work])
            items.append(item)
            keys.append(key)
            size += len(key)
        if items:
            flight.send(items, keys)

    def _landed(self, flight: Flight, answers: list[tuple[int, Any]]) -> None:
        with self._lock:
            landed = [(flight.items.pop(task, None), answer) for task, answer in answers]
            self._room.landed(len(landed))
            self._deaths = 0
        for item, answer in landed:
            if item is not None:
                self._tell(item.future, answer)
        self._settle()

    def _widened(self, slots: int) -> None:
        """A cluster has so many processes now."""
        with self._lock:
            if self._processes is None and slots:
                self.workers = slots
                self._room.widen(2 * slots)
        self._pump()

    def _tell(self, future: Future[Any], answer: Any) -> None:
        if isinstance(answer, Undecodable) or answer[0] != "broken":
            settle(future, answer)
            return
        with self._lock:
            first, self._broken = self._broken is None, f"the initializer raised:\n{answer[1]}"
        if first:  # as the executors of concurrent.futures do
            logging.getLogger("concurrent.futures").critical("Exception in initializer:\n%s", answer[1])
        future.set_exception(BrokenExecutor(self._broken))

    def _crashed(self, flight: Flight, task: int, story: dict[str, Any]) -> None:
        with self._lock:
            item = flight.items.pop(task, None)
        if item is not None:
            item.future.set_exception(TaskFailed(Failure(item.name, story)))
        self._settle()

    def _finished(self, flight: Flight, stopped: dict[str, str] | None) -> None:
        self._gone(flight, [])
        if stopped is not None:
            with self._lock:
                self._broken = stopped["message"]
            for item in list(flight.items.values()):
                item.future.set_exception(BrokenExecutor(stopped["message"]))
        self._settle()

    def _lost(self, flight: Flight, why: str) -> None:
        """The engine died; what was in flight is sent to the next one."""
        with self._lock:
            self._deaths += not flight.connection.is_remote
            if self._deaths > 5 and self._broken is None:
                self._broken = str(EngineError(f"the engine died {self._deaths} times ({why})"))
        self._gone(flight, [again(item) for item in flight.items.values()])
        self._settle()

    def _gone(self, flight: Flight, unmade: list[Item]) -> None:
        with self._lock:
            if flight in self._flights:
                self._flights.discard(flight)
                ENGINES.release(flight.connection)
            if self._flight is flight:
                self._flight = None
            self._queue.extendleft(reversed(unmade))
            self._idle.notify_all()

    def _settle(self) -> None:
        self._pump()
        with self._idle:
            if not self._queue and not self._in_flight():
                _BUSY.discard(self)
                if self._closed and not self._flights:
                    self._spec.cargo.close()
            self._idle.notify_all()


_ENDED = False  # whether the interpreter ends, and with it the engines
_BUSY: set[Executor] = set()  # those that have something left to do, also if nobody else remembers them


def _at_exit() -> None:
    """Calls that were submitted are made before the interpreter ends, as with any executor."""
    global _ENDED
    _ENDED = True
    # At a prompt it has ended a line, and not this program.
    is_interrupted = is_interrupt(getattr(sys, "last_value", None)) and not hasattr(sys, "ps1")
    for executor in list(_BUSY):
        if is_interrupted:
            executor.kill()
        executor.shutdown()


atexit.register(_at_exit)
