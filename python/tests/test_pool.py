"""``maniple.Pool``: what multiprocessing.Pool does, as far as it has no processes of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from harness import interrupted

from maniple import Pool, TaskFailed

PATIENCE = 60.0


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2) as made:
        yield made


def square(x: int, *, plus: int = 0) -> int:
    return x * x + plus


def waits(fifo: str) -> None:
    open(fifo).close()


def second(fifo: str) -> int | None:
    return waits(fifo) if fifo else 1  # type: ignore[func-returns-value]


def test_apply_and_map(pool: Pool) -> None:
    assert pool.apply(square, (5,)) == 25 and pool.apply(square, (), {"x": 3, "plus": 1}) == 10
    assert pool.map(square, list(range(100)), chunksize=20) == [x * x for x in range(100)]
    assert pool.map(square, []) == [] and pool.starmap(pow, [(2, 3), (3, 2)]) == [8, 9]
    assert pool.map(lambda x: -x, iter(range(1000))) == [-x for x in range(1000)]
    with pytest.raises(ZeroDivisionError):
        pool.starmap(divmod, [(1, 1), (1, 0)])


def test_callbacks_come_before_the_value(pool: Pool) -> None:
    heard: list[Any] = []
    result = pool.map_async(square, range(5), callback=heard.append, error_callback=heard.append)
    assert result.get(PATIENCE) == [0, 1, 4, 9, 16] == heard[0] and result.successful() and result.ready()
    error = pool.starmap_async(divmod, [(1, 0)], callback=heard.append, error_callback=heard.append)
    error.wait(PATIENCE)
    assert type(heard[1]) is ZeroDivisionError and not error.successful() and len(heard) == 2


def test_waiting_has_a_bound(pool: Pool, fifo: str) -> None:
    late = pool.apply_async(waits, (fifo,))
    with pytest.raises(multiprocessing.TimeoutError):
        late.get(0.01)
    with pytest.raises(ValueError, match="not ready"):
        late.successful()
    open(fifo, "w").close()
    assert late.get(PATIENCE) is None


def test_imap_draws_as_values_are_taken(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maniple._pool.AHEAD", 4)
    drawn: list[int] = []

    def numbers() -> Iterator[int]:
        for at in range(100):
            drawn.append(at)
            yield at

    values = pool.imap(square, numbers())
    assert len(drawn) == 4 and next(values) == 0 and len(drawn) == 5
    assert list(values) == [x * x for x in range(1, 100)]
    assert sorted(pool.imap_unordered(square, range(50), chunksize=7)) == [x * x for x in range(50)]
    with pytest.raises(StopIteration):
        values.next()
    with pytest.raises(ValueError, match="Chunksize"):
        pool.imap(square, [1], 0)


def test_imap_goes_on_behind_an_exception(pool: Pool) -> None:
    values = pool.imap(lambda x: 1 // x, [1, 0, 2])
    assert next(values) == 1
    with pytest.raises(ZeroDivisionError):
        next(values)
    assert next(values) == 0


def test_reproduces_an_interrupt_that_imap_kept_for_the_end(pool: Pool) -> None:
    with pytest.raises(KeyboardInterrupt):
        pool.imap(abs, interrupted())


def test_imap_has_a_timeout_and_takes_what_is_done_first(fifo: str) -> None:
    with Pool(2) as pool:
        values = pool.imap_unordered(second, [fifo, ""])
        assert values.next(PATIENCE) == 1
        with pytest.raises(multiprocessing.TimeoutError):
            values.next(0.01)
        open(fifo, "w").close()
        assert values.next(PATIENCE) is None


def test_a_task_whose_process_dies_fails_alone(pool: Pool) -> None:
    dead = pool.apply_async(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert pool.map(square, range(100)) == [x * x for x in range(100)]
    with pytest.raises(TaskFailed, match="SIGKILL"):
        dead.get(PATIENCE)


def test_close_and_join_wait_for_all() -> None:
    pool = Pool(2)
    result = pool.map_async(square, range(1000))
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    pool.join()
    assert result.ready() and len(result.get()) == 1000
    with pytest.raises(ValueError, match="not running"):
        pool.map(square, [1])


def endless(fifo: str) -> None:
    waits(fifo)
    threading.Event().wait()


def test_terminate_ends_what_runs(fifo: str) -> None:
    pool = Pool(1)
    running: Any = pool.apply_async(endless, (fifo,))
    waiting: Any = pool.map_async(square, range(100), chunksize=1)
    open(fifo, "w").close()
    pool.terminate()
    pool.join()
    for result in (running, waiting):
        with pytest.raises(Exception, match=r"at once|stopped|cancel"):
            result.get(PATIENCE)


def test_the_initializer_runs_in_each_process() -> None:
    def begin(value: str) -> None:
        os.environ["MANIPLE_TEST_POOL"] = value

    with Pool(2, begin, ["x"]) as pool:
        assert set(pool.map(lambda _: os.environ.get("MANIPLE_TEST_POOL"), range(50))) == {"x"}


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Pool(0)
