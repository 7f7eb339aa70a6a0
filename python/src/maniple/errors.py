"""What goes wrong when tasks are run, an exception each.

Every one of them says in its text what is the matter and what to do next.
"""

from __future__ import annotations

import re
import signal
from typing import Any

SHOWN = 300
"""Characters of a task in the text of an error."""


class ManipleError(RuntimeError):
    """The base of what this package raises when tasks are run."""


class EngineError(ManipleError):
    """There is no engine: the program `maniple` is missing, does not start, or died more often than it is restarted.

    Or there is no way to a cluster: its access file is of no use, or its coordinator does not answer.
    """


class FunctionError(ManipleError):
    """The function cannot be sent to the processes that are to call it, or cannot be loaded there."""


class JobStopped(ManipleError):
    """The job ended before every task had an outcome; what was done is in its checkpoint, if it has one."""


class TableError(ManipleError, ValueError):
    """Values do not make the table that was asked for.

    Attributes
    ----------
    results : list or None
        The values, which are there all the same.
    """

    results: list[Any] | None = None


def with_advice(text: str) -> str:
    """What is said of a module that is missing on a machine, and what to do."""
    found = re.search(r"[Nn]o module (?:named )?'?(\w+)[\w.]*'? on ", text)
    return f"{text}: install it there, or send it along with modules=['{found[1]}']" if found else text


class Failure:
    """A task that failed for good, with its story.

    Attributes
    ----------
    task
        The task, as it was given.
    cause : str
        What ended it, in a word or two: `ValueError`, `signal 11 (SIGSEGV)`, `timeout after 2 s`.
    message, traceback : str
        The text of the exception, and its traceback in the process that ran it; either may be empty.
    stdout, stderr : str
        The end of what that process had written.
    host : str
        Where it ran.
    pid, attempt : int
        The process, and how often the task was tried.
    """

    __slots__ = ("attempt", "cause", "host", "message", "pid", "stderr", "stdout", "task", "traceback")

    def __init__(self, task: Any, story: dict[str, Any]) -> None:
        self.task, self.cause = task, cause_of(story["cause"])
        self.message: str = story["message"]
        self.traceback: str = story["traceback"]
        self.stdout: str = story["stdout"]
        self.stderr: str = story["stderr"]
        self.host: str = story["host"]
        self.pid: int = story["pid"]
        self.attempt: int = story["attempt"]

    def __str__(self) -> str:
        """One line: task, cause, message."""
        text = f"{shown(self.task)}: {self.cause}"
        first = next(iter(self.message.splitlines()), "")
        if self.cause == "ModuleNotFoundError":
            first = with_advice(f"{first} on {self.host}")
        return f"{text}: {first}" if first and first not in text else text

    def __repr__(self) -> str:
        """The same, as an object."""
        return f"<Failure {self}>"


def shown(task: Any) -> str:
    """A task in the text of an error, whatever its own text is or raises."""
    try:
        text = repr(task)
    except Exception as error:
        return f"<{type(task).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 4]} ..."


def cause_of(cause: Any) -> str:
    """What ended a task, in a word or two: `Cause` of `shared/src/outcome.rs`."""
    if isinstance(cause, str):
        return {"NodeLost": "node lost", "NotExecuted": "not executed", "BadValue": "value cannot be kept"}[cause]
    ((name, told),) = cause.items()
    if name == "Exception":
        return str(told)
    if name == "ExitCode":
        return f"process ended with exit code {told['code']}"
    if name == "Signal":
        known = told in set(signal.Signals)
        return f"signal {told} ({signal.Signals(told).name if known else 'no name'})"
    if name == "Timeout":
        return f"timeout after {told / 1e3:g} s"
    if name == "KilledForMemory":
        return f"out of memory: the kernel killed its process (peak {told / 1e6:.0f} MB)"
    return f"out of memory (limit {told[0] / 1e6:.0f} MB, peak {told[1] / 1e6:.0f} MB)"


class TaskFailed(ManipleError):
    """One task has no value: it raised, the process that ran it died, or it took too long or too much memory.

    Attributes
    ----------
    failure : Failure
        Its story.
    """

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure)


class JobFailed(ManipleError):
    """All tasks have an outcome, and some of them failed.

    Attributes
    ----------
    failures : list of Failure
        The failed tasks, in the order in which they were given.
    results
        What the call would have returned with ``on_error="skip"``.
    """

    def __init__(self, failures: list[Failure], results: Any, total: int) -> None:
        self.failures, self.results, self.total = failures, results, total
        super().__init__(failures, results, total)

    def __str__(self) -> str:
        """How many failed, and the first few of them."""
        shown = "".join(f"\n  {failure}" for failure in self.failures[:3])
        more = f"\n  and {len(self.failures) - 3:,} more" if len(self.failures) > 3 else ""
        told = f"{len(self.failures):,} of {self.total:,} tasks failed:{shown}{more}"
        trace = self.failures[0].traceback.rstrip() if self.failures else ""
        return f"{told}\nThe first one's traceback:\n{trace}" if trace else told


def is_interrupt(error: BaseException | None) -> bool:
    """Whether who waits was told to end, and not just met an error.

    Where an interrupt comes as `threading.Condition` gives up its lock, it goes on as a RuntimeError in its place.
    """
    if isinstance(error, Exception):
        while error is not None and not isinstance(error, KeyboardInterrupt):
            error = error.__context__
    return error is not None


def heed(error: Exception) -> None:
    """Raise KeyboardInterrupt if the error is one by another name, before it is kept for later."""
    if is_interrupt(error):
        raise KeyboardInterrupt from error
