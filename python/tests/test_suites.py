"""CPython's own tests of executors and of multiprocessing's pool, with ``maniple.Executor`` and ``maniple.Pool``.

The tests are classes without an executor of their own, to which one is mixed in. Where they name what only the standard
library's executors have, ours stands for it: an error of a broken pool is that of a call whose process died, a script
says `from maniple import`, a context of multiprocessing is taken and has no effect. CANNOT lists what does not pass all
the same; one of these that begins to pass is an error, so the list stays true. `docs/python-suites.md` tells it.
"""

from __future__ import annotations

import gc
import multiprocessing.pool
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from suites import adapted, module, part

import maniple
from maniple._flight import RemoteTraceback

PROCESSES = "looks at private attributes that hold the processes; ours are the engine's"
THREADS = "joins private threads and queues; an executor of ours has none"
ONE_CALL = "wants the executor to break; here what a pickle raises is the exception of its one call"
OUTPUT = "wants what a call prints on our standard output; here it stays in the process, and is told of calls that fail"
LAMBDA = "wants a lambda to be no value; cloudpickle sends it"

CANNOT = {
    "ProcessPoolExecutorTest.test_idle_process_reuse_multiple": PROCESSES,
    "ProcessPoolExecutorTest.test_idle_process_reuse_one": PROCESSES,
    "ProcessPoolExecutorTest.test_killed_child": PROCESSES,
    "ProcessPoolExecutorTest.test_max_tasks_per_child": PROCESSES,
    "ProcessPoolExecutorTest.test_max_tasks_per_child_defaults_to_spawn_context": "asks for the context; there is none",
    "ProcessPoolExecutorTest.test_python_finalization_error": THREADS,
    "ProcessPoolExecutorTest.test_saturation": PROCESSES,
    "ProcessPoolShutdownTest.test_processes_terminate": PROCESSES,
    "ProcessPoolShutdownTest.test_context_manager_shutdown": PROCESSES,
    "ProcessPoolShutdownTest.test_del_shutdown": THREADS,
    "ProcessPoolShutdownTest.test_shutdown_no_wait": THREADS,
    "ProcessPoolShutdownTest.test_interpreter_shutdown": OUTPUT,
    "ProcessPoolShutdownTest.test_hang_gh83386": OUTPUT,
    "ProcessPoolShutdownTest.test_hang_issue39205": OUTPUT,
    "ExecutorDeadlockTest.test_exit_at_task_unpickle": ONE_CALL,
    "ExecutorDeadlockTest.test_error_at_task_unpickle": ONE_CALL,
    "ExecutorDeadlockTest.test_error_during_result_unpickle_in_result_handler": ONE_CALL,
    "ExecutorDeadlockTest.test_exit_during_result_unpickle_in_result_handler": ONE_CALL,
    "ExecutorDeadlockTest.test_shutdown_deadlock_pickle": THREADS,
    "TestPool.test_make_pool": PROCESSES,
    "TestPool.test_resource_warning": "sets a private attribute by which a pool looks as if it ran",
    "TestPoolWorkerErrors.test_unpickleable_result": LAMBDA,
    "TestPoolWorkerLifetime.test_pool_worker_lifetime": PROCESSES,
}
"""What does not pass, and why."""


@pytest.fixture(autouse=True, scope="module")
def little_to_collect() -> Iterator[None]:
    """These tests collect garbage, up to 300 times for each; not all that pytest has imported, then."""
    gc.freeze()
    yield
    gc.unfreeze()


class Executor(maniple.Executor):
    """Ours, that takes a context of multiprocessing as well."""

    def __init__(self, max_workers: int | None = None, *, mp_context: Any = None, **options: Any) -> None:
        super().__init__(max_workers, **options)


class ProcessPoolExecutor(Executor):
    """The same under the name that tests use where they make one by themselves."""


class Pool(maniple.Pool):
    """Ours."""


def in_ours(ok: Callable[..., Any]) -> Callable[..., Any]:
    """`assert_python_ok` for scripts with our executor or pool in the place of another."""

    path = f"import sys; sys.path.insert(0, {str(Path(maniple.__file__).parents[1])!r})\n"

    def run(*args: str, **options: Any) -> Any:
        text = args[-1].replace("from concurrent.futures import Executor", "from maniple import Executor")
        text = text.replace("from multiprocessing import Pool", "from maniple import Pool")
        return ok(*args[:-1], path + text, **options)

    return run


def executor_tests() -> dict[str, type]:
    """The classes of `test_concurrent_futures` that take any executor."""
    package = module("test.test_concurrent_futures")
    if package is None:
        return {}
    parts = ["util", "test_wait", "test_as_completed", "executor", "test_init", "test_process_pool", "test_shutdown"]
    util, wait, completed, plain, init, pool, shutdown = (part(package, name) for name in parts)
    deadlock = part(package, "test_deadlock")
    for home in (pool, deadlock):
        setattr(home, "BrokenProcessPool", maniple.TaskFailed)
    for home in {wait, shutdown}:  # which are one in 3.11
        if script := getattr(home, "assert_python_ok", None):
            setattr(home, "assert_python_ok", in_ours(script))

    class Mixin(util.ExecutorMixin):  # type: ignore[name-defined, misc]
        executor_type = Executor

        def get_context(self) -> Any:
            return multiprocessing.get_context("spawn")

        @pytest.fixture(autouse=True)
        def ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
            monkeypatch.setattr("concurrent.futures.process._RemoteTraceback", RemoteTraceback)
            monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", ProcessPoolExecutor)

    found = [wait.WaitTests, completed.AsCompletedTests, init.InitializerMixin, init.FailingInitializerMixin]
    found += [pool.ProcessPoolExecutorTest, shutdown.ProcessPoolShutdownTest, deadlock.ExecutorDeadlockTest]
    assert issubclass(pool.ProcessPoolExecutorTest, plain.ExecutorTest)
    assert issubclass(shutdown.ProcessPoolShutdownTest, shutdown.ExecutorShutdownTest)
    names = [tests.__name__ for tests in found]
    return {name: adapted(__name__, CANNOT, name, tests, Mixin, util.BaseTestCase) for name, tests in zip(names, found)}


def pool_tests() -> dict[str, type]:
    """The classes of `_test_multiprocessing` about pools."""
    package = module("test._test_multiprocessing")
    if package is None:
        return {}
    script_helper = package.test.support.script_helper

    class Mixin(package.ProcessesMixin):  # type: ignore[name-defined, misc]
        Pool = Pool

        @pytest.fixture(autouse=True)
        def ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
            monkeypatch.setattr("multiprocessing.Pool", Pool)
            monkeypatch.setattr("multiprocessing.pool.RemoteTraceback", RemoteTraceback)
            monkeypatch.setattr(script_helper, "assert_python_ok", in_ours(script_helper.assert_python_ok))

    names = ["TestPool", "TestPoolWorkerErrors", "TestPoolWorkerLifetime"]
    return {
        name: adapted(__name__, CANNOT, name, getattr(package, f"_{name}"), Mixin, unittest.TestCase) for name in names
    }


globals().update(executor_tests(), **pool_tests())
