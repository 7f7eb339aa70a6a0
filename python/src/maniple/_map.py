"""``maniple.map``: a function over many tasks, on all cores, each result kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from ._client.function import describe, takers
from ._client.job import Job, Outcomes, Plan
from ._client.spec import JobSpec, checkpoint_spec, job_spec, limits, texts, unpacked, whole
from ._client.stream import Failed, Stream
from ._flight import RemoteTraceback
from ._frames import FRAMES, array, check_output, columns_of, frame
from ._progress import Shown, ending, shown
from ._windows import Pace, Windows, weight
from .codec import Codec, Undecodable, head
from .errors import Failure, FunctionError, JobFailed, JobStopped, TableError, TaskFailed
from .errors import shown as shown_task

if TYPE_CHECKING:
    from ._client.cluster import Cluster
    from .checkpoint import Rows

OnError = Literal["raise", "skip", "nan"]
Output = Literal["list", "iterator", "numpy", "pandas", "polars", "arrow"]

WINDOW = 1_000_000
"""Tasks of a job whose values stay in the checkpoint, at most: with more of them another job goes on."""
KEPT_AHEAD = 100_000
"""Tasks of a job whose values are taken one after the other from the checkpoint, at most."""
NAN = float("nan")


def map(
    func: Callable[..., Any],
    tasks: Iterable[Any],
    *,
    shared: dict[str, Any] | None = None,
    initializer: Callable[..., Any] | None = None,
    initargs: tuple[Any, ...] = (),
    modules: Iterable[str | ModuleType] = (),
    preload: Iterable[str | ModuleType] = (),
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
    recycle_memory: int | None = None,
    batch_size: int | None = None,
    on_error: OnError = "raise",
    output: Output = "list",
    buffersize: int | None = None,
    collect: bool = True,
    progress: bool | Shown | None = None,
    engine: Cluster | None = None,
) -> Any:
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
        the single argument. Equal tasks are computed once. It may be of any length, and never end, with
        ``output="iterator"`` or ``collect=False``: memory stays flat then.
    shared
        Values by name that every call gets as keyword arguments. They are sent once, and the arrays of numpy, pandas
        and Arrow in them are one piece of memory that all processes of a machine read, and nobody may write.
    initializer, initargs
        Called once in each process, before its first task. If it raises, so does this call.
    modules
        Modules, or names of modules, that are sent along since the machines that run tasks may lack them: their source
        text, packages with all that is below them, and what they import from the folder that they are in.
    preload
        Modules, or names of modules, that take long to import: one process of each machine imports them, and the others
        are copies of it that share its memory. They must leave no threads running, and are not to seed numpy's or
        Python's common generator of random numbers: each copy seeds these anew.
    checkpoint
        File that keeps every outcome; see ``maniple.Checkpoint``. None: values are kept in memory only.
    fresh
        Begin a new checkpoint; one that is there is renamed, never deleted.
    any_work
        Go on from the checkpoint even if another function made it.
    columns, key_columns
        Names of the values' columns, and of the tasks' fields, for frames and for readers of the checkpoint.
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
    recycle_memory
        Bytes that a process may still have after a task; another takes the place of one with more, and no task fails.
    batch_size
        Tasks that are handed over as a unit. None: learnt from how long they take.
    on_error
        What becomes of tasks that failed: ``"raise"`` raises :class:`JobFailed` once all others are done,
        ``"skip"`` leaves them out, ``"nan"`` puts NaN in their place. An iterator raises :class:`TaskFailed` in the
        place of the value, so that no value is taken for that of another task, and ends.
    output
        ``"list"``; ``"numpy"``: numbers as a vector, rows of as many numbers as a matrix, of float64 or int64, else
        objects; ``"pandas"``, ``"polars"``, ``"arrow"``: a frame with the columns of the tasks, then those of the
        values, named by `key_columns` and `columns`, else as ``maniple.Checkpoint`` does;
        ``"iterator"``: values one after the other, in the order of the tasks, which are drawn as values are taken.
        Equal tasks are then computed each time (with a checkpoint: once). Leaving the loop ends what runs.
    buffersize
        How many tasks an iterator draws ahead of the values that were taken, at most. None: what keeps all processes
        busy, up to 50,000 tasks and about 64 MiB. With a checkpoint: how many are computed, then given; None: as many
        as take some ten seconds, up to 100,000 tasks and about 64 MiB.
    collect
        False leaves the values in the checkpoint, and returns None.
    progress
        True shows a line on standard error, None does so if that is a terminal; a function is called with a
        :class:`Progress` several times a second.
    engine
        The cluster that runs the tasks, if it is not the one that was connected to last; see :func:`maniple.connect`.

    Returns
    -------
    list, iterator, array, frame or None
        A value for each task, in their order.

    Raises
    ------
    JobFailed, TaskFailed
        Tasks failed; it has their stories, and all other results. From an iterator: the next task failed.
    TableError
        The values are no table; it has them as `results`.
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
    if not collect and output != "list":
        raise ValueError(f"collect=False gives nothing back, and output={output!r} asks for something: leave one out")
    check_output(output, ("list", "iterator", "numpy", *FRAMES))
    check_on_error(on_error)
    if buffersize is not None:
        wanted = "at least 1, with output='iterator'"
        buffersize = whole("buffersize", buffersize, wanted, 1 if output == "iterator" else 1 << 62, 1 << 61)
    names, key_names = texts("columns", columns), texts("key_columns", key_columns)
    kept_in = None
    if checkpoint is not None:
        existing = "SetAside" if fresh else "ResumeAnyWork" if any_work else "Resume"
        shape = "Any" if any_shape else "Open"
        kept_in = checkpoint_spec(checkpoint, existing, names, key_names, shape, compress=compress, flush=flush)
    function = describe(
        func,
        shared=checked(func, shared),
        initializer=initializer,
        initargs=initargs,
        modules=modules,
        preload=preload,
        engine=engine,
    )
    limited = limits(retries, retry_errors, timeout, memory, recycle_memory=recycle_memory)
    spec = job_spec(function, limited, kept_in, batch_size)
    plan = planned(spec, processes, shown(progress), engine, collect=collect)
    if output == "iterator":
        return one_by_one(plan, tasks, checkpoint, buffersize, on_error)
    if not collect:
        return left_there(plan, tasks, on_error)
    job = finished(plan, tasks)
    found = collected(job, checkpoint)
    failures = stories(job)
    chosen = [at for at in job.asked if on_error == "nan" or at in found]
    values = [found.get(at, NAN) for at in chosen]
    if not failures or on_error != "raise":
        return formed(job, chosen, values, output, names, key_names)
    try:
        results = formed(job, chosen, values, output, names, key_names)
    except TableError:  # that tasks failed matters more
        results = values
    raise JobFailed(failures, results, len(job.keys))


def formed(
    job: Outcomes, chosen: list[int], values: list[Any], output: Output, columns: list[str], key_columns: list[str]
) -> Any:
    """Values of some of the tasks as what was asked for."""
    if output == "list":
        return values
    if output == "numpy":
        return array(values)
    try:
        keys = list(job.keys)
        tasks = unpacked(Codec(), len(chosen), b"".join(keys[at] for at in chosen))
        return frame(columns_of(tasks, values, key_columns, columns), output)  # type: ignore[arg-type]
    except TableError as error:
        error.results = values
        raise


def one_by_one(
    plan: Plan, tasks: Iterable[Any], checkpoint: str | os.PathLike[str] | None, most: int | None, on_error: OnError
) -> Iterator[Any]:
    """Values one after the other."""
    if checkpoint is None:
        plan.spec["repeats"] = True
        outcomes = Stream(plan, tasks, most).outcomes()
    else:
        outcomes = from_checkpoint(plan, tasks, checkpoint, most)
    with plan.spec.cargo, ending(plan.show):
        for outcome in outcomes:
            kind = type(outcome)
            if kind is Failed:
                if on_error == "raise":
                    failure = failure_of(outcome.key, outcome.story)
                    raise TaskFailed(failure) from (RemoteTraceback(failure.traceback) if failure.traceback else None)
                if on_error == "nan":
                    yield NAN
            elif kind is Undecodable:
                raise outcome.error
            else:
                yield outcome


def from_checkpoint(
    plan: Plan, tasks: Iterable[Any], checkpoint: str | os.PathLike[str], most: int | None
) -> Iterator[Any]:
    """Values, or `Failed`, each job's read from the checkpoint."""
    from .checkpoint import Checkpoint

    jobs = Windows(plan, tasks, Pace(least(plan), KEPT_AHEAD) if most is None else Pace(most, most))
    for job in jobs:
        since = time.monotonic()
        keys = list(job.keys)
        if job.were_sent:
            found = decodable(job.values)
        else:
            with Checkpoint(checkpoint) as kept:
                found = values_in(kept, job)
                jobs.weight = weight(checkpoint, len(kept))
            jobs.reading = time.monotonic() - since
        for at in job.asked:
            yield found[at] if at in found else Failed(keys[at], job.failures[at])


