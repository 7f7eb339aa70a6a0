"""``maniple.map`` with a real engine: values, failures, checkpoints, and the death of whoever takes part."""

from __future__ import annotations

import datetime
import math
import os
import signal
import textwrap
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from harness import KEPT, SLOW, aside, descendants, gone, kill_engine, until

import maniple
from maniple._client.engine import ENGINES

PATIENCE = 60.0


def test_values_come_in_the_order_of_the_tasks() -> None:
    factor = 7
    assert maniple.map(pow, [(2, 10), (3, 2)]) == [1024, 9]
    assert maniple.map(lambda x: x * factor, range(1000)) == [x * factor for x in range(1000)]
    assert maniple.map(dict, [{"a": 1}, {"b": 2}]) == [{"a": 1}, {"b": 2}]
    assert maniple.map(str, iter([])) == []


def test_a_value_is_what_was_returned() -> None:
    values = [1, -1, 2**70, 1.5, math.inf, "é", b"\0", None, True, (1, [2]), {"a": (1,)}, {1, 2}, 3 + 4j]
    found = maniple.map(lambda at: values[at], range(len(values)))
    assert found == values and [type(value) for value in found or []] == [type(value) for value in values]


def test_equal_tasks_are_computed_once(tmp_path: Path) -> None:
    log = str(tmp_path / "log")

    def noted(x: int) -> int:
        with open(log, "a") as file:
            file.write(f"{x}\n")
        return -x

    assert maniple.map(noted, [3, 1, 3, 3, 2]) == [-3, -1, -3, -3, -2]
    assert sorted(Path(log).read_text().split()) == ["1", "2", "3"]


def picky(x: int) -> float:
    if x == 3:
        raise ValueError("three")
    if x == 5:
        os.kill(os.getpid(), signal.SIGSEGV)
    return x / 2


def test_failed_tasks_are_told_with_their_stories() -> None:
    with pytest.raises(maniple.JobFailed, match=r"2 of 8 tasks failed(.|\n)*3: ValueError: three") as failed:
        maniple.map(picky, range(8), retries=1)
    assert failed.value.results == [0, 0.5, 1, 2, 3, 3.5]
    three, five = failed.value.failures
    assert (three.task, three.cause, three.message, three.attempt) == (3, "ValueError", "three", 1)
    assert "picky" in three.traceback
    assert (five.task, five.cause, five.attempt) == (5, "signal 11 (SIGSEGV)", 2)


def test_failed_tasks_are_left_out_or_nan() -> None:
    assert maniple.map(picky, [1, 3, 2], on_error="skip") == [0.5, 1]
    found = maniple.map(picky, [1, 3, 2], on_error="nan")
    assert found is not None and math.isnan(found[1]) and found[::2] == [0.5, 1]


def test_with_a_checkpoint_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    path, log = tmp_path / "f.checkpoint", str(tmp_path / "log")

    def row(day: int, code: str) -> list[float]:
        with open(log, "a") as file:
            file.write(f"{day}\n")
        return [day / 4, len(code)]

    tasks = [(day, f"{day:06}") for day in range(20)]
    expected = [[day / 4, 6] for day in range(20)]
    assert maniple.map(row, tasks[:15], checkpoint=path, columns=["a", "b"]) == expected[:15]
    assert maniple.map(row, tasks[::-1], checkpoint=path) == expected[::-1]
    assert sorted(map(int, Path(log).read_text().split())) == list(range(20))
    assert maniple.map(row, tasks, checkpoint=path, collect=False) is None
    assert maniple.Checkpoint(path).columns == ["a", "b"]
    assert maniple.map(row, tasks[:1], checkpoint=path, fresh=True) == expected[:1]
    assert len(maniple.Checkpoint(path)) == 1


ODD_TASKS = [
    [([1, 2],), ((1, 2),), {"x": [1]}, {"x": (1,)}, [[[1]]], ({"a": [1]},)],  # a list, where readers see a tuple
    [{"a", "b", "c", str(number)} for number in range(20)],  # copies of which pickle in another order
    [types.SimpleNamespace(n="n")],  # a copy of which pickles otherwise, as the name and the text are not one there
    [(number, [str(number)]) for number in range(3000)],  # enough for columns
    [{"day": number, "codes": [str(number)]} for number in range(3000)],
    [np.arange(2.0) + number for number in range(3000)],
    [pd.Series([1.0, number], index=["a", "b"], name=number) for number in range(600)],
    ["\ud800", 2**70, -0.0, math.nan, b"a", None, datetime.date(2024, 1, 1)],
]


@pytest.mark.parametrize("tasks", ODD_TASKS, ids=range(len(ODD_TASKS)))
def test_reproduces_tasks_whose_values_were_left_out_of_a_checkpoint(tasks: list[Any], tmp_path: Path) -> None:
    def one(*_: Any, **__: Any) -> int:
        return 1

    for output in ("list", "list", "iterator"):
        values = list(maniple.map(one, tasks, checkpoint=tmp_path / "f", output=output))
        assert values == [1] * len(tasks)
    assert len(maniple.Checkpoint(tmp_path / "f")) == len(tasks)


