"""``maniple.Executor``: what concurrent.futures promises, and that a process which dies costs one call."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, BrokenExecutor, Future, as_completed, wait
from concurrent.futures import TimeoutError as FuturesTimeoutError
from pathlib import Path
from typing import Any

import numpy
import pytest
from harness import gone, kill_engine, until

import maniple
from maniple import Executor, TaskFailed
from maniple._client.engine import ENGINES

PATIENCE = 60.0


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(2) as made:
        yield made


def waits(fifo: str) -> None:
    open(fifo).close()


def raises(text: str) -> None:
    raise LookupError(text)


def test_calls_have_values(executor: Executor) -> None:
    assert executor.submit(pow, 2, 10).result(PATIENCE) == 1024
    assert executor.submit(dict, a=1, b=(2,)).result(PATIENCE) == {"a": 1, "b": (2,)}
    assert executor.submit(dict, fn=1, self=2).result(PATIENCE) == {"fn": 1, "self": 2}


def test_ten_thousand_closures(executor: Executor) -> None:
    futures = [executor.submit(lambda at=at: (at, -at)) for at in range(10_000)]
    assert [future.result(PATIENCE) for future in futures] == [(at, -at) for at in range(10_000)]


def test_map_is_lazy_in_order_and_chunked(executor: Executor) -> None:
    assert list(executor.map(pow, range(100), range(100))) == [at**at for at in range(100)]
    assert list(executor.map(abs, range(-1000, 0), chunksize=77)) == list(range(1000, 0, -1))
    drawn: list[int] = []

    def numbers() -> Iterator[int]:
        for at in range(100):
            drawn.append(at)
            yield at

    found = executor.map(str, numbers(), buffersize=3)
    assert len(drawn) == 3 and next(found) == "0" and len(drawn) == 4
    assert list(found) == [str(at) for at in range(1, 100)]
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(abs, [1], chunksize=0)
    with pytest.raises(ValueError, match="buffersize"):
        executor.map(abs, [1], buffersize=0)


def test_map_raises_where_a_call_did(executor: Executor) -> None:
    found = executor.map(divmod, [1, 1, 1], [1, 0, 1])
    assert next(found) == (1, 0)
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_map_has_a_timeout(executor: Executor, fifo: str) -> None:
    with pytest.raises(FuturesTimeoutError):  # the builtin one from Python 3.11 on
        list(executor.map(waits, [fifo], timeout=0.01))
    open(fifo, "w").close()


def test_exceptions_keep_their_type_and_their_traceback(executor: Executor) -> None:
    error = executor.submit(raises, "lost").exception(PATIENCE)
    assert type(error) is LookupError and error.args == ("lost",)
    assert "in raises" in str(error.__cause__)

    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one + two)

    with pytest.raises(RuntimeError, match="Odd: 3"):
        executor.submit(lambda: (_ for _ in ()).throw(Odd(1, 2))).result(PATIENCE)


def test_values_come_back_as_they_are(executor: Executor) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    found = executor.submit(lambda: (Point(2), numpy.float64(1.5), [numpy.int32(3)])).result(PATIENCE)
    assert type(found[0]) is Point and found[0].x == 2
    assert [type(value) for value in (found[1], found[2][0])] == [numpy.float64, numpy.int32]


def test_the_managers_of_multiprocessing_know_the_processes(executor: Executor) -> None:
    with multiprocessing.get_context("spawn").Manager() as manager:
        event = manager.Event()
        executor.submit(event.set).result(PATIENCE)
        assert event.is_set()


def test_what_does_not_pickle_is_the_trouble_of_one_call(executor: Executor) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="pickle"):
        executor.submit(id, lock).result(PATIENCE)
    with pytest.raises(TypeError, match="pickle"):
        executor.submit(threading.Lock).result(PATIENCE)
    assert executor.submit(abs, -1).result(PATIENCE) == 1


def test_a_process_that_dies_costs_one_call() -> None:
    with Executor(2, retries=1) as executor:
        futures = [executor.submit(abs, -at) for at in range(50)]
        dead = executor.submit(os._exit, 7)
        futures += [executor.submit(abs, -at) for at in range(50, 100)]
        with pytest.raises(TaskFailed, match="exit code 7") as failed:
            dead.result(PATIENCE)
        assert failed.value.failure.attempt == 2
        assert [future.result(PATIENCE) for future in futures] == list(range(100))


def test_a_call_that_takes_too_long_fails_alone(fifo: str) -> None:
    with Executor(1, timeout=0.2) as executor:
        late, soon = executor.submit(waits, fifo), executor.submit(abs, -1)
        with pytest.raises(TaskFailed, match="timeout"):
            late.result(PATIENCE)
        assert soon.result(PATIENCE) == 1


def test_pending_calls_can_be_cancelled(fifo: str) -> None:
    with Executor(1) as executor:
        running = executor.submit(waits, fifo)
        others = [executor.submit(abs, -at) for at in range(100)]
        assert others[-1].cancel() and others[-1].cancelled()
        open(fifo, "w").close()
        assert running.result(PATIENCE) is None
        done, _ = wait(others, PATIENCE, ALL_COMPLETED)
        assert len(done) == 100


def test_shutdown_waits_or_cancels(fifo: str) -> None:
    executor = Executor(1)
    running = executor.submit(waits, fifo)
    others = [executor.submit(abs, -at) for at in range(100)]
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)
    assert others[-1].cancelled()
    open(fifo, "w").close()
    executor.shutdown()
    assert running.done() and all(future.done() for future in others)


def test_waiting_works_as_with_any_executor(executor: Executor, fifo: str) -> None:
    futures = [executor.submit(abs, -at) for at in range(20)]
    assert sorted(future.result() for future in as_completed(futures, PATIENCE)) == list(range(20))
    late, bad = executor.submit(waits, fifo), executor.submit(raises, "x")
    done, left = wait([late, bad], PATIENCE, FIRST_EXCEPTION)
    assert (done, left) == ({bad}, {late})
    open(fifo, "w").close()
    heard: list[Any] = []
    told = threading.Event()

    def hear(future: Future[int]) -> None:
        heard.append(future.result())
        told.set()

    executor.submit(abs, -7).add_done_callback(hear)
    assert told.wait(PATIENCE) and heard == [7]

    async def run() -> Any:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*[loop.run_in_executor(executor, abs, -at) for at in range(5)])

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_the_initializer_runs_once_a_process() -> None:
    def begin(value: int) -> None:
        sys.maniple_test = getattr(sys, "maniple_test", 0) + value  # type: ignore[attr-defined]

    with Executor(2, initializer=begin, initargs=(5,)) as executor:
        assert set(executor.map(lambda _: sys.maniple_test, range(100))) == {5}  # type: ignore[attr-defined]
    with Executor(1, initializer=raises, initargs=("no",)) as executor:
        with pytest.raises(BrokenExecutor, match="LookupError: no"):
            executor.submit(abs, 1).result(PATIENCE)
        with pytest.raises(BrokenExecutor, match="LookupError: no"):
            executor.submit(abs, 1)


def test_processes_are_replaced_after_so_many_calls() -> None:
    with Executor(1, max_tasks_per_child=3, retries=0) as executor:
        pids = [executor.submit(os.getpid).result(PATIENCE) for _ in range(7)]
        assert [len(set(pids[at : at + 3])) for at in (0, 3)] == [1, 1] and len(set(pids)) == 3
        waiting = [executor.submit(os.getpid) for _ in range(8)]  # all at once: nobody has more than its share
        assert max(Counter(future.result(PATIENCE) for future in waiting).values()) <= 3


def test_arguments_are_checked() -> None:
    with pytest.raises(TypeError, match="max_tasks_per_child"):
        Executor(max_tasks_per_child="3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_tasks_per_child"):
        Executor(max_tasks_per_child=0)
    with pytest.raises(ValueError, match="max_workers"):
        Executor(0)
    with pytest.raises(TypeError, match="initializer"):
        Executor(initializer=3)  # type: ignore[arg-type]


def test_jobs_are_followed_by_others_before_they_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maniple._flight.JOB_CALLS", 10)
    with Executor(2) as executor:
        futures = [executor.submit(abs, -at) for at in range(100)]
        assert [future.result(PATIENCE) for future in futures] == list(range(100))


def test_the_death_of_the_engine_costs_no_call(tmp_path: Path) -> None:
    gates = [str(tmp_path / name) for name in ("first", "second")]
    for gate in gates:
        os.mkfifo(gate)

    def gated(mark: str) -> str:
        begun = os.path.exists(mark)
        open(mark, "w").close()
        open(gates[begun]).read()
        return mark

    with Executor(1) as executor:
        held = executor.submit(gated, str(tmp_path / "mark"))
        others = [executor.submit(abs, -at) for at in range(50)]
        with open(gates[0], "w"):
            for pid in ENGINES.pids():
                os.kill(pid, signal.SIGKILL)
                gone(pid)
        open(gates[1], "w").close()
        assert held.result(PATIENCE) == str(tmp_path / "mark")
        assert [future.result(PATIENCE) for future in others] == list(range(50))


@pytest.mark.parametrize("ending", ["", "\nexecutor.shutdown(wait=False)"])
def test_calls_are_made_before_the_interpreter_ends(tmp_path: Path, ending: str) -> None:
    text = "import maniple, pathlib\nexecutor = maniple.Executor(1)\nexecutor.submit(pathlib.Path('made').touch)"
    subprocess.run([sys.executable, "-c", text + ending], cwd=tmp_path, check=True, timeout=PATIENCE)
    assert (tmp_path / "made").exists()


def test_a_forgotten_executor_ends_its_job() -> None:
    executor = Executor(1)
    future = executor.submit(abs, -1)
    assert future.result(PATIENCE) == 1
    flight, ended = executor._flight, threading.Event()
    assert flight is not None
    hear = flight.hear

    def listen(name: str, fields: Any, payload: Any) -> None:
        hear(name, fields, payload)
        if name == "Finished":
            ended.set()

    flight.hear = listen  # type: ignore[method-assign]
    del executor, future
    with Executor(1) as other:  # whose talk wakes the thread of the connection
        assert other.submit(abs, -2).result(PATIENCE) == 2
    assert ended.wait(PATIENCE)


WAITS: dict[str, Any] = {
    "map": lambda executor: maniple.map(abs, [1], processes=2),
    "iterator": lambda executor: list(maniple.map(abs, [1], processes=2, output="iterator")),
    "Executor.map": lambda executor: list(executor.map(abs, [1])),
    "shutdown": lambda executor: executor.shutdown(),
}


@pytest.mark.parametrize("act", WAITS.values(), ids=WAITS)
def test_reproduces_a_callback_that_waited_for_itself(act: Any, fifo: str) -> None:
    heard: queue.Queue[BaseException | None] = queue.Queue()

    def callback(future: Future[Any]) -> None:
        try:
            act(executor)
        except RuntimeError as error:
            heard.put(error)

    with maniple.Executor(2) as executor:
        executor.submit(lambda: open(fifo).close()).add_done_callback(callback)
        open(fifo, "w").close()
        assert "callback of a future" in str(heard.get(timeout=60))
    assert maniple.map(abs, [-1], processes=2) == [1]


def test_reproduces_an_engine_that_died_just_before_it_got_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    true_take, deaths = ENGINES.take, iter([True])

    def take(*options: Any) -> Any:
        connection = true_take(*options)
        if next(deaths, False):
            kill_engine()
            until(lambda: connection.is_lost)
        return connection

    monkeypatch.setattr(ENGINES, "take", take)
    executor = Executor(1)
    assert executor.submit(abs, -1).result(PATIENCE) == 1
    ended = threading.Thread(target=executor.shutdown, daemon=True)
    ended.start()
    ended.join(PATIENCE)
    assert not ended.is_alive()


INTERRUPTS = {
    "goes on": ("wait()", -signal.SIGINT, "KeyboardInterrupt"),
    "is replaced": (
        """
            try:
                wait()
            except KeyboardInterrupt:
                raise RuntimeError("cannot release un-acquired lock")  # as threading.Condition does at a bad moment
        """,
        1,
        "cannot release un-acquired lock",
    ),
}


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize(("waits", "code", "last"), INTERRUPTS.values(), ids=INTERRUPTS)
def test_reproduces_an_interrupt_after_which_all_calls_were_made(
    script: Any, tmp_path: Path, waits: str, code: int, last: str, block: bool
) -> None:
    os.mkfifo(tmp_path / "fifo")
    caller = script(
        f"""
        import contextlib, time

        def wait():
            print("begun", flush=True)
            while True:  # a pause would not notice an interrupt that comes just before it
                time.sleep(0.1)

        executor = maniple.Executor(1)
        with executor if {block} else contextlib.nullcontext():
            executor.submit(lambda: open("fifo").close())
            executor.submit(lambda: open("made", "w").close())
            open("fifo", "w")  # it runs now; its end waits for another one
            executor.submit(lambda: open("fifo").close())
            {waits}
        """
    )
    assert caller.stdout.readline() == "begun\n"
    caller.send_signal(signal.SIGINT)
    _, stderr = caller.communicate(timeout=60)
    assert caller.returncode == code and stderr.rstrip().endswith(last)
