"""Tasks without end: they are drawn while their values are taken, which come in the order of the tasks.

Jobs carry them one after the other, since a coordinator keeps the keys of a job until it ends. What the caller makes of
values and failures is not its business. Tasks are drawn by whoever takes the values, never by another thread.

Invariants
- A task that was drawn is open, or has an outcome that waits to be taken, or had one that was.
- Open tasks and outcomes that wait are bounded, in number and in bytes; nothing is kept of what was taken.
- Each task has one outcome; whatever an engine's death leaves open is sent to the next one.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..codec import Codec
from ..errors import EngineError, heed
from .engine import ENGINES
from .job import CHUNK_BYTES, CHUNK_TASKS, GLANCE, LIVES, Plan, Progress, encoded, error_of, parcels
from .spec import JobSpec, remark, results_of
from .wire import Connection

AHEAD, AHEAD_BYTES = 50_000, 64 << 20
"""Tasks that are drawn and whose values are not taken, and about how many bytes these may have together."""
LEG_TASKS, LEG_BYTES = 1_000_000, 256 << 20
"""How large a job may grow before another one follows."""
PAUSE = 0.01
"""Seconds of drawing after which what was drawn is sent, and a value that has come is given first."""
END_LIMIT = 30.0
"""Seconds to wait for what was cancelled."""

NOTHING = object()


class Failed:
    """In the place of a value: the task's key, and the story of its failure."""

    def __init__(self, key: bytes, story: dict[str, Any]) -> None:
        self.key, self.story = key, story


class Leg:
    """A job that carries a part of the tasks; `tasks` are their numbers, by their position in it."""

    def __init__(self, stream: Stream, connection: Connection, spec: JobSpec) -> None:
        self.stream, self.connection = stream, connection
        self.number, self.tasks, self.bytes = secrets.randbits(64), array("Q"), 0
        self.is_dropped, self.cargo = False, spec.cargo
        submit = spec.submit(self.number, elsewhere=connection.is_remote)
        connection.follow(self.number, self)
        connection.say(submit)

    def send(self, numbers: Iterable[int], keys: Sequence[bytes]) -> None:
        """More tasks."""
        self.tasks.extend(numbers)
        payload = b"".join(keys)
        self.bytes += len(payload)
        self.connection.say({"Tasks": {"job": self.number, "count": len(keys)}}, payload)

    def end(self) -> None:
        """There will be no more tasks."""
        self.connection.say({"TasksEnd": {"job": self.number, "total": len(self.tasks)}})

    @property
    def cancellation(self) -> dict[str, Any]:
        """What ends it at once."""
        return {"Cancel": {"job": self.number, "now": True}}

    def hear(self, name: str, fields: Any, payload: bytes | bytearray) -> None:
        """Outcomes, and the end."""
        if name == "Fetch":
            self.connection.say(*self.cargo.piece(fields))
            return
        if name == "Finished":
            self.connection.leave(self.number)
            ENGINES.release(self.connection)
        self.stream._hear(self, name, fields, payload)

    def lost(self, why: str) -> None:
        """The engine is gone."""
        ENGINES.release(self.connection)
        self.stream._leg_lost(self, why)


