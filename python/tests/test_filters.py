"""Which rows users choose: filters, single keys, pivots, failures; each layout gives the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pandas  # type: ignore[import-untyped]
import pytest
from conftest import GRID
from encoder import Encoder, laid_out, plain, write
from pandas.testing import assert_frame_equal  # type: ignore[import-untyped]

from maniple import Checkpoint, CheckpointError


def test_keys_that_are_dicts(tmp_path: Path, layout: str) -> None:
    keys = [{"day": day, "code": code} for day, code in GRID]
    with Encoder(tmp_path / "f") as file:
        lay = plain if layout == "msgpack" else laid_out
        file.values(lay(keys), lay([float(n) for n in range(9)]), 9)
    found = Checkpoint(tmp_path / "f")
    assert found.key_columns == ["day", "code"] and list(found.keys()) == keys
    assert found.get({"day": 20240103, "code": "600000"}) == 5.0
    assert found.get({"code": "600000", "day": 20240103}) is None
    assert list(found.where(day=20240103).keys()) == keys[3:6]


CONDITIONS: list[tuple[dict[str, Any], Callable[[int, str], bool]]] = [
    ({"date": 20240103}, lambda day, code: day == 20240103),
    ({"date": [20240102, numpy.int64(20240104)]}, lambda day, code: day != 20240103),
    ({"date": range(20240103, 20240105)}, lambda day, code: day >= 20240103),
    ({"date": "20240103.."}, lambda day, code: day >= 20240103),
    ({"date": "..20240103"}, lambda day, code: day <= 20240103),
    ({"date": slice(20240102, 20240103)}, lambda day, code: day <= 20240103),
    ({"date": "20240103"}, lambda day, code: False),
    ({"date": 20240103, "code": {"000001", "600000"}}, lambda day, code: day == 20240103 and code != "000002"),
    ({"code": "000002.."}, lambda day, code: code >= "000002"),
    ({"code": "000001..000002"}, lambda day, code: code <= "000002"),
    ({"code": 600000}, lambda day, code: False),
    ({"code": slice(None, 600000)}, lambda day, code: False),
    ({"code": pandas.Series(["000002"])}, lambda day, code: code == "000002"),
    ({}, lambda day, code: True),
    ({"pairs": [(20240102, "600000"), (20240103, "000001")]},
     lambda day, code: (day, code) in {(20240102, "600000"), (20240103, "000001")}),
    ({"pairs": [[20240104, "000001"], (1, "000001"), (20240104, "x"), 5, (1, 2, 3)], "date": "20240103.."},
     lambda day, code: (day, code) == (20240104, "000001")),
    ({"pairs": []}, lambda day, code: False),
]  # fmt: skip


@pytest.mark.parametrize(("conditions", "test"), CONDITIONS, ids=lambda told: str(told)[:40])
def test_filters(grid: Checkpoint, conditions: dict[str, Any], test: Callable[[int, str], bool]) -> None:
    want = {key: row for key, row in GRID.items() if test(*key)}
    found = grid.where(**conditions)
    assert dict(found.items()) == want and len(found) == len(want) and list(found.keys()) == list(want)
    assert found.column("a").tolist() == [row[0] for row in want.values()]
    assert found.column("c").tolist() == [row[2] for row in want.values()]
    assert found.to_pandas()["code"].tolist() == [code for _, code in want]
    assert dict(found.where(code="000001").items()) == {key: row for key, row in want.items() if key[1] == "000001"}


def test_a_column_with_numbers_and_texts_is_filtered_by_type(tmp_path: Path, layout: str) -> None:
    rows: dict[Any, Any] = {(1, code): [0.5] for code in ["000001", 600000, "000002", 600001, True]}
    found = Checkpoint(write(tmp_path / "f", rows, layout=layout))
    assert [key[1] for key in found.where(code="600000..").keys()] == [600000, 600001]
    assert [key[1] for key in found.where(code="..000001").keys()] == ["000001"]
    assert [key[1] for key in found.where(code=[600000, "000002"]).keys()] == [600000, "000002"]


def test_one_value_by_its_key(tmp_path: Path, grid: Checkpoint) -> None:
    assert grid.get((20240103, "600000")) == grid.get([20240103, "600000"]) == GRID[20240103, "600000"]
    assert grid.get((20240103, 600000)) is None and grid.get(5, "none") == "none"
    four = Checkpoint(write(tmp_path / "four", {1: "int"}, {1.0: "float"}, {True: "bool"}, {"1": "str"}))
    assert [four.get(key) for key in (1, 1.0, True, "1")] == ["int", "float", "bool", "str"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_pivot_is_that_of_pandas(grid: Checkpoint, name: str) -> None:
    want = grid.to_pandas().pivot(index="date", columns="code", values=name)
    assert_frame_equal(grid.pivot("date", "code", name), want)
    assert_frame_equal(grid.pivot("code", 0, name), want.T)
    some = grid.where(pairs=list(GRID)[::2])
    assert_frame_equal(
        some.pivot("date", "code", name), some.to_pandas().pivot(index="date", columns="code", values=name)
    )


def test_a_pivot_of_nothing_and_of_anything(grid: Checkpoint, tmp_path: Path) -> None:
    assert grid.where(date=1).pivot("date", "code", "a").shape == (0, 0)
    assert grid.pivot("date", "code", "c").loc[20240103, "600000"] == "600000"
    exact = {(1, "x"): (1 << 53) + 1, (2, "y"): 5}
    table = Checkpoint(write(tmp_path / "f", exact)).pivot("date", "code", 0)
    assert table.loc[1, "x"] == (1 << 53) + 1 and math.isnan(table.loc[1, "y"])
    three = Checkpoint(write(tmp_path / "g", {(1, "x", 1): 0.5, (1, "x", 2): 1.5}))
    with pytest.raises(CheckpointError, match="several rows have key0 1 and key1 'x'"):
        three.pivot(0, 1, 0)


def test_failures_are_those_without_a_value(tmp_path: Path) -> None:
    with Encoder(tmp_path / "f") as file:
        file.failures({(1, "x"): {"message": "first"}, (2, "x"): {}})
        file.failures({(1.0, "x"): {}})
        file.failures({(1, "x"): {"message": "last"}})
        file.rows({(2, "x"): 5.0, (1, "y"): 6.0})
        file.rows({(True, "x"): 7.0})
        file.synced()
        found = Checkpoint(tmp_path / "f")
        assert [(key, story["message"]) for key, story in found.failures()] == [
            ((1, "x"), "last"),
            ((1.0, "x"), "no prices"),
        ]
        assert found.where(code="y").failures() == []
        file.rows([((1, "x"), 8.0), ((1.0, "x"), 9.0)])
        file.close()
    assert Checkpoint(tmp_path / "f").failures() == []
