"""Calls on their way to the processes of an executor: how they are packed, and the job that carries them.

It does not know which calls go when; an executor does (`_executor`).
"""

from __future__ import annotations

import itertools
import pickle
import secrets
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from numbers import Integral
from typing import TYPE_CHECKING, Any

import cloudpickle

from ._client.engine import ENGINES
from ._client.function import takers
from ._client.spec import JobSpec, remark, results_of
from ._client.wire import LOCAL_LIMIT, Connection
from .codec import Undecodable
from .errors import FunctionError

if TYPE_CHECKING:
    from ._client.cargo import Cargo
    from ._executor import Executor

MOST = 4096
"""Calls in flight at most."""
ROUND = 0.05
"""Seconds of work that are in flight, so that a process never waits for the next call."""
JOB_CALLS, JOB_BYTES = 50_000, 256 << 20
"""How large a job may grow: the engine keeps its calls until it ends."""


def counted(name: str, number: Any, wanted: str, most: int) -> int | None:
    """How many of something, as the standard library says it if it is none; None for any number."""
    if number is None:
        return None
    if not isinstance(number, Integral) or isinstance(number, bool):
        raise TypeError(f"{name} must be an integer")
    count = int(number)
    if not 0 < count <= most:
        raise ValueError(f"{name} must be {wanted}" if count <= most else f"{name} must be at most {most}")
    return count


