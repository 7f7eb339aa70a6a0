"""joblib's ``Parallel`` on Maniple's processes: ``parallel_config(backend="maniple")`` after ``register_joblib()``.

An executor outlives the ``Parallel`` that it was made for: the next one that wants the same finds processes which have
imported what they need. Inside such a process an inner ``Parallel`` runs in threads, or one call after the other, as
inside those of joblib's own backends.
"""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import pickle
import secrets
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from importlib import import_module
from multiprocessing import process
from typing import Any

import cloudpickle

try:
    from joblib.parallel import (
        AutoBatchingMixin,
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
        cpu_count,
        register_parallel_backend,
    )
except ImportError as trouble:
    raise ImportError("maniple.joblib needs joblib 1.3 or newer: pip install 'maniple[joblib]'") from trouble
import numpy

from ._client.cargo import MemoryFile
from ._client.function import name_of
from ._executor import Executor

OPTIONS = ("initializer", "initargs", "retries", "memory")
"""What `parallel_config` and `Parallel` may give to our executor, beside what they have for every backend."""
WITHOUT_EFFECT = ("context", "idle_worker_timeout", "prefer", "require", "temp_folder", "verbose")
"""What they give to every backend, and concerns other ones."""

_INSIDE = False
"""Whether this process is one of a backend of ours."""


def _enter() -> None:
    """In a process of ours, before its first call."""
    global _INSIDE
    _INSIDE = True
    with contextlib.suppress(ImportError):  # what joblib's backend of multiprocessing looks at, to warn and not to nest
        process_executor = import_module("joblib.externals.loky.process_executor")
        process_executor._CURRENT_DEPTH += 1  # type: ignore[attr-defined]
    copyreg.pickle(numpy.memmap, _unmapped)
    register()


def _unmapped(array: Any) -> Any:
    """How a mapped array goes back: as any other, since its file is none of the caller's."""
    return pickle.loads, (pickle.dumps(numpy.array(array), protocol=5),)


def _begin(
    env: dict[str, str], initializer: Callable[..., Any] | None, initargs: tuple[Any, ...]
) -> Callable[[], None]:
    """What a process does before its first call; the environment comes first, as numpy reads it but once."""

    def begin() -> None:
        import os
        from contextlib import suppress
        from importlib import import_module

        os.environ.update(env)
        with suppress(ImportError):
            import_module("maniple.joblib")._enter()
        if initializer is not None:
            initializer(*initargs)

    return begin


class MappedFile(MemoryFile):
    """An array in memory that processes can map."""

    def __init__(self, array: Any) -> None:
        self.name = f"maniple-array-{secrets.token_hex(8)}"
        super().__init__(self.name)
        with open(self.fd, "wb", closefd=False) as stream:
            numpy.lib.format.write_array(stream, numpy.asarray(array), allow_pickle=False)


def mapped(path: str, name: str, mode: Any) -> Any:
    """The array of a file, in a process that runs calls."""
    if not os.path.islink(path) or name not in os.readlink(path):
        raise FileNotFoundError(
            f"{path} on {os.uname().nodename} is not the caller's array; give max_nbytes=None to send it"
        )
    return numpy.load(path, mode)


class Arrays:
    """Large arrays among the arguments of calls: each is in memory once more, and the processes map it.

    As in joblib, an array that is changed while a ``Parallel`` has it is not sent again. A file is kept while its array
    lives, or calls that need it are not done.
    """

    def __init__(self, limit: int | None, mode: str | None) -> None:
        self._limit = limit if mode and hasattr(os, "memfd_create") else None
        self._mode = "r+" if mode == "w+" else mode
        self._files: dict[int, tuple[weakref.ref[Any], MappedFile]] = {}
        self._lock = threading.Lock()

    def packed(self, batch: Any) -> tuple[bytes, list[MappedFile]]:
        """A pickle of a batch without its large arrays, and the files that have these."""
        with io.BytesIO() as file:
            pickler = _Pickler(file, self)
            try:
                pickler.dump(batch)
            except Exception as error:  # as with loky
                raise pickle.PicklingError("Could not pickle the task to send to the workers.") from error
            return file.getvalue(), pickler.files

    def file_of(self, array: Any) -> MappedFile | None:
        """Where the processes find an array, if it is large."""
        if self._limit is None or array.nbytes < self._limit or array.dtype.hasobject:
            return None
        number = id(array)
        with self._lock:
            known, file = self._files.get(number, (None, None))
            if known is None or known() is not array:
                file = MappedFile(array)
                self._files[number] = weakref.ref(array, lambda gone: self._forget(number, gone)), file
        return file

    def _forget(self, number: int, gone: weakref.ref[Any]) -> None:
        if self._files.get(number, (None,))[0] is gone:
            del self._files[number]

    def reduced(self, file: MappedFile) -> Any:
        """What stands for a large array in a pickle."""
        return mapped, (file.path, file.name, self._mode)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Puts the places of large arrays in place of these."""

    def __init__(self, file: io.BytesIO, arrays: Arrays) -> None:
        super().__init__(file, protocol=5)
        self._arrays, self.files = arrays, list[MappedFile]()

    def reducer_override(self, value: Any) -> Any:
        """The place of a large array; all else as cloudpickle does it."""
        if type(value) in (numpy.ndarray, numpy.memmap) and (file := self._arrays.file_of(value)):
            self.files.append(file)
            return self._arrays.reduced(file)
        return super().reducer_override(value)


class Packed:
    """A batch that is a pickle already, and arrives as the batch."""

    def __init__(self, work: bytes, batch: Any) -> None:
        self.work = work
        self.__qualname__ = name_of(batch.items[0][0])[1]  # what the story of its failure names

    def __call__(self) -> Any:
        """The values of the batch."""
        return cloudpickle.loads(self.work)()

    def __reduce__(self) -> Any:
        return cloudpickle.loads, (self.work,)


class Idle:
    """The executor that the next ``Parallel`` takes, if it wants the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[dict[str, Any], Executor] | None = None

    def take(self, wanted: dict[str, Any]) -> Executor:
        """The one that is idle, or a new one."""
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None:
            made_for, executor = kept
            if executor._pid == os.getpid() and executor._broken is None:
                with contextlib.suppress(ValueError):  # of arrays that are compared
                    if made_for == wanted:
                        return executor
                executor.shutdown(wait=False)
        options = {name: value for name, value in wanted.items() if name in ("retries", "memory")}
        begin = _begin(wanted["env"], wanted.get("initializer"), tuple(wanted.get("initargs", ())))
        return Executor(wanted["n_jobs"], initializer=begin, **options)

    def give(self, made_for: dict[str, Any], executor: Executor) -> None:
        """It is idle; what was idle before ends."""
        with self._lock:
            kept, self._kept = self._kept, (made_for, executor)
        if kept is not None and kept[1]._pid == os.getpid():
            kept[1].shutdown(wait=False)


