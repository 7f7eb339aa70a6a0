"""``maniple.kv``: values that callers and tasks share, what is refused, and what becomes of them with their engine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import numpy as np
import pytest
from conftest import Start
from harness import gone, until

import maniple
from maniple import kv
from maniple._client.ask import ask
from maniple._client.engine import ENGINES


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    yield
    for key in kv.items():
        kv.delete(key)


def mapped(function: Callable[[Any], Any], *tasks: Any) -> list[Any]:
    results: list[Any] = maniple.map(function, tasks)
    return results


def test_a_value_comes_back_as_it_was_given() -> None:
    for key in list(kv.items()):  # of tests before this one, whose engine has handed them over
        kv.delete(key)
    values = [None, True, 1, -(2**70), 1.5, "ä", b"\0", [1, [2]], {"a": 1, 2: "b"}, (1, (2,)), {3}, "x" * 70_000]
    for value in values:
        kv.set("key", value)
        assert kv.get("key") == value and type(kv.get("key")) is type(value)
    kv.set("array", np.arange(6.0).reshape(2, 3))
    assert kv.get("array").tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    kv.set("", lambda x: x + len(values))
    assert kv.get("")(1) == 1 + len(values)
    assert list(kv.items()) == ["", "array", "key"]
    assert kv.delete("key") and not kv.delete("key")
    assert kv.get("key") is None and kv.get("key", 7) == 7


def test_of_many_who_add_none_is_lost() -> None:
    def add(number: int) -> int:
        kv.incr("tasks")
        return kv.incr("sum", number)

    def subtract() -> None:
        for _ in range(100):
            kv.incr("sum", -1)

    threads = [threading.Thread(target=subtract) for _ in range(4)]
    for thread in threads:
        thread.start()
    # Each time the engine is replaced, and they move.
    for processes in (2, 3, 2):
        maniple.map(add, range(1000), processes=processes)
    for thread in threads:
        thread.join()
    assert kv.items() == {"sum": 3 * sum(range(1000)) - 400, "tasks": 3000}


def test_tasks_and_callers_see_the_same() -> None:
    kv.set("table", {"000001": (1, 2)})

    def task(code: str) -> Any:
        kv.set(f"seen {code}", os.getpid())
        return kv.get("table").get(code), kv.get("none", "default"), kv.delete("none"), sorted(kv.items())

    (answer,) = mapped(task, "000001")
    assert answer == ((1, 2), "default", False, ["seen 000001", "table"])
    assert kv.get("seen 000001") not in (None, os.getpid())


def test_what_cannot_be_is_refused_everywhere() -> None:
    def fill() -> None:
        for part in range(9):
            kv.set(f"part {part}", bytes(4_000_000))

    def mistakes(_: int) -> list[str]:
        told = []
        for key in kv.items():
            kv.delete(key)
        kv.set("text", "x")
        tries: list[Any] = [
            lambda: kv.set("large", bytes(5 << 20)),
            lambda: kv.set("k" * 1025, 1),
            lambda: kv.set("\ud800", 1),
            lambda: kv.get(1),  # type: ignore[arg-type]
            lambda: kv.set("x", threading.Lock()),
            lambda: kv.incr("text"),
            lambda: kv.incr("n", 1.5),  # type: ignore[arg-type]
            lambda: kv.incr("n", 1 << 63),
            lambda: (kv.incr("max", (1 << 63) - 1), kv.incr("max")),
            fill,
        ]
        for attempt in tries:
            try:
                attempt()
            except Exception as error:
                told.append(f"{type(error).__name__}: {error}")
        return told

    expected = [
        "ValueError: the value of 'large' takes 5242885 bytes, which is too large: at most 4194304",
        "ValueError: a key of 1025 bytes is too long: at most 1024",
        "ValueError: key='\\ud800' cannot be sent",
        "TypeError: key=1: give a text",
        "TypeError: the value of 'x' holds a _thread.lock: TypeError: cannot pickle",
        'ValueError: the value of "text" is no integer of 64 bits, so nothing can be added',
        "TypeError: by=1.5: give an integer",
        "ValueError: by=9223372036854775808 is no integer of 64 bits",
        "ValueError: 9223372036854775807 + 1 is no integer of 64 bits any more",
        'ValueError: no room for the value of "part 8": all key-values together would take 36000',
    ]
    for told in (mistakes(0), mapped(mistakes, 0)[0]):
        assert [line[: len(start)] for line, start in zip(told, expected)] == expected
        assert "may take 33554432; delete some" in told[-1]
        assert "n" not in kv.items()


def test_only_the_tasks_own_thread_may_ask() -> None:
    def task(_: int) -> list[str]:
        told: list[str] = []

        def attempt() -> None:
            try:
                kv.get("x")
            except RuntimeError as error:
                told.append(str(error))

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        with multiprocessing.get_context("fork").Pool(1) as pool:
            told.append(pool.apply(asks_in_a_fork))
        return [*told, kv.get("x", "fine")]

    (told,) = mapped(task, 0)
    refusal = "only the thread that a task runs in can ask for key-values, not what it has started"
    assert told == [refusal, refusal, "fine"]


def asks_in_a_fork() -> str:
    try:
        return str(kv.get("x"))
    except RuntimeError as error:
        return str(error)


def test_a_callback_is_told_that_it_cannot_wait() -> None:
    told: list[BaseException] = []
    done = threading.Event()

    def callback(_: Any) -> None:
        try:
            kv.get("x")
        except RuntimeError as error:
            told.append(error)
        done.set()

    with maniple.Executor(1) as executor:
        executor.submit(abs, -1).add_done_callback(callback)
        assert done.wait(60)
    # A callback of a future that was done already is called by who adds it, and may ask.
    assert all("have another thread do it" in str(error) for error in told)


def test_an_engine_that_takes_anothers_place_takes_over() -> None:
    assert maniple.map(abs, [-1], processes=2) == [1]
    kv.set("kept", [1])
    pids = ENGINES.pids()
    assert maniple.map(lambda _: kv.get("kept"), [0], processes=3) == [[1]]
    assert ENGINES.pids() != pids and kv.get("kept") == [1]


def test_who_asks_an_engine_that_is_replaced_is_answered() -> None:
    assert maniple.map(abs, [-1], processes=2) == [1]
    kv.set("kept", 1)
    with ENGINES.asking() as old:
        thread = threading.Thread(target=maniple.map, args=[abs, [-2]], kwargs={"processes": 3})
        thread.start()
        until(lambda: ENGINES._home is not old)
        assert ask(old, {"Get": "kept"})[0] == "Elsewhere"
    thread.join()
    assert old.is_lost and kv.get("kept") == 1


def test_tasks_of_another_engine_are_told() -> None:
    kv.set("here", 1)

    def task(_: int) -> Any:
        try:
            return kv.get("here")
        except maniple.EngineError as error:
            return str(error)

    with maniple.Executor(1) as one, maniple.Executor(2) as two:
        assert one.submit(task, 0).result() == 1
        assert "another engine of this program has the key-values" in two.submit(task, 0).result()
    assert maniple.map(task, [0], processes=2) == [1], "it takes over when the other ends"


def test_they_die_with_their_engine() -> None:
    kv.set("lost", 1)
    for pid in ENGINES.pids():
        os.kill(pid, signal.SIGKILL)
        gone(pid)
    try:
        assert kv.get("lost") is None
    except maniple.EngineError as error:  # it was asked before its death was heard of
        assert "was lost before it answered" in str(error)
        assert kv.get("lost") is None


def test_there_is_one_wherever_it_goes() -> None:
    assert pickle.loads(pickle.dumps(kv)) is kv
    assert cloudpickle.loads(cloudpickle.dumps(lambda: kv))() is kv


def test_a_run_that_comes_before_an_answer_is_kept(start: Start) -> None:
    node = start("incr_of")
    told = 0

    def asked() -> Any:
        nonlocal told
        while (said := node.receive())[0] == "Ran":
            told += said[1]["count"]
        return said[:2]

    first, second = node.begin(["a", "b"]), None
    for number, key in enumerate("ab"):
        assert asked() == ("Ask", {"Incr": {"key": key, "by": 1}})
        if second is None:
            second = node.begin(["c"])
        node.send({"Answered": "Done"}, bytes([number + 7]))
    assert list(node.collect(first[told:]).values.values()) == [7, 8][told:]
    assert node.receive()[:2] == ("Ask", {"Incr": {"key": "c", "by": 1}})
    node.send({"Answered": "Lost"})
    assert second is not None
    (failure,) = node.collect(second).failures.values()
    assert failure["type_name"] == "maniple.errors.EngineError" and "lost before it answered" in failure["message"]


def test_a_handler_that_raises_tears_no_frame(start: Start) -> None:
    node = start("incr_with_alarm")
    run = node.begin(["a"])
    assert node.receive()[0] == "Ask"
    os.kill(node.process.pid, signal.SIGALRM)
    node.send({"Answered": "Done"}, b"\x07")
    (failure,) = node.collect(run).failures.values()
    assert failure["message"] == "alarm"
    run = node.begin(["b"])
    assert node.receive()[0] == "Ask"
    node.send({"Answered": "Done"}, b"\x08")
    assert list(node.collect(run).values.values()) == [8]