def least(plan: Plan) -> int:
    """How many tasks keep all processes busy for a moment."""
    return 4 * (plan.processes or os.cpu_count() or 1)


def left_there(plan: Plan, tasks: Iterable[Any], on_error: OnError) -> None:
    """Have all values in the checkpoint."""
    failures: list[Failure] = []
    total = 0
    with plan.spec.cargo, ending(plan.show):
        size = WINDOW if isinstance(tasks, Sized) else least(plan)
        for job in Windows(plan, tasks, Pace(size, WINDOW)):
            failures += stories(job)
            total += len(job.keys)
    if failures and on_error == "raise":
        raise JobFailed(failures, None, total)


def check_on_error(on_error: OnError) -> None:
    """Raise ValueError for what would be taken for "skip"."""
    if on_error not in ("raise", "skip", "nan"):
        raise ValueError(f"on_error={on_error!r} is none of raise, skip, nan")


def checked(func: Callable[..., Any], shared: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is shared, if the function has parameters for it."""
    taken = takers(func, shared or ())
    for name in shared or ():
        if taken is not None and name not in taken:
            what = getattr(func, "__qualname__", type(func).__qualname__)
            raise FunctionError(f"function {what} has no parameter {name}, which shared= gives it")
    return shared


def run(
    spec: JobSpec,
    tasks: Iterable[Any],
    processes: int | None,
    show: Shown | None,
    engine: Cluster | None = None,
    *,
    collect: bool = True,
) -> Outcomes:
    """Run a job to its end; `processes`, `show`, `engine` and `collect` as in ``map``."""
    return finished(planned(spec, processes, show, engine, collect=collect), tasks)


def finished(plan: Plan, tasks: Iterable[Any]) -> Outcomes:
    """Run a job to its end."""
    with plan.spec.cargo, ending(plan.show):
        return Job(plan, tasks).run()


def planned(
    spec: JobSpec, processes: int | None, show: Shown | None, engine: Cluster | None = None, *, collect: bool = True
) -> Plan:
    """The plan of a job; `processes`, `show`, `engine` and `collect` as in ``map``."""
    if processes is not None:
        processes = whole("processes", processes, "at least 1, or None for one per core", 1, (1 << 16) - 1)
    return Plan(spec, processes, show, engine, collect)


def collected(job: Outcomes, checkpoint: str | os.PathLike[str] | None) -> dict[int, Any]:
    """The value of each task that has one, by its position among the distinct tasks."""
    if checkpoint is None or job.were_sent:
        return decodable(job.values)
    from .checkpoint import Checkpoint

    with Checkpoint(checkpoint) as kept:
        return values_in(kept, job)


def values_in(kept: Rows, job: Outcomes) -> dict[int, Any]:
    """The value of each task that has one in a checkpoint, also if it was computed earlier."""
    found: dict[int, Any] = {}
    for key, value in narrowed(kept, job.keys).raw_items():
        at = job.keys.get(key)
        if at is not None:
            found[at] = value
    lacking = [key for key, at in job.keys.items() if at not in found and at not in job.failures]
    if lacking:  # a file that is changed by others; a value that is left out would be taken for another task's
        raise JobStopped(
            f"the checkpoint has no value of {len(lacking):,} tasks that were computed, among them "
            f"{shown_task(task_of(lacking[0]))}: has it been replaced or changed meanwhile? Repeat the call"
        )
    return decodable(found)


def decodable(found: dict[int, Any]) -> dict[int, Any]:
    """The values; raises what decoding one has raised."""
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
    keys = list(job.keys) if job.failures else []
    return [failure_of(keys[at], story) for at, story in sorted(job.failures.items())]


def failure_of(key: bytes, story: dict[str, Any]) -> Failure:
    """A task that failed."""
    return Failure(task_of(key), story)


def task_of(key: bytes) -> Any:
    """The task that has a key."""
    task = next(Codec().each(b"\x91" + key))
    return tuple(task) if type(task) is list else task
