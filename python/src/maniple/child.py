"""The Python child of a node: loads one function, calls it with key after key, sends back what came of it.

A node executes the texts of ``codec.py``, ``shape.py``, ``objects.py``, ``control.py``, ``story.py``, ``streams.py``,
``loading.py`` and this file as ``__main__``, with two arguments: the descriptors of the control socket and of the
beacon page. Or it is a copy of a template (``template.py``). Nothing but the standard library needs to be installed. It
knows nothing of jobs, batches, retries or time limits: ordinals and keys come in, values and failures go out. Messages:
``shared/src/wire/child.rs``.

Invariants
- While a key is unpickled, a task called or a value pickled, the beacon's first word holds the task's ordinal.
- Nothing at or beyond the beacon's ``committed`` was begun; ``stop`` is read after ``committed`` is written.
- The ``Ran`` of a run cover its tasks in order, each once.
- What a task does to streams, low descriptors, signals, or by raising, harms no other task.
"""

import _thread
import contextlib
import fcntl
import gc
import importlib
import mmap
import os
import signal
import sys
import time
from typing import Any, NoReturn

if "Codec" not in globals():
    from maniple.codec import Codec, Undecodable, Unkeepable, head, name_of, text_of
    from maniple.control import Control
    from maniple.loading import Unloadable, differing, prepared
    from maniple.shape import Shape
    from maniple.story import cut, of_unloadable, traceback_of
    from maniple.streams import Streams
    from maniple.template import Template, put_mark

STORY_LIMIT = 192 << 10  # characters of failures after which a frame is sent: so its head stays below 1 MiB
FRAME_SIZE = 16 << 20  # bytes of values in a frame, unless a single one is larger
STRIDE_SECONDS, STRIDE_TASKS = 1e-3, 256  # how far the child binds itself at once
SEND_SECONDS = 0.1  # what is finished is sent at the first stride's end after this
GC_THRESHOLD = 50_000  # as fast as no collector at all, and cycles are still collected
RUNNING, STOP, COMMITTED = 0, 1, 2  # words of the beacon
INTERNAL_ERROR = 70


