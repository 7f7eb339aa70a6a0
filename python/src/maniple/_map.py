"""``maniple.map``: a function over many tasks, on all cores, each result kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, Literal

from ._client.function import describe, takers
from ._client.job import Job, Outcomes, Plan, Progress
from ._client.spec import JobSpec, checkpoint_spec, fields_of, job_spec, limits
from ._progress import bar
from .codec import Codec, Undecodable, head
from .errors import Failure, FunctionError, JobFailed

if TYPE_CHECKING:
    from .checkpoint import Rows

OnError = Literal["raise", "skip", "nan"]
Shown = Callable[[Progress], None]


def map(
    func: Callable[..., Any],
    tasks: Iterable[Any],
    *,
    shared: dict[str, Any] | None = None,
    initializer: Callable[..., Any] | None = None,
    initargs: tuple[Any, ...] = (),
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
    shared
        Values by name that every call gets as keyword arguments. They are sent once, and the arrays of numpy, pandas
        and Arrow in them are one piece of memory that all processes of a machine read, and nobody may write.
    initializer, initargs
        Called once in each process, before its first task. If it raises, so does this call.
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
        The function, what is shared, or a task cannot be sent; or cannot be loaded; or the initializer raised.
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
    kept_in = None
    if checkpoint is not None:
        existing = "SetAside" if fresh else "ResumeAnyWork" if any_work else "Resume"
        shape = "Any" if any_shape else "Open"
        kept_in = checkpoint_spec(
            checkpoint, existing, list(columns), list(key_columns), shape, compress=compress, flush=flush
        )
    function = describe(func, shared=checked(func, shared), initializer=initializer, initargs=initargs)
    spec = job_spec(function, limits(retries, retry_errors, timeout, memory), kept_in, batch_size)
    job = run(spec, tasks, processes, shown(progress))
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


def checked(func: Callable[..., Any], shared: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is shared, if the function has parameters for it."""
    taken = takers(func, shared or ())
    for name in shared or ():
        if taken is not None and name not in taken:
            what = getattr(func, "__qualname__", type(func).__qualname__)
            raise FunctionError(f"function {what} has no parameter {name}, which shared= gives it")
    return shared


def run(spec: JobSpec, tasks: Iterable[Any], processes: int | None, show: Shown | None) -> Outcomes:
    """Run a job to its end; `processes` and `show` as in ``map``."""
    if processes is not None and processes < 1:
        raise ValueError(f"{processes} processes run no task; give at least 1, or None for one per core")
    return Job(Plan(spec, processes, show), tasks).run()


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

        with Checkpoint(checkpoint) as kept:
            codec = Codec()
            for key, value in narrowed(kept, job.keys).items():
                at = job.keys.get(codec.one(fields_of(key)))
                if at is not None:
                    found[at] = value
    for value in found.values():
        if isinstance(value, Undecodable):
            raise value.error
    return found


def narrowed(kept: Rows, keys: Collection[bytes]) -> Rows:
    """Rows of a checkpoint that have those with some keys among them: fewer than all, where that is found quickly."""
    tasks = list(Codec().each(head("array", len(keys)) + b"".join(keys))) if 4 * len(keys) < len(kept) else []
    kinds = {type(field) for task in tasks for field in (task if type(task) is list else [task])}
    return kept.where(pairs=tasks) if tasks and kinds <= {int, str} else kept


def stories(job: Outcomes) -> list[Failure]:
    """The tasks that failed, in their order."""
    keys, unpack = list(job.keys), Codec().each
    failed = []
    for at, story in sorted(job.failures.items()):
        task = next(unpack(b"\x91" + keys[at]))
        failed.append(Failure(tuple(task) if type(task) is list else task, story))
    return failed