IDLE = Idle()


class ManipleBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """A backend of joblib over :class:`maniple.Executor`.

    Parameters
    ----------
    nesting_level, inner_max_num_threads
        As for joblib's own backends.
    initializer, initargs
        Called once in each process, before its first call.
    retries, memory
        See :class:`maniple.Executor`.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(
        self, nesting_level: int | None = None, inner_max_num_threads: int | None = None, **options: Any
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self.backend_kwargs = options
        self.parallel: Any = None
        self._workers: Executor | None = None
        self._wanted: dict[str, Any] = {}
        self._arrays = Arrays(None, None)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at a time: a negative number counts from the cores down, as everywhere in joblib."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None or n_jobs == 1 or _INSIDE:
            return 1
        if getattr(process.current_process(), "daemon", False):
            why = "called in a multiprocessing"
        elif not (self.in_main_thread() or self.nesting_level == 0):
            why = "nested below threads"
        else:
            return n_jobs if n_jobs > 0 else max(int(cpu_count()) + 1 + n_jobs, 1)
        warnings.warn(f"Maniple-backed parallel loops cannot be {why}, setting n_jobs=1", stacklevel=3)
        return 1

    def configure(
        self,
        n_jobs: int | None = 1,
        parallel: Any = None,
        max_nbytes: int | None = None,
        mmap_mode: str | None = "r",
        **options: Any,
    ) -> int:
        """Take an executor for a ``Parallel``, and say how many calls it runs at a time."""
        number = self.effective_n_jobs(n_jobs)
        if number == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        given = {**self.backend_kwargs, **options}
        if unknown := sorted(set(given) - {*OPTIONS, *WITHOUT_EFFECT}):
            raise TypeError(f"the backend maniple has no option {unknown[0]!r}; its options are {', '.join(OPTIONS)}")
        self.parallel = parallel
        self._wanted = {name: value for name, value in given.items() if name in OPTIONS}
        self._wanted.update(n_jobs=number, env=self._prepare_worker_env(n_jobs=number))
        self._arrays = Arrays(max_nbytes, mmap_mode)
        self._workers = IDLE.take(self._wanted)
        return number

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], Any] | None = None) -> Future[Any]:
        """Have a batch of calls made."""
        workers = self._workers
        try:
            if workers is None:
                raise BrokenExecutor("it was aborted")
            packed, files = self._arrays.packed(func)
            future = workers.submit(Packed(packed, func))
        except BrokenExecutor:
            if workers is not None and workers is self._workers:
                raise
            future = Future()  # the thread that hears of results was about to send more when all was aborted
            future.cancel()
            return future
        if files:
            future.add_done_callback(lambda _: files.clear())
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit
    """What joblib 1.3 and 1.4 call it."""

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The values of a batch, or the exception of one of its calls."""
        return out.result()

    def terminate(self) -> None:
        """The ``Parallel`` ends: the next one may have the executor."""
        workers, self._workers = self._workers, None
        if workers is not None:
            IDLE.give(self._wanted, workers)
        self._arrays = Arrays(None, None)
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End what runs, and drop what does not run yet."""
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.kill()
        if ensure_ready:
            self._workers = IDLE.take(self._wanted)


def register() -> None:
    """What ``maniple.register_joblib()`` does."""
    register_parallel_backend("maniple", ManipleBackend)
