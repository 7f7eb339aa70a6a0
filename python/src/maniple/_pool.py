"""``maniple.Pool``: multiprocessing.Pool's interface over :class:`maniple.Executor`."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import wait as wait_for
from multiprocessing import TimeoutError as PoolTimeoutError
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._executor import Executor
from ._flight import Several, chunked, counted
from .errors import heed

if TYPE_CHECKING:
    from ._client.cluster import Cluster

T = TypeVar("T")
Call = Callable[[Any], Any]

AHEAD = 1_000
"""Chunks that `imap` takes from its iterable before somebody asks for their values."""


class AsyncResult(Generic[T]):
    """The value of a call, or the values of several, when there are any."""

    def __init__(
        self,
        futures: list[Future[Any]],
        join: Callable[[list[Any]], T],
        callback: Call | None,
        error_callback: Call | None,
    ) -> None:
        self._futures, self._join = futures, join
        self._callback, self._error_callback = callback, error_callback
        self._left, self._lock, self._ready = len(futures), threading.Lock(), threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        if not futures:
            self._end()
        for future in futures:
            future.add_done_callback(self._one_done)

    def _one_done(self, future: Future[Any]) -> None:
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._end()

    def _end(self) -> None:
        try:
            self._value = self._join([future.result() for future in self._futures])
        except (Exception, CancelledError) as error:
            self._error = error
        self._futures = []
        try:
            if self._error is not None:
                if self._error_callback is not None:
                    self._error_callback(self._error)
            elif self._callback is not None:
                self._callback(self._value)
        finally:
            self._ready.set()

    def get(self, timeout: float | None = None) -> T:
        """The value; raises what the call raised, or multiprocessing.TimeoutError."""
        if not self._ready.wait(timeout):
            raise PoolTimeoutError
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def wait(self, timeout: float | None = None) -> None:
        """Wait until there is a value or an exception."""
        self._ready.wait(timeout)

    def ready(self) -> bool:
        """Whether there is one."""
        return self._ready.is_set()

    def successful(self) -> bool:
        """Whether it is a value."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error is None


