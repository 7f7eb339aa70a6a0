"""``maniple.map`` over tasks without end, and what else it makes of values than a list."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pandas as pd  # type: ignore[import-untyped]
import pytest
from harness import gone, interrupted, until

import maniple
from maniple._client.engine import ENGINES
from maniple._windows import Pace


class Drawn:
    """Numbers without end, and how many of them have been drawn."""

    def __init__(self, end: int | None = None) -> None:
        self.count, self.end = 0, end

    def __iter__(self) -> Iterator[int]:
        while self.end is None or self.count < self.end:
            self.count += 1
            yield self.count - 1


def test_tasks_without_end_are_drawn_as_values_are_taken() -> None:
    tasks = Drawn()
    values = maniple.map(lambda n: -n, tasks, output="iterator", buffersize=100)
    assert tasks.count == 0
    for taken in range(1000):
        assert next(values) == -taken
        assert taken < tasks.count <= taken + 101
    values.close()


def test_an_interrupt_while_tasks_are_drawn_is_not_kept_for_the_end() -> None:
    with pytest.raises(KeyboardInterrupt):
        next(maniple.map(abs, interrupted(), output="iterator"))


def test_without_a_buffersize_all_processes_have_enough_to_do_and_memory_is_bounded() -> None:
    tasks = Drawn()
    values = maniple.map(lambda n: bytes(1 << 20), tasks, output="iterator")
    ahead = [tasks.count - taken for taken, _ in enumerate(itertools.islice(values, 300), 1)]
    assert max(ahead) <= 130
    values.close()


def test_an_iterator_has_each_value_of_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maniple._client.stream.LEG_TASKS", 1000)  # so that several jobs are needed
    tasks = [n % 7 for n in range(25_000)]
    assert list(maniple.map(abs, iter(tasks), output="iterator")) == tasks
    assert list(maniple.map(abs, [], output="iterator")) == []
    assert list(maniple.map(dict, [{"a": {1}}, {"b": (2,)}], output="iterator")) == [{"a": {1}}, {"b": (2,)}]


def picky(n: int) -> int:
    if n == 3:
        raise ValueError("three")
    return n


def test_a_failed_task_is_raised_in_the_place_of_its_value() -> None:
    values = maniple.map(picky, itertools.count(), output="iterator")
    assert list(itertools.islice(values, 3)) == [0, 1, 2]
    with pytest.raises(maniple.TaskFailed, match="3: ValueError: three") as failed:
        next(values)
    assert "picky" in str(failed.value.__cause__) and list(values) == []
    assert list(maniple.map(picky, range(6), output="iterator", on_error="skip")) == [0, 1, 2, 4, 5]
    found = list(maniple.map(picky, range(6), output="iterator", on_error="nan"))
    assert numpy.isnan(found[3]) and found[4:] == [4, 5]


def test_what_drawing_a_task_raises_is_raised_behind_the_values_before_it() -> None:
    def tasks() -> Iterator[Any]:
        yield from range(10)
        raise LookupError("no more")

    values = maniple.map(abs, tasks(), output="iterator")
    assert list(itertools.islice(values, 10)) == list(range(10))
    with pytest.raises(LookupError, match="no more"):
        next(values)
    with pytest.raises(maniple.FunctionError, match="task number 2 cannot be sent"):
        list(maniple.map(abs, [1, 2, threading.Lock()], output="iterator"))


class Unloadable:
    """A function that no other process can load."""

    def __reduce__(self) -> Any:
        return __import__, ("nowhere",)

    def __call__(self, n: int) -> int:
        return n


def test_a_function_that_cannot_be_loaded_is_raised() -> None:
    with pytest.raises(maniple.FunctionError, match="nowhere"):
        next(maniple.map(Unloadable(), [1], output="iterator"))


def test_leaving_the_loop_ends_what_runs(fifo: str) -> None:
    pids = Path(f"{fifo}.pid")

    def slow(n: int) -> int:
        if n:
            pids.write_text(str(os.getpid()))
            open(fifo).read()
        return n

    for value in maniple.map(slow, itertools.count(), output="iterator", processes=2, batch_size=1):
        assert value == 0
        until(lambda: pids.exists() and bool(pids.read_text()))
        break
    gone(int(pids.read_text()))
    assert maniple.map(abs, [-1]) == [1]


def test_the_death_of_the_engine_costs_an_iterator_no_value() -> None:
    ENGINES.end()  # so that there is one
    values = maniple.map(abs, range(3000), output="iterator", buffersize=500)
    found = list(itertools.islice(values, 700))
    for _ in range(3):
        (keeper,) = ENGINES.pids()
        os.kill(keeper, signal.SIGKILL)
        found += list(itertools.islice(values, 600))
    assert found + list(values) == list(range(3000))


def test_threads_have_an_iterator_each() -> None:
    found: dict[int, Any] = {}

    def one(n: int) -> None:
        found[n] = sum(maniple.map(abs, range(n), output="iterator"))

    threads = [threading.Thread(target=one, args=(1000 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1000 * n: sum(range(1000 * n)) for n in range(4)}


def test_with_a_checkpoint_tasks_without_end_are_kept(tmp_path: Path) -> None:
    path, tasks = tmp_path / "f", Drawn()
    values = maniple.map(picky, tasks, output="iterator", checkpoint=path, buffersize=50, on_error="nan", fresh=True)
    found = list(itertools.islice(values, 120))
    assert [n for n in found if n == n] == [n for n in range(120) if n != 3] and tasks.count <= 151
    assert len(maniple.Checkpoint(path)) == 149
    with contextlib.closing(maniple.map(picky, range(4), output="iterator", checkpoint=path)) as again:
        assert list(itertools.islice(again, 3)) == [0, 1, 2]
        with pytest.raises(maniple.TaskFailed, match="three"):
            next(again)


def counted(log: Path) -> Any:
    """A function that notes each of its calls, a line each."""

    def square(n: int) -> int:
        with open(log, "a") as file:
            file.write(f"{n}\n")
        return n * n

    return square


def test_the_first_values_of_a_checkpoint_come_at_once_and_jobs_grow(tmp_path: Path) -> None:
    tasks = Drawn()
    values = maniple.map(abs, tasks, output="iterator", checkpoint=tmp_path / "f", processes=2)
    assert next(values) == 0 and tasks.count <= 9
    ahead = [tasks.count - taken for taken, _ in enumerate(itertools.islice(values, 3000), 2)]
    assert max(ahead) > 500
    values.close()


def test_jobs_have_as_many_tasks_as_suit() -> None:
    pace = Pace(8, 1000)
    sizes = []
    told = [(0.1, 0, 1), (2, 0, 1), (4, 0, 1), (6, 0, 1), (50, 0, 1), (9, 1, 1), (0, 0, 1)]
    for seconds, reading, weight in told:
        pace.took(seconds, reading, weight)
        sizes.append(pace.size)
    assert sizes == [32, 128, 256, 256, 128, 256, 1000]
    pace.took(0, 0, 1 << 20)
    assert pace.size == 64
    pace.took(0, 0, 1 << 30)
    assert pace.size == 8


def test_what_a_checkpoint_has_is_not_computed_again_whatever_is_asked_for(tmp_path: Path) -> None:
    path, log = tmp_path / "f", tmp_path / "log"
    square = counted(log)
    with contextlib.closing(maniple.map(square, itertools.count(), output="iterator", checkpoint=path)) as values:
        first = list(itertools.islice(values, 300))
    kept = len(maniple.Checkpoint(path))
    assert kept >= 300 and len(log.read_text().split()) == kept
    more = kept + 50
    with contextlib.closing(maniple.map(square, itertools.count(), output="iterator", checkpoint=path)) as values:
        assert list(itertools.islice(values, more))[:300] == first
    done = range(len(maniple.Checkpoint(path)))
    expected = [n * n for n in done]
    assert maniple.map(square, done, checkpoint=path) == expected
    assert maniple.map(square, done, checkpoint=path, output="numpy").tolist() == expected
    assert maniple.map(square, iter(done), checkpoint=path, collect=False) is None
    backwards = maniple.map(square, [*reversed(done), 0, 0], checkpoint=path, output="iterator")
    assert list(backwards) == [*reversed(expected), 0, 0]
    assert sorted(map(int, log.read_text().split())) == list(done)


def test_the_death_of_the_engine_costs_a_checkpoint_without_end_no_value(tmp_path: Path) -> None:
    ENGINES.end()  # so that there is one
    path = tmp_path / "f"
    values = maniple.map(abs, itertools.count(), output="iterator", checkpoint=path, fresh=True, buffersize=100)
    found = list(itertools.islice(values, 150))
    for _ in range(2):
        (keeper,) = ENGINES.pids()
        os.kill(keeper, signal.SIGKILL)
        found += list(itertools.islice(values, 150))
    assert found == list(range(450)) and list(tmp_path.glob("f.*.old")) == []
    values.close()


def test_what_is_shared_is_there_for_each_of_the_jobs(tmp_path: Path) -> None:
    def plus(n: int, table: Any) -> int:
        return int(table[0]) + n

    call = {"shared": {"table": numpy.array([5])}, "output": "iterator"}
    kept = {"checkpoint": tmp_path / "f", "buffersize": 10}
    assert list(maniple.map(plus, range(35), **call, **kept)) == list(range(5, 40))  # type: ignore[arg-type]
    assert list(maniple.map(plus, range(35), **call)) == list(range(5, 40))  # type: ignore[arg-type]


def test_tasks_beyond_a_window_are_another_job_on_the_same_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maniple._map.WINDOW", 100)
    path, told = tmp_path / "f", list[maniple.Progress]()
    with pytest.raises(maniple.JobFailed, match="1 of 300 tasks failed"):
        maniple.map(picky, Drawn(300), checkpoint=path, fresh=True, collect=False, progress=told.append)
    assert len(maniple.Checkpoint(path)) == 299
    assert (told[-1].total, told[-1].finished, told[-1].complete) == (300, 300, True)
    assert [now.total for now in told] == sorted(now.total for now in told)


def test_numbers_come_as_an_array() -> None:
    vector = maniple.map(abs, range(5), output="numpy")
    assert vector.dtype == numpy.int64 and vector.tolist() == list(range(5))
    matrix = maniple.map(lambda n: [n, n / 2], range(5), output="numpy")
    assert (matrix.dtype, matrix.shape, matrix[3].tolist()) == (numpy.float64, (5, 2), [3, 1.5])
    assert maniple.map(lambda n: numpy.arange(3) + n, [1, 2], output="numpy").tolist() == [[1, 2, 3], [2, 3, 4]]
    odd = maniple.map(lambda n: "x" * n if n else [n], range(3), output="numpy")
    assert odd.dtype == object and odd.tolist() == [[0], "x", "xx"]
    assert maniple.map(abs, [2**60 + 1, 0.5], output="numpy").dtype == object
    assert maniple.map(abs, [], output="numpy").shape == (0,)


def row(day: int, code: str) -> dict[str, Any]:
    return {"close": day / 2, "name": code.upper()}


PAIRS = [(20240102, "a"), (20240101, "b")]


@pytest.mark.parametrize("output", ["pandas", "polars", "arrow"])
def test_frames_have_the_columns_of_tasks_and_values(output: Any, tmp_path: Path) -> None:
    def rows(found: Any) -> Any:
        return found.to_pylist() if output == "arrow" else found.to_dicts() if output == "polars" else records(found)

    def records(found: Any) -> Any:
        return found.to_dict("records")

    expected = [{"date": day, "code": code, **row(day, code)} for day, code in PAIRS]
    assert rows(maniple.map(row, PAIRS, output=output)) == expected
    assert rows(maniple.map(row, PAIRS, output=output, checkpoint=tmp_path / "f")) == expected
    named = maniple.map(lambda a, b: (a, b), [(1, 2)], output=output, key_columns=["a", "b"], columns=["a", "c"])
    assert rows(named) == [{"a": 1, "b": 2, "a_value": 1, "c": 2}]
    assert rows(maniple.map(dict, [{"x": 1}, {"x": 2}], output=output)) == [
        {"x": 1, "x_value": 1},
        {"x": 2, "x_value": 2},
    ]
    assert rows(maniple.map(abs, [-1], output=output)) == [{"key0": -1, "value": 1}]


def test_values_that_make_no_table_are_not_lost() -> None:
    with pytest.raises(maniple.TableError, match=r"values make no table: the one of 1 has 2 columns, 1 ") as error:
        maniple.map(lambda n: [n] * (n + 1), range(2), output="pandas")
    assert error.value.results == [[0], [1, 1]]
    with pytest.raises(maniple.JobFailed) as failed:
        maniple.map(picky, range(5), output="pandas")
    pd.testing.assert_frame_equal(failed.value.results, pd.DataFrame({"key0": [0, 1, 2, 4], "value": [0, 1, 2, 4]}))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"output": "excel"}, "output='excel' is none of list, iterator, numpy, pandas, polars, arrow"),
        ({"buffersize": 5}, "with output='iterator'"),
        ({"output": "iterator", "buffersize": 0}, "at least 1"),
        ({"output": "numpy", "collect": False, "checkpoint": "f"}, "leave one out"),
        ({"on_error": "ignore"}, "none of raise, skip, nan"),
    ],
)
def test_mistakes_are_told_before_anything_runs(options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        maniple.map(abs, [1], **options)
