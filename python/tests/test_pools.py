"""``run_pools``: rows of what was asked for, in the order asked, the same with and without resume; and its monitors."""

from __future__ import annotations

import datetime
import math
import os
from pathlib import Path
from typing import Any

import numpy
import pandas as pd  # type: ignore[import-untyped]
import pytest

import maniple
import maniple as rust_pyfunc
from maniple import Checkpoint, CheckpointError, JobFailed
from maniple._client.engine import ENGINES
from maniple._pools import MONITORS

ARGS: list[list[Any]] = [[20240101 + at, f"{at:06}"] for at in range(10)]


def row(date: int, code: str) -> list[float]:
    return [date * 1.0, len(code), date + len(code)]


def expected(args: list[list[Any]]) -> list[list[Any]]:
    return [[date, code, *row(date, code)] for date, code in args]


@pytest.fixture(autouse=True)
def no_monitors() -> None:
    MONITORS.clear()


def test_the_call_that_users_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ENGINES.end()
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"num_threads": 4, "backup_file": "./backup.bin", "storage_format": "binary"}
    first = rust_pyfunc.run_pools(row, ARGS, resume_from_backup=False, **options)
    engines = ENGINES.pids()
    second = rust_pyfunc.run_pools(row, ARGS[:5], resume_from_backup=True, **options)
    assert (first.shape, first.dtype, first.tolist()) == ((10, 5), object, expected(ARGS))
    assert second.tolist() == expected(ARGS[:5]) and isinstance(second[0, 1], str)
    assert ENGINES.pids() == engines
    (monitor,) = rust_pyfunc.progress_monitors()
    assert (monitor.backup_file, monitor.calls, monitor.running) == (str(tmp_path / "backup.bin"), 2, 0)
    assert monitor.progress is not None and (monitor.progress.skipped, monitor.progress.done) == (5, 0)
    assert rust_pyfunc.cleanup_all_progress_monitors() == 1 and not rust_pyfunc.progress_monitors()


def test_resume_is_by_key_and_order_is_as_asked(tmp_path: Path) -> None:
    path, log = tmp_path / "f", str(tmp_path / "log")

    def noted(date: int, code: str) -> list[float]:
        with open(log, "a") as file:
            file.write(f"{code}\n")
        return row(date, code)

    def run(args: list[list[Any]]) -> Any:
        return rust_pyfunc.run_pools(
            noted, args, backup_file=path, resume_from_backup=True, num_threads=2, output="list"
        )

    for args in (ARGS[2:7], ARGS[::-1], [ARGS[3], ARGS[1], ARGS[3]], [*ARGS, [20250101, "x"]]):
        assert run(args) == expected(args)
    assert sorted(Path(log).read_text().split()) == [f"{at:06}" for at in range(10)] + ["x"]


def test_without_resume_the_old_file_is_renamed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for args in (ARGS, ARGS[:2]):
        rust_pyfunc.run_pools(row, args, backup_file=path, num_threads=2)
    assert len(Checkpoint(path)) == 2
    assert [len(Checkpoint(other)) for other in tmp_path.iterdir() if other.name.startswith("f.")] == [10]