def test_the_checkpoint_of_another_function_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    maniple.map(abs, [1], checkpoint=path)
    with pytest.raises(maniple.CheckpointError, match="builtins:abs"):
        maniple.map(float, [1], checkpoint=path)
    assert maniple.map(float, [1, 2], checkpoint=path, any_work=True) == [1, 2.0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: maniple.map(3, [1]), maniple.FunctionError, "a function is wanted, not 3"),  # type: ignore[arg-type]
        (lambda: maniple.map(threading.Lock().__enter__, [1]), maniple.FunctionError, "does not pickle"),
        (lambda: maniple.map(abs, [1, threading.Lock()]), maniple.FunctionError, "task number 1 cannot be sent"),
        (lambda: maniple.map(abs, [1], processes=0), ValueError, "processes=0: give at least 1"),
        (lambda: maniple.map(abs, [1], timeout=0), ValueError, "timeout=0"),
        (lambda: maniple.map(abs, [1], retries=-1), ValueError, "retries=-1"),
        (lambda: maniple.map(abs, [1], collect=False), ValueError, "checkpoint="),
        (lambda: maniple.map(abs, [1], checkpoint="/nowhere/f"), maniple.ManipleError, "/nowhere"),
    ],
)
def test_a_mistake_is_one_clear_exception(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
    assert maniple.map(abs, [-1]) == [1]


def test_without_an_engine_it_is_said_where_it_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ENGINES.end()
    monkeypatch.setenv("MANIPLE_BINARY", "/nowhere/maniple")
    with pytest.raises(maniple.EngineError, match="/nowhere/maniple"):
        maniple.map(abs, [-1])
    monkeypatch.setenv("MANIPLE_BINARY", "/bin/false")
    with pytest.raises(maniple.EngineError, match="does not answer"):
        maniple.map(abs, [-1])


def test_what_a_task_makes_of_an_exhausted_iterable_of_ours_is_raised() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        maniple.map(abs, tasks())
    assert maniple.map(abs, [-2]) == [2]


def test_each_job_hears_how_far_it_is_itself(fifo: str, tmp_path: Path) -> None:
    heard = threading.Event()
    told: list[maniple.Progress] = []

    def show(progress: maniple.Progress) -> None:
        told.append(progress)
        if progress.done == 3 and progress.busy:
            heard.set()

    def slow(x: int) -> int:
        if x == 3:
            open(fifo).read()
        return x

    call = {"checkpoint": tmp_path / "f", "flush": 0, "batch_size": 1, "processes": 1, "progress": show}
    thread = threading.Thread(target=lambda: maniple.map(slow, range(4), **call))  # type: ignore[arg-type]
    thread.start()
    with open(fifo, "w"):
        assert heard.wait(PATIENCE)
    thread.join(PATIENCE)
    assert (told[-1].done, told[-1].complete) == (4, True)


def test_repeated_calls_leave_no_process_behind() -> None:
    maniple.map(abs, range(10), processes=2)
    (engine,) = ENGINES.pids()
    for _ in range(3):
        maniple.map(abs, range(10), processes=2)
    assert ENGINES.pids() == [engine]
    maniple.map(abs, range(10), processes=1)
    gone(engine)
    below = descendants(ENGINES.pids()[0])
    ENGINES.end()
    for pid in below:
        gone(pid)
    assert [thread.name for thread in threading.enumerate()].count("maniple") == 0


def test_two_threads_share_an_engine() -> None:
    found: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: maniple.map(pow, [(n, 2)])})) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [n * n] for n in range(8)} and len(ENGINES.pids()) == 1


def test_results_of_more_than_the_engine_may_have_on_the_way_all_come(script: Any) -> None:
    caller = script(
        "print(sum(map(len, maniple.map(lambda n: bytes(n), range(4 << 20, (4 << 20) + 40), batch_size=1))))"
    )
    stdout, stderr = caller.communicate(timeout=PATIENCE)
    assert (stdout, stderr) == (f"{sum(range(4 << 20, (4 << 20) + 40))}\n", "")


def test_reproduces_a_module_that_runs_tasks_when_it_is_imported(script: Any, tmp_path: Path) -> None:
    (tmp_path / "eager.py").write_text(
        "import maniple, os\n"
        "def f(x): return x\n"
        "if os.environ.setdefault('EAGER_DEPTH', '0') > '1': os._exit(9)\n"  # or there would be no end of processes
        "os.environ['EAGER_DEPTH'] = str(int(os.environ['EAGER_DEPTH']) + 1)\n"
        "try:\n    print(maniple.map(f, [1]))\n"
        "except maniple.FunctionError as error:\n    print(error)\n"
    )
    stdout, stderr = script("import eager").communicate(timeout=PATIENCE)
    assert "module eager runs tasks when it is imported" in stdout and stderr == ""


