"""One job as its caller follows it: tasks go out, outcomes come in, what dies with an engine is sent to the next.

It knows tasks by their position among the distinct ones, in the order in which they were first given; what the caller
makes of the outcomes is not its business. With a checkpoint a job of a cluster lives on when the connection is lost: it
is submitted again under its own number, and what was told meanwhile is asked for by another job once it has ended.

Invariants
- Each distinct task is counted once, and has at most one outcome.
- What another engine is asked for has no outcome yet.
"""

from __future__ import annotations

import secrets
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..codec import Codec, Unkeepable
from ..errors import EngineError, FunctionError, JobStopped, ManipleError, with_advice
from .engine import ENGINES
from .spec import JobSpec, fields_of, remark, results_of
from .wire import Connection

if TYPE_CHECKING:
    from .cluster import Cluster

CHUNK_TASKS, CHUNK_BYTES = 4096, 1 << 20
"""How many tasks are sent at once."""
AHEAD = 1_000_000
"""Tasks without an outcome beyond which an iterable is not asked for more."""
LIVES = 5
"""Engines that may die one after the other without an outcome between them."""
STEADY = 10.0
"""Seconds after which the loss of a connection to a cluster is not its job's doing."""
GLANCE = 0.1
"""Seconds between two looks at the progress."""


@dataclass(frozen=True)
class Progress:
    """How far a job is: numbers of tasks, and of processes."""

    total: int
    """Distinct tasks that are known so far."""
    complete: bool
    """Whether these are all."""
    done: int
    """Those that have got a value."""
    skipped: int
    """Those whose value was in the checkpoint already."""
    failed: int
    """Those that failed for good."""
    busy: int
    """Processes that run a task."""
    elapsed: float
    """Seconds since the job began."""

    @property
    def finished(self) -> int:
        """Those that have an outcome."""
        return self.done + self.skipped + self.failed


@dataclass
class Plan:
    """What a job is, and how many processes it wants."""

    spec: JobSpec
    processes: int | None
    show: Callable[[Progress], None] | None
    engine: Cluster | None = None
    """The cluster, if it is not the one that is used by default."""
    collect: bool = True
    """Whether values are wanted that are kept in a file; it may be on another machine."""

    @property
    def has_checkpoint(self) -> bool:
        """Whether values are kept in a file, and not sent back."""
        return self.spec["checkpoint"] is not None


@dataclass
class Outcomes:
    """What came of the tasks: values and failures by the position of a task among the distinct ones."""

    keys: dict[bytes, int] = field(default_factory=dict)
    asked: array[int] = field(default_factory=lambda: array("Q"))
    """The position of each task that was given, in that order."""
    values: dict[int, Any] = field(default_factory=dict)
    """An `Undecodable` where decoding raised an exception."""
    failures: dict[int, dict[str, Any]] = field(default_factory=dict)
    were_sent: bool = True
    """Whether all values have been sent to this process; else they are in the checkpoint."""

    @property
    def finished(self) -> int:
        """How many have an outcome."""
        return len(self.values) + len(self.failures)


def encoded(codec: Codec, task: Any, number: int, limit: int) -> bytes:
    """The key of a task. A tuple is the arguments, as a list is."""
    fields = fields_of(task)
    try:
        try:
            key = codec.pack(fields)
        except Exception:  # it holds objects, or a text that UTF-8 cannot say
            key = codec.one(fields)
    except Unkeepable as error:
        raise FunctionError(
            f"task number {number} cannot be sent, as it holds a {error.args[0]}: {error.args[1]}"
        ) from error
    if len(key) > limit:
        raise FunctionError(
            f"task number {number} takes {len(key) / 1e6:.0f} MB, at most {limit >> 20} MiB can be sent"
        )
    return key


