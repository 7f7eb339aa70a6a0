"""``run_pools`` and its monitors, as the users of rust_pyfunc know them (`docs/from-rust-pyfunc.md`)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ._client.function import describe
from ._client.job import Outcomes, Progress
from ._client.spec import JobSpec, checkpoint_spec, job_spec, limits, texts, unpacked, whole
from ._frames import FRAMES, check_output, frame
from ._map import OnError, check_on_error, collected, run, stories
from ._progress import Shown, ending, shown
from .codec import Codec
from .errors import JobFailed, TableError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from ._client.cluster import Cluster

Output = Literal["numpy", "list", "pandas", "polars", "arrow"]
KEYS = ["date", "code"]


@dataclass
class ProgressMonitor:
    """How far the job is that writes a checkpoint: a record in this process, no process and no thread of its own."""

    backup_file: str
    """The checkpoint, by the one name that it has."""
    calls: int = 0
    """How many calls have used this monitor."""
    running: int = 0
    """How many of them are running."""
    progress: Progress | None = None
    """What the last of them said."""
    since: float = 0.0
    """When the monitor began, seconds since 1970."""


class Monitors:
    """One monitor for each checkpoint, whatever name it is called by."""

    def __init__(self) -> None:
        self._lock, self._known = threading.Lock(), dict[str, ProgressMonitor]()

    def take(self, path: str) -> ProgressMonitor:
        """The monitor of a file, for one more call."""
        name = path if "://" in path else os.path.realpath(path)
        with self._lock:
            for other in [name for name, held in self._known.items() if not held.running and not os.path.exists(name)]:
                if "://" not in other:  # its file is gone
                    del self._known[other]
            monitor = self._known.setdefault(name, ProgressMonitor(name, since=time.time()))
            monitor.calls += 1
            monitor.running += 1
            return monitor

    def release(self, monitor: ProgressMonitor) -> None:
        """A call has ended."""
        with self._lock:
            monitor.running -= 1

    def all(self) -> list[ProgressMonitor]:
        """All there are."""
        with self._lock:
            return list(self._known.values())

    def clear(self) -> int:
        """Forget those that no call uses; how many that were."""
        with self._lock:
            idle = [name for name, monitor in self._known.items() if not monitor.running]
            for name in idle:
                del self._known[name]
            return len(idle)


MONITORS = Monitors()


def progress_monitors() -> list[ProgressMonitor]:
    """The monitors there are: one for each checkpoint that ``run_pools`` was called with."""
    return MONITORS.all()


def cleanup_all_progress_monitors() -> int:
    """End the monitors that no call uses any more.

    Returns
    -------
    int
        How many were ended.
    """
    return MONITORS.clear()


def run_pools(
    func: Callable[..., Any],
    args: Iterable[Sequence[Any]],
    go_class: None = None,
    num_threads: int | None = None,
    backup_file: str | Path | None = None,
    backup_batch_size: int = 1000,
    storage_format: str = "binary",
    resume_from_backup: bool = False,
    progress_callback: Callable[[int, int, int, float], Any] | None = None,
    chunk_size: int | None = None,
    *,
    output: Output = "numpy",
    on_error: OnError = "raise",
    columns: Sequence[str] = (),
    timeout: float | None = None,
    retries: int = 3,
    recycle_memory: int | None = None,
    modules: Iterable[str | ModuleType] = (),
    preload: Iterable[str | ModuleType] = (),
    progress: bool | Shown | None = None,
    engine: Cluster | None = None,
) -> Any:
    """Compute ``func(date, code)`` for many pairs on all cores, with the parameters of rust_pyfunc's ``run_pools``.

    Parameters
    ----------
    func
        Called with the elements of each item; returns a list of numbers, or anything else.
    args
        Items such as ``[20240101, "000001"]``. Equal ones are computed once.
    go_class
        Only None: a function may refer to any object, and takes it along.
    num_threads
        How many processes; None: one per core.
    backup_file
        Checkpoint that keeps every row; see ``maniple.Checkpoint``. None: nothing is kept.
    backup_batch_size
        Accepted and not needed: what is done is on the disk within a second, whatever the number of rows.
    storage_format
        Only ``"binary"``.
    resume_from_backup
        True computes only what the file lacks; False begins a new file, and renames one that is there.
    progress_callback
        Called with (completed, total, remaining, seconds) several times a second.
    chunk_size
        Items that are handed over as a unit; None: learnt from how long they take.
    output
        ``"numpy"``: an array of objects, codes as text; ``"list"``: lists; or a frame of pandas, polars or pyarrow.
    on_error
        ``"raise"`` raises :class:`JobFailed` once all others are done; ``"skip"`` leaves failed items out; ``"nan"``
        gives them a row of NaN.
    columns
        Names of what ``func`` returns, for frames and for readers of the checkpoint.
    timeout, retries, recycle_memory, modules, preload, progress, engine
        As in :func:`maniple.map`.

    Returns
    -------
    array, list or frame
        A row ``[date, code, *values]`` for each item, in the order of `args`, whether it was computed or known.

    Raises
    ------
    JobFailed, FunctionError, CheckpointError, JobStopped, EngineError
        As :func:`maniple.map`.
    """
    if go_class is not None:
        raise ValueError("go_class is not supported: let the function refer to the object, it is sent along")
    if storage_format != "binary":
        raise ValueError(
            f"storage_format={storage_format!r} is not supported: the file is a checkpoint of this package, which "
            "maniple.Checkpoint reads and `maniple checkpoint export` turns into parquet, arrow, csv or jsonl"
        )
    if backup_file is None and resume_from_backup:
        raise ValueError("resume_from_backup=True wants the file that it resumes from: backup_file=")
    del backup_batch_size
    existing = "Resume" if resume_from_backup else "SetAside"
    names = texts("columns", columns)
    kept_in = None if backup_file is None else checkpoint_spec(backup_file, existing, names, KEYS, "Open")
    function = describe(func, modules=modules, preload=preload, engine=engine)
    return _rows(
        job_spec(function, limits(retries, timeout=timeout, recycle_memory=recycle_memory), kept_in, chunk_size),
        args,
        num_threads,
        shown(progress),
        progress_callback,
        columns=names,
        output=output,
        on_error=on_error,
        engine=engine,
    )


def run_pools_queue(
    python_function: Callable[..., Any],
    args: Iterable[Sequence[Any]],
    n_jobs: int,
    backup_file: str | Path,
    expected_result_length: int,
    restart_interval: int | None = None,
    update_mode: bool | None = None,
    return_results: bool | None = None,
    task_timeout: float | None = None,
    health_check_interval: float | None = None,
    debug_monitor: bool | None = None,
    backup_batch_size: int | None = None,
    debug_log: bool | None = None,
    progress_log: bool | None = None,
    dynamic_njobs: bool | None = None,
    *,
    output: Output = "numpy",
    on_error: OnError = "raise",
    recycle_memory: int | None = None,
    modules: Iterable[str | ModuleType] = (),
    preload: Iterable[str | ModuleType] = (),
    progress: bool | Shown | None = None,
    engine: Cluster | None = None,
) -> Any:
    """Like :func:`run_pools` with resume, by the parameters of rust_pyfunc's ``run_pools_queue``.

    Parameters
    ----------
    python_function, args, n_jobs, backup_file
        As `func`, `args`, `num_threads`, `backup_file` of :func:`run_pools`.
    expected_result_length
        How many values a row has; an item whose row has more or fewer has failed.
    return_results
        False leaves the rows in the file, and returns None.
    task_timeout
        Seconds that one item may take; None: 120.
    restart_interval, update_mode, health_check_interval, backup_batch_size
        Accepted and not needed: processes are watched all the time and replaced when they die, only what was asked for
        is returned, and what is done is on the disk within a second.
    debug_monitor, debug_log, progress_log, dynamic_njobs
        Only False.
    output, on_error, recycle_memory, modules, preload, progress, engine
        As in :func:`run_pools`.

    Returns
    -------
    array, list, frame or None
        As :func:`run_pools`. There is no column of time stamps, and codes are text.
    """
    del restart_interval, update_mode, health_check_interval, backup_batch_size
    instead = {
        "debug_monitor": "set the environment variable MANIPLE_LOG=info",
        "debug_log": "set the environment variable MANIPLE_LOG=info",
        "progress_log": "give progress= a function",
        "dynamic_njobs": "interrupt the call, and repeat it with another n_jobs: it goes on where it stopped",
    }
    asked = zip(instead, (debug_monitor, debug_log, progress_log, dynamic_njobs))
    for name in [name for name, value in asked if value]:
        raise ValueError(f"{name}=True is not supported: {instead[name]}")
    width = whole("expected_result_length", expected_result_length, "a number of values, at least 1", 1, (1 << 16) - 1)
    kept_in = checkpoint_spec(backup_file, "Resume", [], KEYS, {"Width": width})
    timeout = 120.0 if task_timeout is None else task_timeout
    function = describe(python_function, modules=modules, preload=preload, engine=engine)
    return _rows(
        job_spec(function, limits(timeout=timeout, recycle_memory=recycle_memory), kept_in),
        args,
        n_jobs,
        shown(progress),
        output=None if return_results is False else output,
        on_error=on_error,
        engine=engine,
    )


def _rows(
    spec: JobSpec,
    args: Iterable[Sequence[Any]],
    processes: int | None,
    show: Shown | None,
    progress_callback: Callable[[int, int, int, float], Any] | None = None,
    *,
    columns: Sequence[str] = (),
    output: Output | None,
    on_error: OnError,
    engine: Cluster | None,
) -> Any:
    """What both calls do; without an output the rows stay in the file."""
    check_on_error(on_error)
    if output is not None:
        check_output(output, ("numpy", "list", *FRAMES))
    path = None if spec["checkpoint"] is None else spec["checkpoint"]["path"]
    monitor = None if path is None else MONITORS.take(path)

    def hear(now: Progress) -> None:
        if monitor is not None:
            monitor.progress = now
        if show is not None:
            show(now)
        if progress_callback is not None:
            progress_callback(now.finished, now.total, now.total - now.finished, now.elapsed)

    try:
        with ending(show):
            job = run(spec, (list(item) for item in args), processes, hear, engine, collect=output is not None)
    finally:
        if monitor is not None:
            MONITORS.release(monitor)
    failures, rows = stories(job), None
    if output is not None:
        found = collected(job, path)
        width = max((len(values_of(value)) for value in found.values()), default=len(columns))
        missing = [float("nan")] * width if on_error == "nan" else None
        rows = shaped(table(job, found, missing), width, list(columns), output)
    if failures and on_error == "raise":
        raise JobFailed(failures, rows, len(job.keys))
    return rows


def values_of(value: Any) -> list[Any]:
    """What a function returned, as the values of a row."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return (
        list(value.values())
        if isinstance(value, dict)
        else list(value)
        if isinstance(value, (list, tuple))
        else [value]
    )