class Child:
    """One function, its socket and its beacon; what was run but not yet sent, from ordinal `unsent` on."""

    def __init__(self, streams: Streams, control: int, beacon: int) -> None:
        self.codec, self.streams, self.pid = Codec(), streams, os.getpid()
        self.page = memoryview(mmap.mmap(beacon, os.fstat(beacon).st_size)).cast("Q")
        self.control = Control(control, self.codec)
        os.close(beacon)
        os.register_at_fork(after_in_child=self.disown)
        self.clock = time.perf_counter  # ours, even if a task puts another in its place
        self.fence = _thread.allocate_lock()
        self.fence.acquire()
        self.values: list[Any] = []
        self.failures: dict[int, dict[str, Any]] = {}
        self.unsent, self.story, self.busy, self.pace = 1, 0, 0.0, STRIDE_SECONDS

    def disown(self) -> None:
        """In a copy that a task forked: should it come back from the task, its next step here ends it."""
        self.control.disown()
        self.page.release()

    def send(self, name: str, payload: Any = b"", **fields: Any) -> None:
        message = self.codec.pack({name: fields})
        self.page[RUNNING] = 0
        self.control.send(message, payload)

    def serve(self) -> None:
        """Loads the function, then runs what comes, until the node is gone."""
        what = self.control.next()[0]["Load"]
        self.limit, self.memory = what["value_limit"], what["memory"]
        self.shape = Shape(what.get("shape"))
        if mark := what.get("mark"):
            put_mark(mark)
        if self.memory is not None:
            resource = importlib.import_module("resource")
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            soft = self.memory if hard == resource.RLIM_INFINITY else min(self.memory, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        try:
            self.function = prepared(what)
        except Unloadable as error:
            self.streams.tidy()
            return self.send("Unloadable", **of_unloadable(error))
        if differences := differing(what.get("packages", ())):
            self.send("Differs", packages=differences)
        lacking = None if self.codec.is_fast else sys.executable
        self.send("Ready", python=sys.version.split()[0], lacks_msgpack=lacking)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
        while True:
            message, payload = self.control.next()
            self.run(payload=payload, **message["Run"])

    def keys(self, first: int, payload: bytes) -> list[Any]:
        with contextlib.suppress(Exception):
            keys: list[Any] = self.codec.unpack(payload)
            return keys
        keys, each = [], self.codec.each(payload)
        with contextlib.suppress(StopIteration):
            while True:
                self.page[RUNNING] = first + len(keys)
                keys.append(next(each))
        return keys

    def run(self, first: int, count: int, payload: bytes) -> None:
        """Calls the function with each key, in strides; between two of them it looks at `stop` and at the clock."""
        page, function, keep, clock = self.page, self.function, self.values.append, self.clock
        keys = self.keys(first, payload)
        if len(keys) != count:
            raise ValueError(f"{len(keys)} keys came for {count} tasks")
        self.unsent = ordinal = first
        end = first + count
        started = clock()
        # The first value of a process is told at once: nobody knows how long the next task takes.
        sent = started if first > 1 else started - 2 * SEND_SECONDS
        while ordinal < end:
            begin, until = ordinal, min(end, ordinal + max(1, min(STRIDE_TASKS, int(STRIDE_SECONDS / self.pace))))
            page[COMMITTED] = until
            self.fence.release()  # a full fence: `committed` is seen by the node before `stop` is read
            self.fence.acquire()
            if page[STOP] < until:
                until = page[COMMITTED] = max(page[STOP], ordinal)
                if until == ordinal:
                    break
            for key in keys[ordinal - first : until - first]:
                page[RUNNING] = ordinal
                try:
                    kind = type(key)
                    if kind is list:
                        keep(function(*key))
                    elif kind is dict:
                        keep(function(**key))
                    elif kind is Undecodable:
                        raise key.error
                    else:
                        keep(function(key))
                except BaseException as error:
                    self.fail(ordinal, error)
                    if self.story > STORY_LIMIT:
                        self.flush(ordinal + 1)
                ordinal += 1
            fcntl.fcntl(self.control.fd, fcntl.F_GETFD)  # if a task closed it, end while the beacon names the task
            now = clock()
            self.busy += now - started
            self.pace = (self.pace + (now - started) / (until - begin)) / 2
            started = now
            if now - sent > SEND_SECONDS and ordinal < end:
                self.flush(ordinal)
                sent = started = clock()
        self.flush(ordinal)
        if ordinal < end:
            self.send("Stopped", at=ordinal)

    def fail(self, ordinal: int, error: BaseException, kind: str = "Exception") -> None:
        """Notes how a task failed."""
        if isinstance(error, MemoryError) and self.memory is not None:
            kind = "OutOfMemory"
        if isinstance(error, Unkeepable):
            (name, text), trace = error.args, ""
        else:
            name, text, trace = name_of(type(error)), text_of(error), traceback_of(error)
        self.note({"ordinal": ordinal, "kind": kind, "type_name": cut(name), "message": cut(text), "traceback": trace})

    def note(self, failure: dict[str, Any]) -> None:
        self.failures[failure["ordinal"]] = failure
        self.story += 128 + len(failure["type_name"]) + len(failure["message"]) + len(failure["traceback"])

    def flush(self, end: int) -> None:
        """Sends what came of the tasks from `unsent` to `end`: at once, or value by value where that does not do."""
        self.page[RUNNING] = 0
        self.streams.tidy()
        blob = b""
        if not self.codec.pickled and self.shape.all_fit(self.values):
            with contextlib.suppress(Exception):
                blob = self.codec.pack(self.values)
        if 0 < len(blob) <= (self.limit if len(self.values) == 1 else min(self.limit, FRAME_SIZE)):
            self.ran(end, memoryview(blob)[len(head("array", len(self.values))) :])
        else:
            blob = b""
            self.flush_each(end)
        self.values.clear()

    def flush_each(self, end: int) -> None:
        values, failures, payload = iter(self.values), self.failures, bytearray()
        self.failures, self.story, self.codec.pickled = {}, 0, False
        for ordinal in range(self.unsent, end):
            self.page[RUNNING] = ordinal
            if ordinal in failures:
                self.note(failures[ordinal])
            else:
                value = next(values)
                try:
                    if misfit := self.shape.misfit(value):
                        raise Unkeepable(name_of(type(value)), misfit)
                    part = self.codec.one(value)
                    if len(part) > self.limit:
                        why = f"its {len(part):,} bytes are more than the limit of {self.limit:,}"
                        raise Unkeepable(name_of(type(value)), why)
                    if payload and len(payload) + len(part) > FRAME_SIZE:
                        self.ran(ordinal, payload)
                        payload = bytearray()
                    if len(part) > FRAME_SIZE:
                        self.ran(ordinal + 1, part)
                    else:
                        payload += part
                except BaseException as error:
                    self.fail(ordinal, error, "BadValue")
            if self.story > STORY_LIMIT:
                self.ran(ordinal + 1, payload)
                payload = bytearray()
        self.ran(end, payload)

    def ran(self, end: int, payload: Any) -> None:
        if end > self.unsent:
            facts = {"first": self.unsent, "count": end - self.unsent, "busy_us": round(self.busy * 1e6)}
            self.send("Ran", payload, **facts, failures=list(self.failures.values()))
        self.failures.clear()
        self.unsent, self.story, self.busy = end, 0, 0.0


def main() -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    streams, numbers = Streams(), [int(number) for number in sys.argv[1:]]
    del sys.argv[1:]
    child = Child(streams, *(numbers if len(numbers) > 1 else Template(streams, *numbers).copied()))
    setattr(sys.modules["__main__"], "_maniple_child", child.control)  # where maniple.kv finds it
    code = 0
    try:
        child.serve()
    except (BrokenPipeError, ConnectionResetError):
        code = 0  # the node is gone
    except BaseException as error:
        if os.getpid() != child.pid:
            os._exit(0)
        code = INTERNAL_ERROR
        print(f"maniple: this process cannot go on\n{traceback_of(error)}", file=sys.stderr)
    with contextlib.suppress(BaseException):
        child.streams.tidy()
    os._exit(code)  # not held up by threads and exit handlers that tasks left


if __name__ == "__main__":
    main()
