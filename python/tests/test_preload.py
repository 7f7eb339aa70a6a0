"""Modules that one process of a machine imports, of which the others are copies: shared, replaced, refused, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cluster import LocalCluster
from harness import descendants, gone, memory

import maniple
from maniple import Executor, FunctionError, JobFailed, Pool

HOST = os.uname().nodename
LARGE = """
import os
with open(os.path.join(os.path.dirname(__file__), "imports"), "a") as log:
    print(os.getpid(), file=log)
IMPORTER = os.getpid()
KEPT = [bytes([number]) * (1 << 20) for number in range(64)]
"""

LEAVES = """
import os, subprocess
IMPORTER = os.getpid()
ends = os.pipe()
def leave():
    if pid := os.fork():
        os.write(ends[1], str(pid).encode())
        os._exit(0)
started = subprocess.Popen(["sleep", "1000"], OPTIONS)
LEFT = int(os.read(ends[0], 99)) if "leave" in "OPTIONS" else started.pid
"""


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of 64 MiB that notes by whom it is imported; where it does."""
    (tmp_path / "large.py").write_text(LARGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "imports"


def importers(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()]


def meet(fifo: str) -> list[int]:
    """Of two calls each waits for the other, so they are in two processes."""
    import large  # type: ignore[import-not-found]

    os.close(os.open(fifo, os.O_RDONLY if claim(fifo) else os.O_WRONLY))
    return [os.getpid(), large.IMPORTER]


def claim(fifo: str) -> bool:
    """Whether this is the first of two."""
    try:
        os.mkdir(f"{fifo}.first")
    except FileExistsError:
        return False
    return True


def call(executor: Executor) -> tuple[int, int]:
    """The process that makes a call, and the one that imported the module."""

    def born() -> tuple[int, int]:
        import large

        return os.getpid(), large.IMPORTER

    return executor.submit(born).result()


def test_processes_share_what_one_of_them_imported(large: Path, fifo: str) -> None:
    with Executor(2, preload=["large"]) as executor:
        futures = [executor.submit(meet, fifo) for _ in range(2)]
        (one, importer), (other, also) = (future.result() for future in futures)
        assert len({one, other, importer}) == 3
        assert importers(large) == [importer] == [also]
        together = sum(memory(pid, "Pss") for pid in (one, other, importer))
        assert 64 << 20 < together < 2 * 64 << 20, "three processes have it in memory once"
    gone(importer)
    gone(one)


def test_values_are_the_same_everywhere(large: Path, cluster: LocalCluster) -> None:
    def kept(number: int) -> int:
        import large

        return int(large.KEPT[number][-1])

    def row(day: int, code: str) -> list[float]:
        return [float(kept(day)), len(code)]

    wanted = list(range(20))
    assert maniple.map(kept, wanted, preload=["json", "large"]) == wanted
    with Pool(2, preload=["large"]) as pool:
        assert pool.map(kept, wanted) == wanted
    assert maniple.run_pools(row, [[3, "a"]], preload=["large"], output="list") == [[3, "a", 3.0, 1]]
    queue = maniple.run_pools_queue(row, [[3, "a"]], 2, large.parent / "q", 2, preload=["large"], output="list")
    assert queue == [[3, "a", 3.0, 1]]
    before = len(importers(large))
    with maniple.connect(cluster.access) as connected:
        assert maniple.map(kept, wanted, preload=["large"], engine=connected) == wanted
        assert len(importers(large)) == before + 1


def test_a_module_that_is_sent_along_can_be_preloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maniple._client import function

    (tmp_path / "carried.py").write_text("import os\nIMPORTER = os.getpid()")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(function, "path", list)  # as if it were on another machine

    def born(padding: bytes) -> tuple[int, int]:
        import carried  # type: ignore[import-not-found]

        return os.getpid(), carried.IMPORTER

    for size in (0, 1 << 20):  # the second is mapped
        call = partial(born, os.urandom(size))
        pid, importer = maniple.map(lambda _, call=call: call(), [1], modules=["carried"], preload=["carried"])[0]
        assert pid != importer


def test_a_process_that_is_killed_is_followed_by_another_copy(large: Path) -> None:
    with Executor(1, preload=["large"], max_tasks_per_child=2) as executor:
        child, importer = call(executor)
        os.kill(child, signal.SIGKILL)
        second, also = call(executor)
        assert second != child and also == importer
        call(executor)
        third, also = call(executor)
        assert third != second and also == importer == importers(large)[0]
        with pytest.raises(maniple.TaskFailed, match="exit code 3"):
            executor.submit(os._exit, 3).result()
        assert importers(large) == [importer]


def test_what_a_copy_has_left_ends_with_it(large: Path) -> None:
    def leave() -> tuple[int, int, int]:
        import signal
        import subprocess

        executed = subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
        if not (forked := os.fork()):
            os.setsid()
            signal.pause()
        return os.getpid(), executed, forked

    with Executor(1, preload=["large"]) as executor:
        child, *left = executor.submit(leave).result()
        assert set(left) <= set(descendants(child))
        os.kill(child, signal.SIGKILL)
        for pid in left:
            gone(pid)
        assert call(executor)[1] == importers(large)[0], "the template goes on"


def test_a_template_that_is_killed_is_replaced_once(large: Path, script: Any) -> None:
    program = script(
        """
        import signal
        os.environ["MANIPLE_LOG"] = "warn"
        def born():
            import large
            return os.getpid(), large.IMPORTER
        with maniple.Executor(1, preload=["large"]) as executor:
            for _ in range(3):
                child, importer = executor.submit(born).result()
                print(child != importer, flush=True)
                for pid in {child, importer}:
                    os.kill(pid, signal.SIGKILL)
            print(*executor.submit(born).result())
        """
    )
    out, err = program.communicate()
    *forked, last = out.splitlines()
    assert forked == ["True", "True", "False"] and len(set(last.split())) == 1
    assert err.count("another one follows") == 1 and err.count("each process imports them by itself now") == 1


@pytest.mark.parametrize("victim", ["keeper", "engine"])
def test_nothing_is_left_of_an_engine_that_is_killed(large: Path, script: Any, victim: str) -> None:
    program = script(
        """
        def born():
            import large
            return os.getpid(), large.IMPORTER
        executor = maniple.Executor(1, preload=["large"])
        print(*executor.submit(born).result(), flush=True)
        sys.stdin.read()
        """
    )
    pids = [int(pid) for pid in program.stdout.readline().split()]
    keeper = descendants(program.pid)[0]
    assert set(pids) < set(descendants(keeper))
    os.kill(keeper if victim == "keeper" else descendants(keeper)[0], signal.SIGKILL)
    for pid in pids:
        gone(pid)


def test_a_job_that_ends_takes_its_template_along(large: Path) -> None:
    with Executor(1) as warm:  # so that the engine goes on
        assert warm.submit(abs, -1).result() == 1
        maniple.map(lambda x: __import__("large").IMPORTER, [1], preload=["large"])
        gone(importers(large)[-1])


def submitted(function: Callable[..., Any], tasks: list[Any], preload: list[str]) -> Any:
    with Executor(1, preload=preload) as executor:
        return executor.submit(function, *tasks).result()


@pytest.mark.parametrize("how", ["SIG_IGN", "lambda *_: os.waitpid(-1, os.WNOHANG)"])
def test_reproduces_a_module_by_which_children_are_reaped(tmp_path: Path, monkeypatch: Any, how: str) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "reaps.py").write_text(f"import os\nfrom signal import *\nsignal(SIGCHLD, {how})")
    assert maniple.map(abs, range(-9, 0), preload=["reaps"]) == [*range(9, 0, -1)]