class Stream:
    """See the module. `most`: how many tasks may be drawn ahead of their values, where the caller says it."""

    def __init__(self, plan: Plan, tasks: Iterable[Any], most: int | None) -> None:
        self._plan, self._tasks, self._most = plan, iter(tasks), most
        self._engine = ENGINES.chosen(plan.engine)
        self._encoder, self._decoder = Codec(), Codec()  # one for each of the two threads
        self._change = threading.Condition()
        self._open: dict[int, bytes] = {}
        self._outcomes: dict[int, Any] = {}
        self._drawn = self._taken = self._failed = 0
        self._end: Exception | bool = False  # no more tasks; an exception that drawing has raised
        self._legs: set[Leg] = set()
        self._leg: Leg | None = None
        self._lost: str | None = None
        self._stopped: dict[str, str] | None = None
        self._closed = False
        self._lives, self._landed = 1, 0
        self._window = self._least = 2 * (plan.processes or os.cpu_count() or 1)
        self._weights = [0.0, 0.0]  # bytes of a key and of a value, lately
        self._busy, self._began, self._shown, self._pid = 0, time.monotonic(), 0.0, os.getpid()

    def outcomes(self) -> Iterator[Any]:
        """Values in the order of the tasks; a `Failed` or an `Undecodable` in the place of one.

        Raises
        ------
        ManipleError
            A job ended early.
        Exception
            What drawing a task raised, in the place of that task.
        """
        try:
            while self._fill():
                while (outcome := self._outcomes.pop(self._taken, NOTHING)) is not NOTHING:
                    self._taken += 1
                    yield outcome
                    if self._has_room:
                        break
            with self._change:
                self._change.wait_for(lambda: not self._legs, END_LIMIT)
            self._show(last=True)
        except GeneratorExit:  # it may come from a finalizer, anywhere: nothing is waited for
            self._abandon()
            raise
        except BaseException:
            self._abandon()
            if not any(leg.connection.is_own_thread for leg in list(self._legs)):
                with self._change:
                    self._change.wait_for(lambda: not self._legs, END_LIMIT)
            raise

    def _abandon(self) -> None:
        self._closed = True
        self._outcomes.clear()
        for leg in list(self._legs):
            leg.connection.say(leg.cancellation)

    # What whoever takes the values does.

    def _fill(self) -> bool:
        """Draw what there is room for, and wait for the next outcome; whether there is one."""
        while True:
            if self._pid != os.getpid():
                raise RuntimeError("this iterator belongs to the process that this one was forked from; make a new one")
            self._renew()
            if self._has_room or not self._is_here:
                self._draw()
            with self._change:
                if self._is_here:
                    break
                if self._stopped is not None:
                    raise error_of(self._stopped["why"], self._stopped["message"], self._plan.spec)
                if self._end and self._taken == self._drawn:
                    if isinstance(self._end, Exception):
                        raise self._end
                    return False
                for leg in self._legs:
                    leg.connection.refuse_callbacks("values cannot be waited for")
                if self._lost is None:
                    self._change.wait(GLANCE)
            self._show()
        self._show()
        return True

    @property
    def _is_here(self) -> bool:
        return self._taken in self._outcomes

    @property
    def _limit(self) -> int:
        by_bytes = AHEAD_BYTES / max(sum(self._weights), 1.0)
        room = max(self._least, min(self._window, int(by_bytes)))
        return room if self._most is None else min(room, self._most)

    @property
    def _has_room(self) -> bool:
        """Whether there is enough of it for drawing to be worth its while."""
        return not self._end and self._drawn - self._taken <= self._limit // 2

    def _draw(self) -> None:
        """Draw and send tasks until there is no room, or a value has come meanwhile."""
        if self._end:
            return
        chunk: list[bytes] = []
        size, since = 0, time.monotonic()
        limit = self._carrier().connection.payload_limit
        while not self._end and self._drawn + len(chunk) - self._taken < self._limit:
            try:
                task = next(self._tasks)
            except StopIteration:
                self._end = True
                break
            except Exception as error:
                heed(error)
                self._end = error
                break
            try:
                key = encoded(self._encoder, task, self._drawn + len(chunk), limit)
            except Exception as error:
                self._end = error
                break
            self._weights[0] += (len(key) - self._weights[0]) / 8
            if chunk and size + len(key) > CHUNK_BYTES:
                self._send(chunk)
                chunk, size = [], 0
            chunk.append(key)
            size += len(key)
            if len(chunk) == CHUNK_TASKS or time.monotonic() - since > PAUSE:
                self._send(chunk)
                if self._is_here:
                    return
                chunk, size, since = [], 0, time.monotonic()
        if chunk:
            self._send(chunk)
        if self._end and self._leg is not None:
            self._leg.end()
            self._leg = None

    def _send(self, chunk: list[bytes]) -> None:
        numbers = range(self._drawn, self._drawn + len(chunk))
        with self._change:
            self._open.update(zip(numbers, chunk))
            self._drawn = numbers.stop
        self._carrier().send(numbers, chunk)

    def _carrier(self) -> Leg:
        """The job that takes more tasks."""
        leg = self._leg
        if leg is not None and (len(leg.tasks) >= LEG_TASKS or leg.bytes >= LEG_BYTES):
            leg.end()
            leg = None
        if leg is None:
            leg = Leg(self, ENGINES.take(self._plan.processes, self._engine), self._plan.spec)
            with self._change:
                if not leg.connection.is_lost:
                    self._legs.add(leg)
            self._leg = leg
        return leg

    def _renew(self) -> None:
        """What an engine's death has left open is sent to the next one."""
        with self._change:
            why, self._lost = self._lost, None
            if why is None:
                return
            if self._lives == LIVES:
                raise EngineError(f"the engine died {LIVES} times ({why}); see what it wrote to standard error")
            self._lives += self._engine is None
            self._legs, left = set(), list(self._legs)
            self._leg, still = None, sorted(self._open.items())
        for leg in left:  # of an engine that lives: which of them carries what is not worth knowing
            leg.is_dropped = True
            leg.connection.say(leg.cancellation)
        numbers = (number for number, _ in still)
        for keys in parcels(key for _, key in still):
            self._carrier().send(itertools.islice(numbers, len(keys)), keys)
        if self._end and self._leg is not None:
            self._leg.end()
            self._leg = None

    def _show(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if self._plan.show is not None and (last or now - self._shown >= GLANCE):
            self._shown = now
            done = self._drawn - len(self._open) - self._failed
            ended = self._end is not False
            progress = Progress(self._drawn, ended, done, 0, self._failed, self._busy, now - self._began)
            self._plan.show(progress)

    # What the coordinator says, heard by the thread of the connection.

    def _hear(self, leg: Leg, name: str, fields: Any, payload: bytes | bytearray) -> None:
        if name != "Note" or leg is self._leg:  # each of them hears a note
            remark(name, fields)
        with self._change:
            if name == "Finished":
                self._legs.discard(leg)
                if not (self._closed or leg.is_dropped):
                    self._stopped = self._stopped or fields["stopped"]
            elif self._closed or leg.is_dropped:
                return
            elif name == "Results":
                results = results_of(self._decoder, fields, payload)
                self._weights[1] += (len(payload) / max(len(results), 1) - self._weights[1]) / 2
                for task, value in results:
                    self._land(leg.tasks[task], value)
            elif name == "Failed":
                number = leg.tasks[fields["task"]]
                if number in self._open:
                    self._failed += 1
                    self._land(number, Failed(self._open[number], fields["failure"]))
            elif name == "Progress":
                self._busy, self._least = fields["busy"], max(self._least, 2 * fields["slots"])
            self._change.notify_all()

    def _land(self, number: int, outcome: Any) -> None:
        if self._open.pop(number, None) is None:
            return
        self._outcomes[number] = outcome
        self._lives = 1
        self._landed += 1
        if self._landed >= self._window:
            self._window, self._landed = min(AHEAD, 2 * self._window), 0

    def _leg_lost(self, leg: Leg, why: str) -> None:
        with self._change:
            self._legs.discard(leg)
            if not (self._closed or leg.is_dropped):
                self._lost = why
            self._change.notify_all()