def table(job: Outcomes, found: dict[int, Any], missing: list[Any] | None) -> list[list[Any]]:
    """Rows in the order that was asked for; one that failed is `missing`, or is left out."""
    keys = unpacked(Codec(), len(job.keys), b"".join(job.keys))
    rows = []
    for at in job.asked:
        if at in found:
            rows.append([*keys[at], *values_of(found[at])])
        elif missing is not None:
            rows.append([*keys[at], *missing])
    return rows


def shaped(rows: list[list[Any]], width: int, columns: list[str], output: Output) -> Any:
    """Rows as what was asked for."""
    if output == "list":
        return rows
    lens = {len(row) for row in rows}
    if len(lens) > 1:
        error = TableError(
            f"rows of {min(lens)} to {max(lens)} fields make no table; they are this error's .results, and what "
            "output='list' gives"
        )
        error.results = rows
        raise error
    keys = max(lens, default=len(KEYS) + width) - width
    if output == "numpy":
        import numpy

        whole = numpy.empty((len(rows), keys + width), dtype=object)
        for at, row in enumerate(rows):
            whole[at] = row
        return whole
    names = [*(KEYS if keys == len(KEYS) else [f"key{at}" for at in range(keys)])]
    names += columns or [f"c{at}" for at in range(width)]
    return frame({name: [row[at] for row in rows] for at, name in enumerate(names)}, output)