@pytest.mark.parametrize("program", ["start_new_session=True", "start_new_session=True, preexec_fn=leave"])
def test_reproduces_what_an_import_leaves_running(tmp_path: Path, monkeypatch: Any, program: str) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "leaves.py").write_text(LEAVES.replace("OPTIONS", program))

    def left() -> tuple[int, int]:
        import leaves  # type: ignore[import-not-found]

        return leaves.IMPORTER, leaves.LEFT

    with Executor(1) as warm:  # so that the engine goes on
        assert warm.submit(abs, -1).result() == 1
        with Executor(1, preload=["leaves"]) as executor:
            importer, pid = executor.submit(left).result()
            assert executor.submit(left).result() == (importer, pid), "it is there for as long as the job is"
            os.kill(pid, 0)
            os.kill(importer, signal.SIGKILL)
            gone(pid)
            assert executor.submit(left).result() == (importer, pid), "the copy goes on"
        left_by = maniple.map(lambda _: left(), [1], preload=["leaves"])[0]
        gone(left_by[1])


@pytest.mark.parametrize("act", [maniple.map, submitted])
def test_what_cannot_be_preloaded_is_a_mistake(tmp_path: Path, monkeypatch: Any, act: Callable[..., Any]) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_here.py").write_text("1 / 0")
    (tmp_path / "lacks_one.py").write_text("import nowhere_at_all")
    (tmp_path / "exits.py").write_text("raise SystemExit('no')")
    (tmp_path / "runs.py").write_text("import maniple\nmaniple.map(abs, [1])")
    (tmp_path / "spins.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    there = f"on {HOST}"
    for name, why in {
        "nowhere_at_all": f"no module nowhere_at_all {there}, and it is to be preloaded: install it there",
        "lacks_one": f"no module nowhere_at_all {there}, and lacks_one, to be preloaded, needs it: install it there",
        "broken_here": "module broken_here, which is to be preloaded, raised ZeroDivisionError: division by zero on",
        "exits": "module exits called sys.exit('no') when it was imported: put these lines under if __name__",
        "runs": "module runs, which is to be preloaded, raised maniple.errors.EngineError: module runs runs tasks when",
        "spins": f"module spins, which is to be preloaded, leaves 1 thread running {there}, and copies of a",
    }.items():
        with pytest.raises(Exception) as caught:
            act(abs, [1], preload=[name])
        assert why.partition(": install")[0] in str(caught.value)
        if act is maniple.map:
            assert isinstance(caught.value, FunctionError) and why in str(caught.value)


def test_names_are_checked() -> None:
    for wrong, why in (
        (3, "give a list of modules"),
        ("json", "give a list"),
        (b"os", "give"),
        ([3], "3 is neither a module nor"),
    ):
        with pytest.raises(TypeError, match=why):
            maniple.map(abs, [1], preload=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'a b' is neither a module nor the name of one"):
        maniple.map(abs, [1], preload=["a b"])
    assert maniple.map(abs, [-1], preload=[os, "os.path"]) == [1]


def test_limits_hold_in_copies(large: Path) -> None:
    def takes(size: int) -> int:
        import time

        kept = bytearray(size)
        while size == 1:
            time.sleep(0.01)
        return len(kept)

    with pytest.raises(JobFailed, match="out of memory"):
        maniple.map(takes, [0, 1 << 30], memory=300 << 20, preload=["large"], retries=0)
    with pytest.raises(JobFailed, match=r"timeout after 0\.2 s"):
        maniple.map(takes, [0, 1], timeout=0.2, preload=["large"], retries=0)
    assert importers(large)


def test_copies_draw_numbers_of_their_own() -> None:
    def drawn(_: int) -> list[float]:
        import random

        import numpy

        return [random.random(), float(numpy.random.rand()), float(numpy.random.default_rng().random())]

    with Executor(1, preload=["random", "numpy.random"], max_tasks_per_child=1) as executor:
        rows = list(executor.map(drawn, range(3)))
    assert all(len(set(column)) == 3 for column in zip(*rows)), rows


def test_frames_work_in_copies() -> None:
    pytest.importorskip("pandas")

    def mean(n: int) -> float:
        import numpy
        import pandas  # type: ignore[import-untyped]

        frame = pandas.DataFrame({"a": numpy.arange(n, dtype=float), "b": numpy.ones(n)})
        square = frame.to_numpy().T @ frame.to_numpy()
        return float(frame.groupby("b").a.mean().iloc[0]) + 0 * float(square.sum())

    found = maniple.map(mean, [100_001] * 1 + list(range(3, 23, 2)), preload=["pandas"], processes=2, batch_size=1)
    assert found == [50_000.0, *map(float, range(1, 11))]


def test_the_command_line_preloads(large: Path) -> None:
    folder = large.parent
    (folder / "work.py").write_text("import os, large\ndef born(x): return [os.getpid(), large.IMPORTER]")
    command = [os.environ["MANIPLE_BINARY"], "run", "-j", "2", "work:born", "--tasks", "-", "--preload", "json,large"]
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix}
    run = subprocess.run(command, cwd=folder, env=environment, input="1\n2\n3\n", capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert len(importers(large)) == 1 and str(importers(large)[0]) in run.stdout
    bad = subprocess.run(
        [*command[:-1], "nowhere_at_all"], cwd=folder, env=environment, input="1\n", capture_output=True, text=True
    )
    assert bad.returncode == 2 and "no module nowhere_at_all on" in bad.stderr, bad
