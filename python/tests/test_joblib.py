"""joblib over Maniple: what scikit-learn computes, what processes see, and how all of it ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy
import pytest
from joblib import Parallel, delayed, parallel_config

import maniple

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def ours() -> Iterator[None]:
    """Our backend, two calls at a time."""
    maniple.register_joblib()
    with parallel_config(backend="maniple", n_jobs=2):
        yield


def pid_and_square(number: int) -> tuple[int, int]:
    return os.getpid(), number * number


def computed(backend: str) -> tuple[Any, Any, Any]:
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score

    x, y = make_classification(n_samples=300, n_features=8, random_state=3)
    with parallel_config(backend=backend, n_jobs=2):
        scores = cross_val_score(RandomForestClassifier(n_estimators=20, random_state=1), x, y, cv=4)
        search = GridSearchCV(LogisticRegression(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=3).fit(x, y)
        forest = RandomForestClassifier(n_estimators=20, random_state=1).fit(x, y)
    return scores, search, forest.predict_proba(x)


def test_scikit_learn_computes_the_same_as_with_loky() -> None:
    pytest.importorskip("sklearn")
    scores, search, forest = computed("maniple")
    scores_of_loky, search_of_loky, forest_of_loky = computed("loky")
    numpy.testing.assert_array_equal(scores, scores_of_loky)
    numpy.testing.assert_array_equal(forest, forest_of_loky)
    assert search.best_params_ == search_of_loky.best_params_
    numpy.testing.assert_array_equal(search.best_estimator_.coef_, search_of_loky.best_estimator_.coef_)
    results, expected = search.cv_results_, search_of_loky.cv_results_
    assert results.keys() == expected.keys()
    for name in results:
        if "time" not in name:
            numpy.testing.assert_array_equal(results[name], expected[name])


def test_processes_are_others_and_are_used_again() -> None:
    first, second = (Parallel()(delayed(pid_and_square)(n) for n in range(8)) for _ in range(2))
    assert [value for _, value in first] == [n * n for n in range(8)]
    pids = {pid for pid, _ in first + second}
    assert os.getpid() not in pids and len(pids) <= 2


@pytest.mark.parametrize("return_as", ["generator", "generator_unordered"])
def test_values_come_as_they_are_ready(return_as: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    work = [delayed(gate.read_text)()] + [delayed(abs)(-n) for n in (1, 2, 3)]
    values = Parallel(return_as=return_as, batch_size=1, pre_dispatch="all")(work)
    if return_as == "generator_unordered":
        assert sorted(next(values) for _ in range(3)) == [1, 2, 3]
    gate.write_text("open")
    assert "open" in list(values)


def test_an_exception_keeps_its_type_and_its_story() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        Parallel()(delayed(divmod)(1, n) for n in (1, 0))
    assert "divmod" in str(caught.value.__cause__) or "ZeroDivisionError" in str(caught.value.__cause__)
    assert Parallel()(delayed(abs)(n) for n in (-1, -2)) == [1, 2]


def test_a_call_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.2)([delayed(gate.read_text)(), delayed(abs)(-1)])
    assert Parallel()(delayed(abs)(n) for n in (-1, -2)) == [1, 2]


def dies_once(path: Path) -> str:
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def test_a_killed_process_costs_no_value(tmp_path: Path) -> None:
    assert Parallel()([delayed(dies_once)(tmp_path / "once"), delayed(abs)(-1)]) == ["alive", 1]


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_call_that_kills_its_process_is_told_by_its_name() -> None:
    with parallel_config(backend="maniple", n_jobs=2, retries=0), pytest.raises(maniple.TaskFailed, match="dies"):
        Parallel()([delayed(dies)(), delayed(abs)(-1)])


def nested() -> tuple[list[int], str]:
    with parallel_config(backend="maniple", n_jobs=2):
        chosen = joblib.parallel.get_active_backend()[0].effective_n_jobs(2)
        pids = Parallel()(delayed(os.getpid)() for _ in range(4))
    return [*pids, os.getpid()], str(chosen)


def test_inner_calls_stay_in_their_process() -> None:
    for pids, number in Parallel()(delayed(nested)() for _ in range(3)):
        assert len(set(pids)) == 1 and number == "1"
    inner = Parallel()(delayed(lambda: type(joblib.parallel.get_active_backend()[0]).__name__)() for _ in range(2))
    assert set(inner) == {"ThreadingBackend"}


def seen(array: Any) -> tuple[str, int, float]:
    return type(array).__name__, os.stat(array.filename).st_ino if hasattr(array, "filename") else 0, float(array[-1])


def test_a_large_array_is_mapped_by_all_processes() -> None:
    array = numpy.arange(500_000, dtype="f8")
    found = Parallel(max_nbytes="1M", batch_size=1)(delayed(seen)(array) for _ in range(6))
    assert {kind for kind, _, _ in found} == {"memmap"} and len({file for _, file, _ in found}) == 1
    small = Parallel(max_nbytes=None)(delayed(seen)(array) for _ in range(2))
    assert {kind for kind, _, _ in small} == {"ndarray"}
    (copy,) = Parallel(max_nbytes=1)([delayed(numpy.asanyarray)(array)])
    assert type(copy) is numpy.ndarray and numpy.array_equal(copy, array)


def test_an_array_of_another_process_is_not_taken_for_ours() -> None:
    from maniple.joblib import MappedFile, mapped

    file = MappedFile(numpy.arange(3))
    assert mapped(file.path, file.name, "r").tolist() == [0, 1, 2]
    for path, name in ((file.path, "maniple-array-other"), ("/proc/self/fd/none", file.name)):
        with pytest.raises(FileNotFoundError, match="max_nbytes=None"):
            mapped(path, name, "r")


def open_arrays() -> int:
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one of this listing
            found += "maniple-array" in os.readlink(link)
    return found


def test_files_of_arrays_are_closed() -> None:
    Parallel(max_nbytes=1, batch_size=1)(delayed(numpy.sum)(numpy.ones(9)) for _ in range(50))
    assert open_arrays() == 0


def test_options_are_checked_by_name() -> None:
    with (
        pytest.raises(TypeError, match="no option 'walltime'"),
        parallel_config(backend="maniple", n_jobs=2, walltime=3),
    ):
        Parallel()(delayed(abs)(n) for n in (1, 2))
    with pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0)(delayed(abs)(n) for n in (1, 2))


def test_importing_maniple_leaves_joblib_alone() -> None:
    text = "import sys, maniple; maniple.Executor; from maniple import *; assert 'joblib' not in sys.modules"
    subprocess.run([sys.executable, "-c", text], check=True, timeout=PATIENCE)


INTERRUPTED = """
import os, sys, joblib, maniple
maniple.register_joblib()
def wait(path):
    with open(path, "w") as file:
        file.write(f"{os.getpid()}\\n")
    import threading
    threading.Event().wait()
try:
    joblib.Parallel(2, backend="maniple")(joblib.delayed(wait)(path) for path in sys.argv[1:])
except KeyboardInterrupt:
    print("interrupted", joblib.Parallel(2, backend="maniple")(joblib.delayed(abs)(n) for n in (-1, -2)))
"""


def test_one_interrupt_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    pipes = [tmp_path / "a", tmp_path / "b"]
    for pipe in pipes:
        os.mkfifo(pipe)
    command = [sys.executable, "-c", INTERRUPTED, *map(str, pipes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as script:
        ends = [os.pidfd_open(int(pipe.read_text())) for pipe in pipes]
        script.send_signal(signal.SIGINT)
        out, _ = script.communicate(timeout=PATIENCE)
    assert (script.returncode, out) == (0, "interrupted [1, 2]\n")
    for end in ends:
        assert select.select([end], [], [], PATIENCE)[0], "a process was left behind"
        os.close(end)