class Values(Iterator[T]):
    """Values one after the other; `next` takes a timeout."""

    def __init__(self, chunks: Iterator[Future[list[T]]], *, ordered: bool) -> None:
        self._chunks, self._ordered = chunks, ordered
        self._running: deque[Future[list[T]]] = deque()
        self._values: deque[T] = deque()
        self._error: Exception | None = None
        self._draw(AHEAD)

    def _draw(self, number: int) -> None:
        """More chunks; what the iterable raises is raised behind the values of what it gave before."""
        try:
            self._running.extend(itertools.islice(self._chunks, number))
        except Exception as error:
            heed(error)
            self._error = error

    def __next__(self) -> T:
        return self.next()

    def next(self, timeout: float | None = None) -> T:
        """The next value; raises what its call raised, StopIteration, or multiprocessing.TimeoutError."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._values:
            if not self._running:
                error, self._error = self._error, None
                raise error or StopIteration
            left = None if end is None else max(0.0, end - time.monotonic())
            watched = [self._running[0]] if self._ordered else self._running
            done = wait_for(watched, left, "FIRST_COMPLETED").done
            if not done:
                raise PoolTimeoutError
            first = next(future for future in self._running if future in done)
            self._running.remove(first)
            self._draw(1)
            self._values.extend(first.result())
        return self._values.popleft()


class Pool:
    """A drop-in for ``multiprocessing.Pool`` in which no task is lost or hangs when its process dies.

    Parameters
    ----------
    processes
        How many tasks run at a time. None: one per core.
    initializer, initargs
        Called once in each process, before its first task.
    maxtasksperchild
        How many chunks of tasks a process takes; then another takes its place. None: any number.
    recycle_memory
        Bytes that a process may still have after a chunk of tasks; another takes the place of one with more.
    preload
        Modules that one process imports, of which the others are copies; see :func:`maniple.map`.
    engine
        The cluster that runs the tasks, if it is not the one that was connected to last.

    Examples
    --------
    >>> from maniple import Pool
    >>> with Pool(2) as pool:
    ...     print(pool.map(abs, [-1, -2, -3]))
    [1, 2, 3]
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        *,
        recycle_memory: int | None = None,
        preload: Iterable[str | ModuleType] = (),
        engine: Cluster | None = None,
    ) -> None:
        processes = counted("Number of processes", processes, "at least 1", (1 << 16) - 1)
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild < 1):
            raise ValueError("maxtasksperchild must be a positive int or None")
        self._executor = Executor(
            processes,
            initializer=initializer,
            initargs=tuple(initargs),
            max_tasks_per_child=maxtasksperchild,
            recycle_memory=recycle_memory,
            preload=preload,
            engine=engine,
        )
        self._closed = False

    def _check(self) -> None:
        if self._closed:
            raise ValueError("Pool not running")

    def _chunks(
        self, function: Callable[..., Any], tasks: Iterable[Any], size: int, *, star: bool = False
    ) -> Iterator[Future[Any]]:
        if size < 1:
            raise ValueError(f"Chunksize must be 1+, not {size:n}")
        several = Several(function, star=star)
        return (self._executor.submit(several, chunk) for chunk in chunked(tasks, size))

    def apply(self, func: Callable[..., T], args: Iterable[Any] = (), kwds: dict[str, Any] | None = None) -> T:
        """The value of one call."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., T],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        callback: Call | None = None,
        error_callback: Call | None = None,
    ) -> AsyncResult[T]:
        """One call, whose value comes later."""
        self._check()
        future = self._executor.submit(func, *args, **(kwds or {}))
        return AsyncResult([future], lambda values: values[0], callback, error_callback)

    def map(self, func: Callable[[Any], T], iterable: Iterable[Any], chunksize: int | None = None) -> list[T]:
        """The value for each element, in order."""
        return self.map_async(func, iterable, chunksize).get()

    def map_async(
        self,
        func: Callable[[Any], T],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Call | None = None,
        error_callback: Call | None = None,
    ) -> AsyncResult[list[T]]:
        """The same, later."""
        return self._all(func, iterable, chunksize, callback, error_callback, star=False)

    def starmap(
        self, func: Callable[..., T], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[T]:
        """Like `map`, for elements that are the arguments."""
        return self.starmap_async(func, iterable, chunksize).get()

    def starmap_async(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Call | None = None,
        error_callback: Call | None = None,
    ) -> AsyncResult[list[T]]:
        """The same, later."""
        return self._all(func, iterable, chunksize, callback, error_callback, star=True)

    def _all(
        self,
        func: Callable[..., T],
        iterable: Iterable[Any],
        chunksize: int | None,
        callback: Call | None,
        error_callback: Call | None,
        *,
        star: bool,
    ) -> AsyncResult[list[T]]:
        self._check()
        tasks = list(iterable)
        size = chunksize or max(1, len(tasks) // (self._executor.workers * 16))
        futures = list(self._chunks(func, tasks, size, star=star))
        return AsyncResult(
            futures, lambda chunks: [value for chunk in chunks for value in chunk], callback, error_callback
        )

    def imap(self, func: Callable[[Any], T], iterable: Iterable[Any], chunksize: int = 1) -> Values[T]:
        """Values one after the other, in order; the iterable is drawn from as they are taken."""
        self._check()
        return Values(self._chunks(func, iterable, chunksize), ordered=True)

    def imap_unordered(self, func: Callable[[Any], T], iterable: Iterable[Any], chunksize: int = 1) -> Values[T]:
        """The same, in the order in which they are done."""
        self._check()
        return Values(self._chunks(func, iterable, chunksize), ordered=False)

    def close(self) -> None:
        """Take no more tasks."""
        self._closed = True
        self._executor.shutdown(wait=False)

    def terminate(self) -> None:
        """End what runs, and drop what does not run yet."""
        self._closed = True
        self._executor.kill()

    def join(self) -> None:
        """Wait until all tasks are done; after `close` or `terminate`."""
        if not self._closed:
            raise ValueError("Pool is still running")
        self._executor.shutdown()

    def __enter__(self) -> Pool:
        """The pool, which is terminated at the end of the block."""
        self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Terminate it, and wait until nothing of it runs any more, as `multiprocessing` does."""
        self.terminate()
        self.join()