def parcels(keys: Iterable[bytes]) -> Iterator[list[bytes]]:
    """As many keys together as are sent at once."""
    chunk: list[bytes] = []
    size = 0
    for key in keys:
        if chunk and (len(chunk) == CHUNK_TASKS or size + len(key) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(key)
        size += len(key)
    if chunk:
        yield chunk


class Job:
    """See the module."""

    def __init__(self, plan: Plan, tasks: Iterable[Any]) -> None:
        self._plan, self._tasks, self._codec = plan, iter(tasks), Codec()
        self.outcomes = Outcomes()
        self._change = threading.Condition()
        self._connection: Connection | None = None
        self._lost: str | None = None
        self._begun = False  # a new checkpoint: the old one has been set aside
        self._summary: dict[str, Any] | None = None
        self._told: dict[str, Any] = {}
        self._number: int | None = None
        self._sent: list[int] | None = None  # positions by the numbers of this engine, where they differ
        self._received: int | None = None  # keys that the coordinator has, once it has said so
        self._failed: list[set[int]] = []  # failures that were told of this number, by connection
        self._began = time.monotonic()

    def run(self) -> Outcomes:
        """Follow the job to its end.

        Raises
        ------
        ManipleError
            It ended early.
        """
        lives, before, cluster = 0, (-1, -1), ENGINES.chosen(self._plan.engine)
        while True:
            connection = ENGINES.take(self._plan.processes, cluster)
            began = time.monotonic()
            try:
                summary = self._live(connection)
            finally:
                ENGINES.release(connection)
            if summary is not None and summary["stopped"] is not None:
                raise error_of(summary["stopped"]["why"], summary["stopped"]["message"], self._plan.spec)
            if summary is not None and self._has_all(summary["progress"]["failed"]):
                self._show()
                return self.outcomes
            after = (self.outcomes.finished, self._told.get("durable", 0))
            is_steady = connection.is_remote and time.monotonic() - began > STEADY
            lives, before = (lives + 1 if after == before and not is_steady else 1), after
            if lives == LIVES:
                raise EngineError(f"the engine died {LIVES} times ({self._lost}); see what it wrote to standard error")

    def _live(self, connection: Connection) -> dict[str, Any] | None:
        """The job with one engine: how it ended, or nothing if the engine died, or the connection to it."""
        connection.refuse_callbacks("a job cannot be waited for")
        self._connection = connection
        survives = connection.is_remote and self._plan.has_checkpoint
        self._lost = self._summary = self._received = None
        if self._number is None or not survives:
            self._number = secrets.randbits(64)
            self._received = 0
            self._prepare()
        number = self._number
        self._failed.append(set())
        self.outcomes.were_sent = not self._plan.has_checkpoint or (survives and self._plan.collect)
        if survives and self._plan.collect:
            self._plan.spec.update(wants_results=True, wants_known=True)
        spec = self._plan.spec.onward() if self._begun else self._plan.spec
        submit = spec.submit(number, elsewhere=connection.is_remote)
        connection.follow(number, self, survives=survives)
        is_said = False
        try:
            connection.say(submit)
            is_said = True
            self._send(connection, number)
            with self._change:
                while not self._is_over():
                    self._change.wait(GLANCE)
                    self._show()
            return self._summary
        except BaseException:
            self._cancel(connection, number, wait=is_said)
            raise
        finally:
            connection.leave(number)

    def _is_over(self) -> bool:
        return self._summary is not None or self._lost is not None

    def _prepare(self) -> None:
        """What an earlier engine left without an outcome comes first."""
        known = self.outcomes
        left = [at for at in range(len(known.keys)) if at not in known.values and at not in known.failures]
        self._sent = left if known.keys else None
        self._failed.clear()

    def _has_all(self, failed: int) -> bool:
        """Whether every outcome was heard of; if not, another job asks for the others.

        A connection may have been lost with the news of some. What was told before a coordinator was started again is
        told again by the next one, so the failures of the last connections count: as many of them as have these many.
        """
        self._number = None
        if len(self._failed) == 1:
            return True
        known, told = self.outcomes, set[int]()
        for each in reversed(self._failed):
            if len(told) == failed:
                break
            told |= each & known.failures.keys()
        is_exact = len(told) == failed
        for at in set[int]().union(*self._failed) - (told if is_exact else set()):
            known.failures.pop(at, None)
        return is_exact and (not known.were_sent or known.finished == len(known.keys))

    def _send(self, connection: Connection, number: int) -> None:
        with self._change:
            self._change.wait_for(lambda: self._received is not None or self._is_over())
        if self._received is None:
            return
        sent = self._received
        for chunk in parcels(self._fresh_keys(sent, connection.payload_limit)):
            connection.say({"Tasks": {"job": number, "count": len(chunk)}}, b"".join(chunk))
            sent += len(chunk)
            with self._change:
                while self._is_ahead() and not self._is_over():
                    self._change.wait(GLANCE)
                    self._show()
                if self._is_over():
                    return
        connection.say({"TasksEnd": {"job": number, "total": sent}})

    def _is_ahead(self) -> bool:
        # With a checkpoint nothing begins before all tasks are known: then some may be in it.
        known = self.outcomes
        return not self._plan.has_checkpoint and len(known.keys) - known.finished > AHEAD

    def _fresh_keys(self, received: int, limit: int) -> Iterator[bytes]:
        """The keys of distinct tasks, but for those that were received: those of an earlier engine, then new ones."""
        known = self.outcomes
        sent = None if self._sent is None else set(self._sent)
        yield from [key for key, at in known.keys.items() if sent is None or at in sent][received:]
        for number, task in enumerate(self._tasks, len(known.asked)):
            key = encoded(self._codec, task, number, limit)
            count = len(known.keys)
            at = known.keys.setdefault(key, count)
            known.asked.append(at)
            if at == count:
                if self._sent is not None:
                    self._sent.append(at)
                yield key

    def _cancel(self, connection: Connection, number: int, *, wait: bool) -> None:
        """Have nothing more run, and what is done kept; a job that nobody knows does not end, and is not waited for."""
        connection.say({"Cancel": {"job": number, "now": True}})
        with self._change:
            self._change.wait_for(self._is_over, 30 if wait else 0)

    def _show(self) -> None:
        if self._plan.show is not None:
            told = self._told
            known = self.outcomes
            done = told.get("done", 0) if self._plan.has_checkpoint else len(known.values)
            failed = len(known.failures)
            progress = Progress(
                total=len(known.keys),
                complete=bool(told.get("complete")),
                done=done,
                skipped=told.get("skipped", 0),
                failed=failed,
                busy=told.get("busy", 0),
                elapsed=time.monotonic() - self._began,
            )
            self._plan.show(progress)

    # What the coordinator says, heard by the thread of the connection.

    def hear(self, name: str, fields: Any, payload: bytes | bytearray) -> None:
        """Take in what is said about the job."""
        if name == "Fetch":  # not with the lock held: it may take long
            if self._connection is not None:
                self._connection.say(*self._plan.spec.cargo.piece(fields))
            return
        remark(name, fields)
        with self._change:
            if name == "Results":
                for task, value in results_of(self._codec, fields, payload):
                    at = self._position(task)
                    self.outcomes.values[at] = value
                    self.outcomes.failures.pop(at, None)
            elif name == "Failed":
                at = self._position(fields["task"])
                self.outcomes.failures[at] = fields["failure"]
                self._failed[-1].add(at)
            elif name == "Accepted" and self._received is None:
                self._received = fields["known"]
            elif name == "Progress":
                self._told = fields
            elif name == "SetAside":
                self._begun = True
            elif name == "Finished":
                self._summary, self._told = fields, fields["progress"]
            self._change.notify_all()

    def lost(self, why: str) -> None:
        """The engine is gone."""
        with self._change:
            self._lost = why
            self._change.notify_all()

    def _position(self, task: int) -> int:
        return task if self._sent is None else self._sent[task]


WORDS = {"--any-work": "any_work=True", "--fresh": "fresh=True", "--checkpoint": "checkpoint="}
"""What the command line calls options, and what they are called here."""


def error_of(why: str, message: str, spec: JobSpec) -> Exception:
    """The exception for a job that was stopped."""
    for theirs, ours in WORDS.items():
        message = message.replace(theirs, ours)
    place = (spec["checkpoint"] or {}).get("path")
    if why == "Checkpoint" or (why == "Input" and place is not None and place in message):
        from ..checkpoint import CheckpointError

        return CheckpointError(message)
    kind: type[ManipleError] = FunctionError if why == "Input" else JobStopped
    return kind(with_advice(message))