def test_frames_have_the_names(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    frame = rust_pyfunc.run_pools(row, ARGS, num_threads=2, output="pandas", columns=names)
    assert list(frame.columns) == ["date", "code", *names]
    assert frame["code"].tolist() == [code for _, code in ARGS] and frame["b"].tolist() == [6] * 10
    pd.testing.assert_frame_equal(frame, pd.DataFrame(expected(ARGS), columns=["date", "code", *names]))
    others = [rust_pyfunc.run_pools(row, ARGS, num_threads=2, output=kind) for kind in ("polars", "arrow")]
    assert others[0].rows() == [tuple(held) for held in expected(ARGS)]
    assert others[1].to_pylist()[3] == {"date": 20240104, "code": "000003", "c0": 20240104.0, "c1": 6, "c2": 20240110}


def picky(date: int, code: str) -> list[float]:
    if code == "000003":
        raise ValueError(code)
    return row(date, code)


def test_failed_items_are_told(tmp_path: Path) -> None:
    args, good = ARGS[2:5], expected([ARGS[2], ARGS[4]])
    with pytest.raises(JobFailed, match="ValueError: 000003") as failed:
        rust_pyfunc.run_pools(picky, args, num_threads=2, backup_file=tmp_path / "f")
    assert failed.value.results.tolist() == good
    assert rust_pyfunc.run_pools(picky, args, num_threads=2, on_error="skip").tolist() == good
    nan = rust_pyfunc.run_pools(picky, args, num_threads=2, on_error="nan", output="list")
    assert nan[1][:2] == [20240104, "000003"] and all(map(math.isnan, nan[1][2:])) and len(nan[1]) == 5


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"storage_format": "json"}, ValueError, "maniple checkpoint export"),
        ({"go_class": object()}, ValueError, "go_class"),
        ({"resume_from_backup": True}, ValueError, "backup_file="),
        ({"output": "excel"}, ValueError, "excel"),
    ],
)
def test_what_is_not_supported_is_said(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        rust_pyfunc.run_pools(row, ARGS, **options)


def test_another_functions_file_is_refused(tmp_path: Path) -> None:
    rust_pyfunc.run_pools(row, ARGS, num_threads=2, backup_file=tmp_path / "f")
    with pytest.raises(CheckpointError, match="picky"):
        rust_pyfunc.run_pools(picky, ARGS, num_threads=2, backup_file=tmp_path / "f", resume_from_backup=True)


def test_monitors_are_one_a_file(tmp_path: Path) -> None:
    os.symlink(tmp_path, tmp_path / "link")
    for name in ("a", "b", "link/a"):
        rust_pyfunc.run_pools(row, ARGS[:1], num_threads=2, backup_file=tmp_path / name, resume_from_backup=True)
    assert [(Path(held.backup_file).name, held.calls) for held in rust_pyfunc.progress_monitors()] == [
        ("a", 2),
        ("b", 1),
    ]
    os.remove(tmp_path / "a")
    rust_pyfunc.run_pools(row, ARGS[:1], num_threads=2, backup_file=tmp_path / "b", resume_from_backup=True)
    assert [Path(held.backup_file).name for held in rust_pyfunc.progress_monitors()] == ["b"]


def test_callbacks_hear_numbers() -> None:
    heard: list[tuple[int, int, int, float]] = []
    rust_pyfunc.run_pools(row, ARGS, num_threads=2, progress_callback=lambda *numbers: heard.append(numbers))
    assert heard[-1][:3] == (10, 10, 0) and heard[-1][3] > 0


def test_arrays_and_single_values_are_rows_too() -> None:
    found = rust_pyfunc.run_pools(lambda date, code: numpy.arange(2.0), ARGS[:1], num_threads=2, output="list")
    assert found == [[20240101, "000000", 0.0, 1.0]]
    assert rust_pyfunc.run_pools(lambda date, code: 7, ARGS[:1], num_threads=2, output="list")[0][2:] == [7]


def test_the_queue_takes_its_parameters_and_refuses_others_by_name(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert rust_pyfunc.run_pools_queue(row, ARGS, 2, path, 3, update_mode=True).tolist() == expected(ARGS)
    assert rust_pyfunc.run_pools_queue(row, ARGS, 2, str(path), 3, return_results=False) is None
    with pytest.raises(ValueError, match="dynamic_njobs=True is not supported"):
        rust_pyfunc.run_pools_queue(row, ARGS, 2, path, 3, dynamic_njobs=True)


def test_a_row_of_another_length_has_failed(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="2 of 2 tasks failed"):
        rust_pyfunc.run_pools_queue(row, ARGS[:2], 2, tmp_path / "f", 4)


def test_reproduces_items_that_are_objects_and_made_no_rows(tmp_path: Path) -> None:
    days = [[datetime.date(2024, 1, 1), "a"], [datetime.date(2024, 1, 2), "a"]]
    for file in (None, tmp_path / "f"):
        rows = maniple.run_pools(lambda day, code: [day.day], days, backup_file=file, output="list")
        assert rows == [[*days[0], 1], [*days[1], 2]]


def test_reproduces_a_word_for_errors_that_left_items_out(tmp_path: Path) -> None:
    word: Any = "rise"
    with pytest.raises(ValueError, match="on_error='rise' is none of raise, skip, nan"):
        maniple.run_pools(lambda day, code: 1 / 0, [[1, "a"]], on_error=word)


@pytest.mark.parametrize("width", ["2", -1, True])
def test_reproduces_a_width_that_ended_engines(width: Any, tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError), match="expected_result_length="):
        maniple.run_pools_queue(abs, [[1, "a"]], 1, tmp_path / "f", width)
