"""What travels beside the tasks: shared values, large functions, initializers; and that nothing is left of them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from harness import Node, aside, descendants, kill_engine, memory, until

import maniple
from maniple import Executor
from maniple._client.cargo import Object
from maniple._client.engine import ENGINES

PATIENCE = 60.0
MB = 1_000_000


def objects_here() -> int:
    """Descriptors of this process that hold an object."""
    named = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            named += "maniple-object" in os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the one of the listing itself
            continue
    return named


def ran(text: str) -> str:
    """What a script printed."""
    command = [sys.executable, "-c", "import os, sys, maniple\n" + textwrap.dedent(text)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def scaled(code: str, factor: float, prices: Any) -> float:
    return float(prices[code].sum() * factor)


def test_every_call_gets_what_is_shared() -> None:
    frame = pd.DataFrame({"a": np.arange(1e5), "b": np.ones(100_000)})
    frame["day"] = pd.date_range("2024-01-01", periods=100_000, freq="min")
    found = maniple.map(scaled, [("a", 2), ("b", 1)], shared={"prices": frame})
    assert found == [frame["a"].sum() * 2, 1e5]
    assert maniple.map(lambda x, **told: (x, told), [1], shared={"a": (1,), "b": {2}}) == [(1, {"a": (1,), "b": {2}})]
    assert maniple.map(lambda prices: prices.equals(frame), [{}], shared={"prices": frame}) == [True]
    assert maniple.map(lambda n, empty: empty.shape, [1], shared={"empty": np.zeros((0, 3))}) == [(0, 3)]
    assert objects_here() == 0


def test_arrow_and_polars_are_shared_too() -> None:
    pyarrow, polars = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    table = pyarrow.table({"n": list(range(1000)), "text": [str(n) for n in range(1000)]})
    shared = {"table": table, "frame": polars.from_arrow(table)}
    found = maniple.map(lambda n, table, frame: (table["text"][n].as_py(), frame["n"][n]), [7], shared=shared)
    assert found == [("7", 7)]


@pytest.mark.parametrize("size", [64 * MB])
def test_a_frame_for_four_processes_costs_its_size_once(fifo: str, tmp_path: Path, size: int) -> None:
    def total(task: int, prices: Any, log: str, fifo: str) -> float:
        found = float(prices.to_numpy().sum())
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")
        open(fifo).close()  # until all have been looked at
        return found

    def taken(rows: int) -> tuple[int, int]:
        """(memory of all processes, memory that only one of them has and has written)"""
        log = tmp_path / f"log{rows}"
        log.touch()
        frame = pd.DataFrame(np.ones((rows, 8)))
        options: dict[str, Any] = {"shared": {"prices": frame, "log": str(log), "fifo": fifo}, "processes": 4}
        call = aside(maniple.map, total, range(4), batch_size=1, **options)
        until(lambda: len(set(log.read_text().split())) == 4)
        pids = [*ENGINES.pids(), *descendants(ENGINES.pids()[0])]
        # Without files: a library costs less when programs of others use it, too.
        held = sum(memory(pid, name) for pid in pids for name in ("Pss_Anon", "Pss_Shmem"))
        sums = held, sum(memory(pid, "Private_Dirty") for pid in pids)
        with open(fifo, "w"):
            assert call.result(PATIENCE) == [8.0 * rows] * 4
        return sums

    before, after = taken(8), taken(size // 64)
    grown, written = after[0] - before[0], after[1] - before[1]
    print(f"{size / MB:.0f} MB: {grown / MB:.1f} MB more in all processes, {written / MB:.1f} MB of it written")
    assert size * 0.9 < grown < size * 1.3
    assert written < size * 0.3


def test_nobody_writes_into_what_is_shared() -> None:
    def write(at: int, array: Any) -> None:
        array[at] = 1

    with pytest.raises(maniple.JobFailed, match="assignment destination is read-only"):
        maniple.map(write, [0], shared={"array": np.zeros(10)})


class Lost:
    """Does not unpickle."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: maniple.map(abs, [1], shared={"x": 1}), maniple.FunctionError, "abs has no parameter x"),
        (lambda: maniple.map(scaled, [1], shared={"price": 1}), maniple.FunctionError, "scaled has no parameter price"),
        (lambda: maniple.map(scaled, [1], shared={"a b": 1}), maniple.FunctionError, "no parameter a b"),
        (
            lambda: maniple.map(lambda n, **more: n, [1], shared={"a b": 1}),
            ValueError,
            "each name has to be one of a parameter",
        ),
        (
            lambda: maniple.map(scaled, [1], shared={"prices": threading.Lock()}),
            maniple.FunctionError,
            "what is given as shared= cannot be sent to other processes, as it does not pickle: TypeError",
        ),
        (
            lambda: maniple.map(scaled, [1], shared={"prices": Lost()}),
            maniple.FunctionError,
            "what the tasks share cannot be loaded in .*: ValueError: invalid literal",
        ),
        (lambda: maniple.map(abs, [1], initializer=3), TypeError, "initializer must be a callable"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_is_one_clear_exception(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as raised:
        call()
    assert "\n" not in str(raised.value)
    del raised
    assert objects_here() == 0


def test_a_child_that_is_told_of_another_object_says_so() -> None:
    known = Object("Shared", b"\x80\x05}.", [])
    with Node() as node:
        name, fields = node.load("same", objects=[known.spec | {"id": 1}])
        assert name == "Unloadable" and fields["message"].endswith("ValueError: it is another one")
    place = known.spec
    known.close()
    with Node() as node:
        name, fields = node.load("same", objects=[place])
        assert name == "Unloadable" and "what the tasks share cannot be loaded" in fields["message"]


def test_the_next_engine_gets_the_same_objects(fifo: str, tmp_path: Path) -> None:
    log, array = tmp_path / "log", np.arange(1e6)

    def slow(x: int, array: Any) -> float:
        with open(log, "a") as file:
            file.write(f"{x}\n")
        if x == 50 and not os.path.exists(f"{fifo}.open"):
            open(fifo).read()  # until it is closed, or this process is killed
        return float(array[x])

    call = aside(maniple.map, slow, range(100), processes=1, shared={"array": array})
    with open(fifo, "w"):
        Path(f"{fifo}.open").touch()
        kill_engine()
    assert call.result(PATIENCE) == list(map(float, range(100))) and objects_here() == 0


def test_an_executor_gives_calls_what_they_have_parameters_for() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    with Executor(2, shared={"prices": frame, "unused": 1}) as executor:
        assert executor.submit(scaled, "a", 2).result(PATIENCE) == 6
        assert executor.submit(scaled, "a", 2, {"a": np.ones(3)}).result(PATIENCE) == 6
        assert executor.submit(scaled, "a", 1, prices={"a": np.ones(3)}).result(PATIENCE) == 3
        assert executor.submit(pow, 2, 10).result(PATIENCE) == 1024
        assert list(executor.map(scaled, ["a", "a"], [1, 2], chunksize=2)) == [3, 6]
        assert objects_here() == 1
    assert objects_here() == 0


def test_the_memory_of_a_forgotten_executor_is_given_back() -> None:
    executor = Executor(1, shared={"prices": np.ones(10)})
    assert executor.submit(len, "abc").result(PATIENCE) == 3 and objects_here() == 1
    del executor
    gc.collect()
    assert objects_here() == 0


def test_a_forked_process_does_not_hold_the_memory() -> None:
    found = ran(
        """
        import numpy as np
        def held():
            fds = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
            return sum("maniple-object" in os.readlink(fd) for fd in fds if os.path.exists(fd))
        executor = maniple.Executor(1, shared={"x": np.arange(5)})
        print(executor.submit(lambda x: x.sum().item()).result(), held(), flush=True)
        if os.fork() == 0:
            print(held(), maniple.map(lambda n, x: n + x, [1], shared={"x": 1}), flush=True)
            os._exit(0)
        os.wait()
        print(executor.submit(lambda x: x.max().item()).result(), held())
        """
    )
    assert found.splitlines() == ["10 1", "0 [2]", "4 1"]


def test_a_large_function_travels() -> None:
    table = np.arange(1e6)

    def look(at: int) -> float:
        table[at] += 1  # a function's own data is its own, whatever its size
        return float(table[at])

    assert maniple.map(look, [0, 999_999]) == [1, 1e6]
    text = "x" * (2 << 20)
    assert maniple.map(lambda n: len(text) + n, [1], checkpoint=None) == [(2 << 20) + 1]
    assert objects_here() == 0


def test_a_function_beyond_the_limit_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"x" * (1 << 20)
    monkeypatch.setattr("maniple._client.cargo.SIZE_LIMIT", len(data))
    with pytest.raises(maniple.FunctionError, match=r"takes 0.0 GB with all that it refers to, at most .* GiB"):
        maniple.map(lambda n: data[n], [1])


def test_the_initializer_runs_once_a_process_and_shares_globals(tmp_path: Path) -> None:
    found = ran(
        f"""
        def begin(add):
            global added
            added = add
            with open({str(tmp_path / "log")!r}, "a") as file:
                file.write("begun\\n")
        def work(n):
            return n + added
        if __name__ == "__main__":
            print(maniple.map(work, range(5), initializer=begin, initargs=(10,), processes=1))
            print(maniple.map(abs, [-1], initializer=begin, initargs=(10,), processes=1))
        """
    )
    assert found == "[10, 11, 12, 13, 14]\n[1]\n"
    assert (tmp_path / "log").read_text() == "begun\nbegun\n"


def raises(text: str) -> None:
    raise LookupError(text)


def test_an_initializer_that_raises_ends_the_call() -> None:
    with pytest.raises(maniple.FunctionError, match="the initializer raised LookupError: no data"):
        maniple.map(abs, [1], initializer=raises, initargs=("no data",))
    assert maniple.map(abs, [-1]) == [1]


LARGE = 100 * MB


def test_a_value_larger_than_a_frame_on_the_network_comes_back() -> None:
    assert maniple.map(lambda n: b"x" * n, [LARGE, 3]) == [b"x" * LARGE, b"xxx"]
    (array,) = maniple.map(lambda n: np.arange(n // 8), [LARGE]) or []
    assert array.nbytes == LARGE and array[-1] == LARGE // 8 - 1 and array.flags.writeable
    with Executor(1) as executor:
        (frame,) = executor.submit(lambda: [pd.DataFrame({"a": np.ones(LARGE // 8)})]).result(PATIENCE)
    assert frame.a.sum() == LARGE // 8


def test_an_argument_may_be_as_large() -> None:
    array = np.ones(LARGE // 8)
    assert maniple.map(lambda array, n: array.sum() + n, [(array, 1), (array, 2)]) == [LARGE / 8 + 1, LARGE / 8 + 2]
    with Executor(1) as executor:
        assert executor.submit(np.sum, array).result(PATIENCE) == LARGE / 8
        assert executor.submit(len, bytes(50 * MB)).result(PATIENCE) == 50 * MB


def test_what_is_too_large_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = r"value cannot be kept: its 100,000,005 bytes are more than the limit of 62,914,560"
    with pytest.raises(maniple.JobFailed, match=limit):
        maniple.map(lambda n: bytes(n), [LARGE], checkpoint=tmp_path / "f")
    ENGINES.end()
    monkeypatch.setattr("maniple._client.engine.LOCAL_LIMIT", MB)
    monkeypatch.setattr("maniple._flight.LOCAL_LIMIT", MB)
    with pytest.raises(maniple.FunctionError, match="task number 1 takes 2 MB, at most 0 MiB can be sent"):
        maniple.map(len, [b"", bytes(2 * MB)])
    with Executor(1) as executor, pytest.raises(maniple.FunctionError, match="a call of len takes 2 MB"):
        executor.submit(len, bytes(2 * MB)).result(PATIENCE)
    ENGINES.end()
