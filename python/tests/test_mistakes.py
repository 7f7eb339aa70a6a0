"""Each mistake of the table in `docs/python.md` is made, and is the one exception and sentence that the table has."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from cluster import LocalCluster

import maniple
from maniple._client.cargo import Cargo
from maniple._client.engine import ENGINES
from maniple._client.job import Job, Plan
from maniple._client.spec import JobSpec
from maniple.errors import Failure

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
ROW = re.compile(r"^\| ([a-z][^|]*?) \| `(\w+)` \| (.*) \|$", re.MULTILINE)
TABLE = {mistake: (kind, text) for mistake, kind, text in ROW.findall(PAGE.read_text())}


class Unloadable:
    """A function that no other process can load."""

    def __reduce__(self) -> Any:
        return eval, ("None()",)

    def __call__(self, n: int) -> int:
        return n


class Needy(Unloadable):
    """A function that needs a module which is not there."""

    def __reduce__(self) -> Any:
        return __import__, ("nowhere",)


def lacking(n: int) -> int:
    import nowhere  # type: ignore[import-not-found]

    return int(nowhere.f(n))


def no_table() -> None:
    raise LookupError("no table")


def of_another_function() -> None:
    maniple.map(abs, [1], checkpoint="f")
    maniple.map(len, ["a"], checkpoint="f")


def another_file() -> None:
    Path("notes").write_text("bread, milk\n" * 100)
    maniple.map(abs, [1], checkpoint="notes")


def faulty() -> None:
    Path("faulty.py").write_text("1 / 0")
    maniple.map(abs, [1], preload=["faulty"])


def exits() -> None:
    Path("quits.py").write_text("import sys\nsys.exit('no file')")
    maniple.map(abs, [1], preload=["quits"])


def with_program(path: str) -> None:
    ENGINES.end()
    os.environ["MANIPLE_BINARY"] = path
    maniple.map(abs, [1])


def dead_address() -> None:
    cluster, dead = LocalCluster(Path.cwd()), Path("dead.access")
    cluster.stop()
    dead.write_text(json.dumps(json.loads(cluster.access.read_text()) | {"addresses": ["127.0.0.1:1"]}))
    dead.chmod(0o600)
    maniple.connect(dead)


lock = threading.Lock()
options: Any = {"timeout": "5"}, {"process": 2}
wrong: Any = 3
wrong_path: Any = None
MISTAKES: dict[str, Any] = {
    "an option of a wrong value": lambda: maniple.map(abs, [1], processes=0),
    "an option of a wrong type": lambda: maniple.map(abs, [1], **options[0]),
    "an option that there is not": lambda: maniple.map(abs, [1], **options[1]),
    "tasks that are none": lambda: maniple.map(abs, wrong),
    "a function that is none": lambda: maniple.map(wrong, [1]),
    "a function that does not pickle": lambda: maniple.map(lambda n, held=lock: n, [1]),
    "a function that cannot be loaded there": lambda: maniple.map(Unloadable(), [1]),
    "a module that is missing there": lambda: maniple.map(Needy(), [1]),
    "a module that cannot be sent along": lambda: maniple.map(abs, [1], modules=["numpy"]),
    "a module that cannot be preloaded": faulty,
    "a module that ends who imports it": exits,
    "preload= of what is no module": lambda: maniple.map(abs, [1], preload="numpy"),
    "a task that does not pickle": lambda: maniple.map(abs, [1, lock]),
    "an initializer that raises": lambda: maniple.map(abs, [1], initializer=no_table),
    "shared= for no parameter": lambda: maniple.map(abs, [1], shared={"table": 1}),
    "a module that a task misses": lambda: maniple.map(lacking, [1]),
    "a task with wrong arguments": lambda: maniple.map(lambda a, b: a, [(1, 2), (1,)]),
    "a value that does not pickle": lambda: maniple.map(lambda n: threading.Lock(), [1]),
    "a task that kills its process": lambda: maniple.map(lambda n: os.kill(os.getpid(), n), [9], retries=0),
    "a task that takes too long": lambda: maniple.map(lambda n: signal.pause(), [1], timeout=0.1),
    "values that are no table": lambda: maniple.map(lambda n: [0] * n, [1, 2], output="pandas"),
    "a checkpoint in no folder": lambda: maniple.map(abs, [1], checkpoint="/nowhere/f"),
    "a checkpoint that is another file": another_file,
    "a checkpoint of another function": of_another_function,
    "no program maniple": lambda: with_program("/nowhere/maniple"),
    "no way to the cluster": dead_address,
    "another program": lambda: with_program("/bin/false"),
}


def test_the_table_has_these_mistakes() -> None:
    assert list(TABLE) == list(MISTAKES)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_the_exception_of_the_table(mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MANIPLE_BINARY", os.environ["MANIPLE_BINARY"])
    kind, text = TABLE[mistake]
    with pytest.raises(Exception) as raised:
        MISTAKES[mistake]()
    assert type(raised.value).__name__ == kind
    assert isinstance(raised.value, maniple.ManipleError) == (kind not in ("ValueError", "TypeError"))
    said = " ".join(str(raised.value).split()).partition(". Did you mean")[0]  # what Python 3.13 adds
    assert re.fullmatch(re.escape(text).replace(re.escape("..."), ".+"), said), said


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("processes", "2", TypeError),
        ("retries", 1.5, TypeError),
        ("retry_errors", -1, ValueError),
        ("timeout", float("nan"), ValueError),
        ("timeout", 0, ValueError),
        ("memory", "5GB", TypeError),
        ("memory", 0, ValueError),
        ("recycle_memory", "1G", TypeError),
        ("recycle_memory", 0, ValueError),
        ("batch_size", 0, ValueError),
        ("flush", -1, ValueError),
        ("flush", None, TypeError),
        ("buffersize", 5, ValueError),
        ("output", "excel", ValueError),
        ("on_error", "ignore", ValueError),
    ],
)
def test_a_wrong_option_is_named_before_anything_runs(option: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{option}={value!r}"):
        maniple.map(abs, [1], checkpoint="/nowhere/f", **{option: value})


WRONG_OPTIONS: list[tuple[Any, type[Exception], str]] = [
    (lambda: maniple.map(abs, [1], columns="abc"), TypeError, "columns='abc' is no list of texts"),
    (
        lambda: maniple.map(abs, [1], columns=cast(Any, [1]), checkpoint="f"),
        TypeError,
        "columns=[1] is no list of texts",
    ),
    (lambda: maniple.run_pools(abs, [[1]], columns="abc"), TypeError, "columns='abc' is no list of texts"),
    (lambda: maniple.map(abs, [1], checkpoint=wrong), TypeError, "3 is no path of a checkpoint"),
    (lambda: maniple.map(abs, [1], checkpoint="a\udc80"), ValueError, "is no path that can be sent"),
    (lambda: maniple.map(abs, [1], engine=wrong), TypeError, "engine=3 is no cluster"),
    (lambda: maniple.Executor(engine=wrong), TypeError, "engine=3 is no cluster"),
    (lambda: maniple.Executor(cast(Any, 2.5)), TypeError, "max_workers must be an integer"),
    (lambda: maniple.Executor(True), TypeError, "max_workers must be an integer"),
    (lambda: maniple.Executor(100_000), ValueError, "max_workers must be at most 65535"),
    (lambda: maniple.Executor(max_tasks_per_child=True), TypeError, "max_tasks_per_child must be an integer"),
    (lambda: maniple.Pool(cast(Any, "2")), TypeError, "Number of processes must be an integer"),
    (lambda: maniple.map(abs, [1], progress=cast(Any, "yes")), TypeError, "progress='yes': give True, False, None"),
    (lambda: maniple.connect(wrong_path), TypeError, "None is no path of an access file"),
    (lambda: maniple.ProcessManager(output_limit=cast(Any, "x")), TypeError, "output_limit='x' is no whole number"),
    (lambda: maniple.ProcessManager(expire=cast(Any, "x")), TypeError, "expire='x' is no number"),
    (lambda: maniple.ProcessManager(expire=-1), ValueError, "expire=-1: give seconds, at least 0"),
    (lambda: maniple.ProcessManager(keep=cast(Any, 1.5)), TypeError, "keep=1.5 is no whole number"),
]


@pytest.mark.parametrize(("call", "kind", "text"), WRONG_OPTIONS)
def test_reproduces_wrong_options_that_reached_the_engine(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert text in str(caught.value) and type(caught.value) is kind


def test_reproduces_a_failure_whose_task_has_no_text() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise LookupError

    story = {"cause": "NodeLost", **dict.fromkeys(("message", "traceback", "stdout", "stderr", "host"), "")}
    one, other = (Failure(task, {**story, "pid": 1, "attempt": 1}) for task in (Shy(), "x" * 10_000))
    assert "<Shy whose repr raised LookupError>: node lost" in str(maniple.JobFailed([one], [], 1))
    assert str(other).endswith("xxx ...: node lost") and len(str(other)) < 400


def test_a_process_that_the_kernel_ended_for_want_of_memory_is_named() -> None:
    story = {
        "cause": {"KilledForMemory": 1_200_000_000},
        **dict.fromkeys(("message", "traceback", "stdout", "stderr", "host"), ""),
    }
    failure = Failure(7, {**story, "pid": 1, "attempt": 4})
    assert str(failure) == "7: out of memory: the kernel killed its process (peak 1200 MB)"


def test_reproduces_a_job_that_cannot_be_said_and_was_waited_for() -> None:
    spec = JobSpec(Cargo(), work={"Function": {"module": "\udc80"}}, checkpoint=None)
    job, waits = Job(Plan(spec, None, None), []), list[float]()
    job._change.wait_for = lambda over, limit=None: waits.append(limit) or over()  # type: ignore
    with pytest.raises(UnicodeEncodeError):
        job.run()
    assert not any(waits)
