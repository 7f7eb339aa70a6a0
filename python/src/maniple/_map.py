"""``maniple.map``: a function over many tasks, on all cores, each result kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Literal

from ._client.function import describe
from ._client.job import Job, Outcomes, Plan, Progress, Unreadable
from ._progress import bar
from .errors import Failure, JobFailed

OnError = Literal["raise", "skip", "nan"]
Shown = Callable[[Progress], None]

SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


def seconds(time: float) -> dict[str, int]:
    """A duration as the protocol has it."""
    nanoseconds = round(time * 1e9)
    return {"secs": nanoseconds // 10**9, "nanos": nanoseconds % 10**9}


def limits(retries: int, retry_errors: int, timeout: float | None, memory: int | None) -> dict[str, Any]:
    """What a task may take, as the protocol has it."""
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout={timeout!r} leaves no time; give seconds, or None")
    if memory is not None and memory <= 0:
        raise ValueError(f"memory={memory!r} leaves no memory; give bytes, or None")
    for name, number in (("retries", retries), ("retry_errors", retry_errors)):
        if not 0 <= number < 1 << 16:
            raise ValueError(f"{name}={number!r}: give a number from 0 to 65535")
    span = None if timeout is None else seconds(timeout)
    return {"death_retries": retries, "error_retries": retry_errors, "timeout": span, "memory": memory}


def map(
    func: Callable[..., Any],
    tasks: Iterable[Any],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    any_work: bool = False,
    columns: Iterable[str] = (),
    key_columns: Iterable[str] = (),
    any_shape: bool = False,
    compress: bool = False,
    flush: float = 1.0,
    processes: int | None = None,
    retries: int = 3,
    retry_errors: int = 0,
    timeout: float | None = None,
    memory: int | None = None,
    batch_size: int | None = None,
    on_error: OnError = "raise",
    collect: bool = True,
    progress: bool | Shown | None = None,
) -> list[Any] | None:
    """Call a function with each of many tasks, on all cores, and return the values in the order of the tasks.

    Tasks run in processes of an engine, which is started by the first call, used by later ones and ended with this
    process. A task that kills its process costs nothing but itself. With a checkpoint every value is kept, a second
    call computes only what is missing, and a call that was interrupted, killed or lost its machine is gone on with.

    Parameters
    ----------
    func
        What is called. It is sent by its import path if it has one, else with all that it refers to (lambdas,
        closures, functions of a notebook or script), by cloudpickle.
    tasks
        An iterable of tasks. A tuple or list is the positional arguments, a dict the keyword arguments, anything else
        the single argument. Equal tasks are computed once.
    checkpoint
        File that keeps every outcome; see ``maniple.Checkpoint``. None: values are kept in memory only.
    fresh
        Begin a new checkpoint; one that is there is renamed, never deleted.
    any_work
        Go on from the checkpoint even if another function made it.
    columns, key_columns
        Names of the values' columns, and of the tasks' fields, for readers of the checkpoint.
    any_shape
        Let values differ in their width and names, which is an error otherwise.
    compress
        Compress what is written to the checkpoint.
    flush
        Seconds from the end of a task until its outcome is on the disk, at most.
    processes
        How many tasks run at a time. None: one per core, or as many as the engine has that is running.
    retries, retry_errors
        How often a task is tried again after its process died, and after it raised, ran too long or took too much
        memory.
    timeout
        Seconds that one attempt may take.
    memory
        Bytes that the process which runs a task may take.
    batch_size
        Tasks that are handed over as a unit. None: learnt from how long they take.
    on_error
        What becomes of tasks that failed: ``"raise"`` raises :class:`JobFailed` once all others are done,
        ``"skip"`` leaves them out, ``"nan"`` puts NaN in their place.
    collect
        False leaves the values in the checkpoint, and returns None.
    progress
        True shows a line on standard error, None does so if that is a terminal; a function is called with a
        :class:`Progress` several times a second.

    Returns
    -------
    list or None
        A value for each task, in their order.

    Raises
    ------
    JobFailed
        Tasks failed; it has their stories, and all other results.
    FunctionError
        The function, or a task, cannot be sent; or the function cannot be loaded.
    CheckpointError
        The checkpoint is damaged, in use, or of another function.
    JobStopped
        The disk is full, or the like; what was done is kept.
    EngineError
        There is no engine.

    Examples
    --------
    >>> import maniple
    >>> maniple.map(pow, [(2, 10), (3, 2)], progress=False)
    [1024, 9]
    """
    if not collect and checkpoint is None:
        raise ValueError("collect=False leaves the values in a checkpoint: name one with checkpoint=")
    job = run(
        func,
        tasks,
        checkpoint=checkpoint,
        existing="SetAside" if fresh else "ResumeAnyWork" if any_work else "Resume",
        columns=list(columns),
        key_columns=list(key_columns),
        shape="Any" if any_shape else "Open",
        compress=compress,
        flush=flush,
        processes=processes,
        retries=retries,
        retry_errors=retry_errors,
        timeout=timeout,
        memory=memory,
        batch_size=batch_size,
        show=shown(progress),
    )
    found = collected(job, checkpoint) if collect else None
    failures = stories(job)
    if failures and on_error == "raise":
        kept = None if found is None else [found[at] for at in job.asked if at in found]
        raise JobFailed(failures, kept, len(job.keys))
    if found is None:
        return None
    if on_error == "nan":
        return [found.get(at, float("nan")) for at in job.asked]
    return [found[at] for at in job.asked if at in found]


def run(
    func: Callable[..., Any],
    tasks: Iterable[Any],
    *,
    checkpoint: str | os.PathLike[str] | None,
    existing: str,
    columns: list[str],
    key_columns: list[str],
    shape: str | dict[str, Any],
    compress: bool,
    flush: float,
    processes: int | None,
    retries: int,
    retry_errors: int,
    timeout: float | None,
    memory: int | None,
    batch_size: int | None,
    show: Shown | None,
) -> Outcomes:
    """Run a job to its end; see ``map`` for what is what."""
    if processes is not None and processes < 1:
        raise ValueError(f"{processes} processes run no task; give at least 1, or None for one per core")
    kept: dict[str, Any] | None = None
    if checkpoint is not None:
        path = os.fspath(checkpoint)
        kept = {
            "path": path if "://" in path else os.path.abspath(path),
            "existing": existing,
            "flush": seconds(flush),
            "columns": columns,
            "key_columns": key_columns,
            "compress": "Zstd" if compress else "None",
            "shape": shape,
        }
    spec = {
        "work": {"Function": describe(func)},
        "limits": limits(retries, retry_errors, timeout, memory),
        "checkpoint": kept,
        "batch_size": batch_size,
        "wants_results": kept is None,
        "wants_failures": True,
        "detached": False,
    }
    return Job(Plan(spec, processes, show, kept is not None), tasks).run()


def shown(progress: bool | Shown | None) -> Shown | None:
    """What shows the progress, if it is to be shown."""
    if progress is None or isinstance(progress, bool):
        return bar(always=progress is True) if progress is not False else None
    return progress


def collected(job: Outcomes, checkpoint: str | os.PathLike[str] | None) -> dict[int, Any]:
    """The value of each task that has one, by its position among the distinct tasks."""
    found = job.values
    if checkpoint is not None:
        from .checkpoint import Checkpoint
        from .codec import Codec

        with Checkpoint(checkpoint) as kept:
            codec = Codec()
            for key, value in kept.items():
                fields = list(key) if type(key) is tuple else key
                at = job.keys.get(codec.one(fields))
                if at is not None:
                    found[at] = value
    for value in found.values():
        if isinstance(value, Unreadable):
            raise value.error
    return found


def stories(job: Outcomes) -> list[Failure]:
    """The tasks that failed, in their order."""
    if not job.failures:
        return []
    from .codec import Codec

    keys = list(job.keys)
    unpack = Codec().each
    failed = []
    for at in sorted(job.failures):
        story = job.failures[at]
        task = next(iter(unpack(b"\x91" + keys[at])))
        failed.append(Failure(tuple(task) if type(task) is list else task, cause_of(story["cause"]), story))
    return failed


def cause_of(cause: Any) -> str:
    """What ended a task, in a word or two."""
    if isinstance(cause, str):
        return {"NodeLost": "node lost", "NotExecuted": "not executed", "BadValue": "value cannot be kept"}[cause]
    ((name, told),) = cause.items()
    if name == "Exception":
        return str(told)
    if name == "ExitCode":
        return f"process ended with exit code {told['code']}"
    if name == "Signal":
        return f"signal {told} ({SIGNALS.get(told, 'no name')})"
    if name == "Timeout":
        return f"timeout after {told / 1e3:g} s"
    return f"out of memory (limit {told[0] / 1e6:.0f} MB, peak {told[1] / 1e6:.0f} MB)"