class RemoteTraceback(Exception):
    """The cause of an exception that a call raised: its traceback in the process that made the call."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.tb = text

    def __str__(self) -> str:
        """The traceback."""
        return f'\n"""\n{self.tb}"""'


class Room:
    """How many calls may be in flight: as many as last for some time, however short they are."""

    def __init__(self, least: int, most: int = MOST) -> None:
        self.size = self.least = least
        self._most, self._mark, self._since = most, 0, time.monotonic()

    def landed(self, calls: int) -> None:
        """So many have come back."""
        self._mark += calls
        took = time.monotonic() - self._since
        if took >= ROUND:
            self.size = min(self._most, max(self.least, int(2 * self._mark * ROUND / took) + 1))
        elif self._mark >= self.size:
            self.size = min(self._most, 2 * self.size)
        else:
            return
        self._mark, self._since = 0, time.monotonic()

    def widen(self, least: int) -> None:
        """There is room for so many in any case."""
        self.least = least
        self.size = max(self.size, least)


class Item:
    """A call, and the future of its value."""

    __slots__ = ("future", "name", "work")

    def __init__(self, future: Future[Any], name: str, work: bytes) -> None:
        self.future, self.name, self.work = future, name, work


class Flight:
    """A job that carries calls; `items` are those in flight, by their position in it."""

    def __init__(self, executor: Executor, connection: Connection) -> None:
        self.executor, self.connection = weakref.ref(executor), connection
        self.number = secrets.randbits(64)
        self.items: dict[int, Item] = {}
        self.calls = self.bytes = 0
        self.cargo: Cargo | None = None

    def begin(self, spec: JobSpec) -> None:
        """Submit the job; it may be told here that the connection is lost."""
        # Here they are mapped, and may go with the executor.
        self.cargo = spec.cargo if self.connection.is_remote else None
        submit = spec.submit(self.number, elsewhere=self.connection.is_remote)
        self.connection.follow(self.number, self)
        self.connection.say(submit)

    def send(self, items: list[Item], keys: list[bytes]) -> None:
        """More calls."""
        self.items.update(zip(itertools.count(self.calls), items))
        self.calls += len(items)
        self.bytes += sum(map(len, keys))
        self.connection.say({"Tasks": {"job": self.number, "count": len(keys)}}, b"".join(keys))

    @property
    def is_full(self) -> bool:
        """Whether another one has to follow."""
        return self.calls >= JOB_CALLS or self.bytes >= JOB_BYTES

    @property
    def last_words(self) -> dict[str, Any]:
        """There will be no more calls."""
        return {"TasksEnd": {"job": self.number, "total": self.calls}}

    def end(self) -> None:
        """Have the job end with the calls that it has."""
        self.connection.say(self.last_words)

    def hear(self, name: str, fields: Any, payload: bytes | bytearray) -> None:
        """Outcomes, and the end."""
        executor = self.executor()
        if name == "Fetch":
            if self.cargo is not None:
                self.connection.say(*self.cargo.piece(fields))
        elif name == "Remark":
            remark(name, fields)
        elif executor is None:  # it was forgotten, with nothing left to do
            if name == "Finished":
                self.connection.leave(self.number)
                ENGINES.release(self.connection)
        elif name == "Results":
            executor._landed(self, results_of(executor._codec, fields, payload))
        elif name == "Failed":
            executor._crashed(self, fields["task"], fields["failure"])
        elif name == "Progress" and self.connection.is_remote:
            executor._widened(fields["slots"])
        elif name == "Finished":
            self.connection.leave(self.number)
            executor._finished(self, fields["stopped"])

    def lost(self, why: str) -> None:
        """The engine is gone."""
        executor = self.executor()
        if executor is None:
            ENGINES.release(self.connection)
        else:
            executor._lost(self, why)


class Running:
    """Stands for the future of a call that is made again: it has been running, and cannot be cancelled any more."""

    def __init__(self, future: Future[Any]) -> None:
        self.set_result, self.set_exception, self.cancel = future.set_result, future.set_exception, future.cancel

    def set_running_or_notify_cancel(self) -> bool:
        """It runs."""
        return True


def again(item: Item) -> Item:
    """A call that is made again."""
    return Item(Running(item.future), item.name, item.work)  # type: ignore[arg-type]


class Several:
    """A function for a list of calls: of their one argument each, or with `star` of a sequence of arguments."""

    def __init__(self, function: Callable[..., Any], *, star: bool) -> None:
        self.function, self.star = function, star

    def __call__(self, calls: list[Any], **shared: Any) -> list[Any]:
        """The values, in order."""
        return [self.function(*(call if self.star else (call,)), **shared) for call in calls]


def call_of(
    name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], shared: tuple[str, ...]
) -> bytes:
    """A call as bytes, with what it gets of the values that are shared."""
    lacking: tuple[str, ...] = ()
    if shared:
        inner, given = (fn.function, 0) if isinstance(fn, Several) else (fn, len(args))
        lacking = tuple(each for each in takers(inner, shared, given) or () if each not in kwargs)
    work = pickled((fn, args, kwargs, lacking))
    if len(work) > LOCAL_LIMIT - 64:
        raise FunctionError(
            f"a call of {name} takes {len(work) / 1e6:.0f} MB, at most {LOCAL_LIMIT >> 20} MiB can be sent"
        )
    return work


def settle(future: Future[Any], answer: Any) -> None:
    """Give a future the answer to its call: a value, or an exception with the traceback of where it was raised."""
    if isinstance(answer, Undecodable):
        future.set_exception(answer.error)
        return
    word, found, *story = answer
    if word != "value":
        try:
            found = pickle.loads(found)
        except BaseException as trouble:  # whatever its pickle does, it does it to this one future
            found, word = trouble, "raised"
    if word in ("value", "pickle"):
        future.set_result(found)
        return
    if story:
        found.__cause__ = RemoteTraceback(story[0])
    future.set_exception(found)


def chunked(calls: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of so many elements, the last of what is left."""
    rest = iter(calls)
    return iter(lambda: list(itertools.islice(rest, size)), [])


def pickled(work: tuple[Any, ...]) -> bytes:
    """A call, function first, as bytes: by pickle where all of it can be imported elsewhere, else by cloudpickle."""
    function = getattr(work[0], "function", work[0])
    if getattr(function, "__module__", "__main__") not in ("__main__", "__mp_main__"):
        try:
            data = pickle.dumps(work, protocol=5)
            if b"__main__" not in data:
                return data
        except Exception:  # cloudpickle may do it, or says why not
            pass
    blob: bytes = cloudpickle.dumps(work, protocol=5)
    return blob