def test_reproduces_tasks_of_a_class_of_the_script(script: Any) -> None:
    caller = script(
        """
        import enum, types
        class Side(enum.Enum):
            BUY = 1
        class Order(types.SimpleNamespace):
            pass
        def doubled(order):
            return Order(side=order.side, size=2 * order.size)
        orders = [Order(side=Side.BUY, size=1), Order(side=Side.BUY, size=2), Order(side=Side.BUY, size=1)]
        print(maniple.map(doubled, orders) == [doubled(order) for order in orders])
        print(list(maniple.map(lambda side: side is Side.BUY, [Side.BUY], output="iterator")))
        maniple.kv.set("order", orders[0])
        print(maniple.kv.get("order") == orders[0], maniple.map(lambda n: n * maniple.kv.get("order").size, [3]))
        """
    )
    stdout, stderr = caller.communicate(timeout=PATIENCE)
    assert (stdout, stderr) == ("True\n[True]\nTrue [3]\n", "")


def test_the_death_of_the_engine_costs_no_value(fifo: str, tmp_path: Path) -> None:
    log = str(tmp_path / "log")

    def slow(x: int) -> int:
        with open(log, "a") as file:
            file.write(f"{x}\n")
        if x == 50 and not os.path.exists(f"{fifo}.open"):
            open(fifo).read()  # until it is closed, or this process is killed
        return -x

    call = aside(maniple.map, slow, range(100), processes=1)
    with open(fifo, "w"):
        Path(f"{fifo}.open").touch()
        kill_engine()
    assert call.result(PATIENCE) == [-x for x in range(100)]


@pytest.mark.parametrize("kept", [1, 0])
def test_the_death_of_the_engine_sets_nothing_aside_once_more(fifo: str, tmp_path: Path, kept: int) -> None:
    """`kept`: whether anything of the job is durable when the engine dies."""
    path, log = tmp_path / "f", tmp_path / "log"
    maniple.map(lambda x: x, [1, 2, 3], checkpoint=path)

    def slow(x: int) -> int:
        with open(log, "a") as file:
            file.write(f"{x}\n")
        if x == kept and log.read_text().count(f"{x}\n") == 1:
            open(fifo).read()
        return -x

    call = aside(maniple.map, slow, range(3), checkpoint=path, fresh=True, flush=0, batch_size=1, processes=1)
    with open(fifo, "w"):
        until(lambda: len(maniple.Checkpoint(path)) == kept)
        (keeper,) = ENGINES.pids()
        os.kill(keeper, signal.SIGKILL)
        gone(keeper)
    assert call.result(PATIENCE) == [0, -1, -2]
    assert sorted(log.read_text().split()) == sorted(["0", "1", "2", str(kept)])
    assert len(list(tmp_path.glob("f.*.old"))) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_the_caller_is_the_end_of_all(script: Any, tmp_path: Path, number: signal.Signals) -> None:
    os.mkfifo(tmp_path / "gate")
    caller = script(SLOW + KEPT)
    open(tmp_path / "gate", "w").close()
    below = descendants(caller.pid)
    assert len(below) >= 3
    until(lambda: len(maniple.Checkpoint(tmp_path / "f")) == 20)
    caller.send_signal(number)
    _, stderr = caller.communicate(timeout=PATIENCE)
    for pid in below:
        gone(pid)
    assert len(maniple.Checkpoint(tmp_path / "f")) == 20
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in stderr


def test_a_forked_process_has_an_engine_of_its_own(script: Any) -> None:
    caller = script(
        """
        from maniple._client.engine import ENGINES
        print(maniple.map(abs, [-1]))
        first = ENGINES.pids()
        sys.stdout.flush()
        if os.fork() == 0:
            print(maniple.map(abs, [-2]), ENGINES.pids() != first)
            sys.exit()
        os.wait()
        print(maniple.map(abs, [-3]), ENGINES.pids() == first)
        """
    )
    stdout, stderr = caller.communicate(timeout=PATIENCE)
    assert stdout.splitlines() == ["[1]", "[2] True", "[3] True"], stderr


def test_an_interrupt_ends_the_job_and_not_the_session(script: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    text = """
    try:
        maniple.map(slow, range(100), processes=1, checkpoint="f", flush=0, batch_size=1)
    except KeyboardInterrupt:
        print(maniple.map(abs, range(-20, 0), checkpoint="f", any_work=True)[0], len(maniple.Checkpoint("f")))
    """
    session = script(SLOW + textwrap.dedent(text))
    open(tmp_path / "gate", "w").close()
    until(lambda: len(maniple.Checkpoint(tmp_path / "f")) == 20)
    session.send_signal(signal.SIGINT)
    stdout, stderr = session.communicate(timeout=PATIENCE)
    assert (stdout, stderr) == ("20 40\n", "")
