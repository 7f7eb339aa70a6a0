"""The Python child of a node: loads one function, calls it with key after key, sends back what came of it.

A node executes the texts of ``codec.py``, ``shape.py``, ``objects.py``, ``control.py``, ``loading.py`` and this file as
``__main__``, with two arguments: the descriptors of the control socket and of the beacon page. Nothing but the standard
library needs to be installed. It knows nothing of jobs, batches, retries or time limits: ordinals and keys come in,
values and failures go out. Messages: ``shared/src/wire/child.rs``.

Invariants
- While a key is unpickled, a task called or a value pickled, the beacon's first word holds the task's ordinal.
- Nothing at or beyond the beacon's ``committed`` was begun; ``stop`` is read after ``committed`` is written.
- The ``Ran`` of a run cover its tasks in order, each once.
- What a task does to streams, low descriptors, signals, or by raising, harms no other task.
"""

import _thread
import contextlib
import errno
import faulthandler
import fcntl
import gc
import importlib
import io
import mmap
import os
import signal
import sys
import time
from typing import Any, NoReturn

if "Codec" not in globals():
    from maniple.codec import Codec, Undecodable, Unkeepable, head, name_of, text_of
    from maniple.control import HIGH_FD, Control
    from maniple.loading import Unloadable, differing, prepared
    from maniple.shape import Shape

TEXT_LIMIT = 64 << 10  # bytes of a failure's message, and of its traceback
STORY_LIMIT = 192 << 10  # characters of failures after which a frame is sent: so its head stays below 1 MiB
FRAME_SIZE = 16 << 20  # bytes of values in a frame, unless a single one is larger
STRIDE_SECONDS, STRIDE_TASKS = 1e-3, 256  # how far the child binds itself at once
SEND_SECONDS = 0.1  # what is finished is sent at the first stride's end after this
GC_THRESHOLD = 50_000  # as fast as no collector at all, and cycles are still collected
RUNNING, STOP, COMMITTED = 0, 1, 2  # words of the beacon
STREAMS = ("stdin", "stdout", "stderr")
INTERNAL_ERROR = 70


def cut(text: str, tail: int = 0) -> str:
    """At most `TEXT_LIMIT` bytes of a text, `tail` of them from its end."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > TEXT_LIMIT:
        mark = b"\n... cut, %d bytes in all ...\n" % len(data)
        data = data[: TEXT_LIMIT - tail - len(mark)] + mark + data[len(data) - tail :]
    return data.decode("utf-8", "ignore")


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception, without the frames of this file."""
    try:
        frames = error.__traceback__
        while frames and frames.tb_frame.f_globals is globals():
            frames = frames.tb_next
        step = frames if isinstance(error, MemoryError) else None
        while step:  # they hold what filled the memory
            with contextlib.suppress(RuntimeError):
                step.tb_frame.clear()
            step = step.tb_next
        traceback = importlib.import_module("traceback")
        return cut("".join(traceback.format_exception(type(error), error, frames)), TEXT_LIMIT // 2)
    except BaseException as other:
        return f"<its traceback raised {name_of(type(other))}>"


class Pipe(io.FileIO):
    """Descriptor 1 or 2. Closed by a task, it is opened again; that nobody listens is no error."""

    def __init__(self, fd: int, spare: int) -> None:
        super().__init__(fd, "w", closefd=False)
        self.spare = spare

    def write(self, data: Any) -> Any:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EBADF:
                return len(data)
            os.dup2(self.spare, self.fileno())
            return super().write(data)


class Streams:
    """stdin, stdout, stderr, and their descriptors: whatever a task does to them, the next finds them in order."""

    def __init__(self) -> None:
        self.spares = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD) for fd in range(3)]
        self.files: list[io.TextIOWrapper] = [open(0, closefd=False)]
        for fd in (1, 2):
            pipe = io.BufferedWriter(Pipe(fd, self.spares[fd]))
            self.files.append(io.TextIOWrapper(pipe, "utf-8", "backslashreplace", line_buffering=True))
        for name, file in zip(STREAMS, self.files):
            setattr(file, "close", file.flush)
            setattr(sys, name, file)
        faulthandler.enable(self.spares[2])

    def tidy(self) -> None:
        """Flushes what was printed, opens again what was closed."""
        for fd, name in enumerate(STREAMS):
            try:
                fcntl.fcntl(fd, fcntl.F_GETFD)
            except OSError:
                os.dup2(self.spares[fd], fd)
            try:
                getattr(sys, name).flush()
            except ValueError:  # it is closed
                setattr(sys, name, self.files[fd])
            except BaseException:
                continue


class Child:
    """One function, its socket and its beacon; what was run but not yet sent, from ordinal `unsent` on."""

    def __init__(self, control: int, beacon: int) -> None:
        self.codec, self.streams, self.pid = Codec(), Streams(), os.getpid()
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
        if self.memory is not None:
            resource = importlib.import_module("resource")
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            soft = self.memory if hard == resource.RLIM_INFINITY else min(self.memory, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        try:
            self.function = prepared(what)
        except Unloadable as error:
            self.streams.tidy()
            line, story = " ".join(str(error).split()), traceback_of(error.__cause__) if error.__cause__ else ""
            return self.send("Unloadable", message=cut(line), traceback=story)
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
    control, beacon = map(int, sys.argv[1:])
    del sys.argv[1:]
    child = Child(control, beacon)
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
