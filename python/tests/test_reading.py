"""What users ask of a checkpoint: values, columns, tables; each layout gives the same."""

from __future__ import annotations

import math
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pandas  # type: ignore[import-untyped]
import polars
import pytest
from conftest import GRID, NAMES
from encoder import Encoder, Part, pack, plain, write

import maniple
from maniple import Checkpoint, CheckpointError, Pickled
from maniple.checkpoint._parts import Columns

EVERY_VALUE = [
    None,
    True,
    -5,
    1 << 63,
    1 << 70,
    math.pi,
    -0.0,
    "text",
    b"bytes",
    [],
    [1, [2.0, "x"]],
    (1, (2,)),
    {"a": 1, "b": [None]},
    {1: 2},
    numpy.arange(6.0).reshape(2, 3),
    numpy.array(3 + 4j),
    numpy.array([True, False]),
    pandas.Series([1.5, 2.5], ["x", "y"], name="s"),
    pandas.Timestamp(2024, 1, 2),
]
UNIFORM = [
    [1.5, -0.0, math.inf],
    [1, -(1 << 63), (1 << 63) - 1],
    ["x", "y", "x", "x"],
    [[1.0, 2], [3.0, 4]],
    [(1.0, "a"), (2.0, "a")],
    [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": None}],
    [numpy.array([1.0, math.nan]), numpy.array([3.0, 4.0])],
    [numpy.array([1, 2]), numpy.array([3, 4])],
    [pandas.Series([1, 2], ["x", "y"], name=name) for name in (None, "s")],
]


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and pack(left) == pack(right)


def test_every_value_comes_back(tmp_path: Path) -> None:
    path = write(tmp_path / "f", {(n,): value for n, value in enumerate(EVERY_VALUE)})
    found = list(Checkpoint(path))
    assert all(same(value, EVERY_VALUE[key[0]]) for key, value in found) and len(found) == len(EVERY_VALUE)


@pytest.mark.parametrize("values", UNIFORM, ids=lambda values: str(type(values[0]).__name__))
def test_every_row_comes_back(tmp_path: Path, values: list[Any], layout: str) -> None:
    path = write(tmp_path / "f", {(n, "k"): value for n, value in enumerate(values)}, layout=layout)
    found = Checkpoint(path)
    assert layout == "msgpack" or isinstance(found._values[0].part(1), Columns)
    assert all(same(a, b) for (_, a), b in zip(found, values)) and len(found) == len(values)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([[1.5], [math.nan], [-0.0]], "float64"),
        ([[1], [-(1 << 63)]], "int64"),
        ([[1.5], [2]], "float64"),
        ([[1.5], [(1 << 53) + 1]], "object"),
        ([[1], [1 << 63]], "object"),
        ([[True], [1]], "object"),
        ([["a"], ["a"]], "object"),
        ([[None], [1.0]], "object"),
        ([[[1, 2]], [[3, 4]]], "object"),
    ],
)
def test_a_column_has_the_type_that_changes_nothing(tmp_path: Path, values: list[Any], dtype: str, layout: str) -> None:
    rows = {(n,): value for n, value in enumerate(values)}
    together = Checkpoint(write(tmp_path / "one", rows, layout=layout)).column(0)
    apart = Checkpoint(write(tmp_path / "two", *({k: v} for k, v in rows.items()), layout=layout)).column(0)
    for column in (together, apart):
        assert column.dtype == dtype
        for got, (want,) in zip(column.tolist(), values):
            assert struct.pack("d", got) == struct.pack("d", want) if dtype == "float64" else same(got, want)


def test_columns_by_name_and_place(grid: Checkpoint) -> None:
    assert (grid.columns, grid.key_columns, len(grid)) == (NAMES, ["date", "code"], 9)
    assert list(grid.keys()) == list(GRID)
    for place, name in enumerate(NAMES):
        want = [row[place] for row in GRID.values()]
        assert grid.column(name).tolist() == grid.column(place).tolist() == grid.column(place - 4).tolist() == want
    assert grid.key_column("date").dtype == "int64"
    assert list(zip(grid.key_column(0), grid.key_column("code"))) == list(GRID)
    assert [grid.column(place).dtype.kind for place in range(4)] == ["f", "i", "O", "O"]
    some = grid.arrays("b", 0)
    assert list(some) == ["b", 0] and some["b"].tolist() == grid.column("b").tolist()
    assert list(grid.arrays()) == NAMES


def test_names_that_nobody_gave(tmp_path: Path) -> None:
    lists = Checkpoint(write(tmp_path / "lists", {(1, "x"): [1.0, 2.0], (2, "y"): [3.0, 4.0]}))
    assert (lists.columns, lists.key_columns) == (["c0", "c1"], ["date", "code"])
    assert lists.column("c1").tolist() == [2.0, 4.0]
    scalars = Checkpoint(write(tmp_path / "scalars", {"x": 1.0, "y": 2.0}))
    assert (scalars.columns, scalars.key_columns) == (["value"], ["key0"])
    assert scalars.column("value").tolist() == [1.0, 2.0] and list(scalars.keys()) == ["x", "y"]
    empty = Checkpoint(write(tmp_path / "empty"))
    assert (empty.columns, empty.key_columns, len(empty), list(empty)) == ([], [], 0, [])
    assert empty.to_pandas().empty and empty.failures() == []


def test_rows_with_names_are_read_by_them(tmp_path: Path, layout: str) -> None:
    path = write(tmp_path / "f", {(1, "x"): {"a": 1.0, "b": 2}}, {(2, "x"): {"b": 4, "a": 3.0}}, layout=layout)
    found = Checkpoint(path)
    assert found.columns == ["a", "b"]
    assert found.column("a").tolist() == found.column(0).tolist() == [1.0, 3.0]
    assert found.to_pandas()["b"].tolist() == [2, 4]


def test_rows_of_different_widths(tmp_path: Path, layout: str) -> None:
    path = write(tmp_path / "f", {(1, "x"): [1.0, 2.0]}, {(2, "y"): [3.0], (3, "z"): [4.0]}, layout=layout)
    found = Checkpoint(path)
    assert found.column(0).tolist() == [1.0, 3.0, 4.0]
    with pytest.raises(CheckpointError, match=r"no column 'c1': the value of \(2, 'y'\) has 1; known are c0, c1"):
        found.column(1)
    with pytest.raises(CheckpointError, match=r"no column 7: the value of \(1, 'x'\) has 2"):
        found.column(7)
    with pytest.raises(CheckpointError, match="no column 'close'"):
        found.column("close")
    with pytest.raises(CheckpointError, match=r"rows have different columns: the value of \(2, 'y'\) has 1"):
        found.to_pandas()
    with pytest.raises(CheckpointError, match="no key column 'day'"):
        found.where(day=1)
    assert found.where(date=1).to_numpy().tolist() == [[1.0, 2.0]]


def test_tables(grid: Checkpoint) -> None:
    table = grid.to_pandas()
    assert list(table.columns) == ["date", "code", *NAMES]
    assert list(map(tuple, table[["date", "code"]].to_numpy())) == list(GRID)
    assert table["a"].tolist() == [row[0] for row in GRID.values()] and table["a"].dtype == "float64"
    arrow = grid.to_arrow()
    assert [str(kind) for kind in arrow.schema.types] == ["int64", "string", "double", "int64", "string", "null"]
    want = [{"date": key[0], "code": key[1], **dict(zip(NAMES, row))} for key, row in GRID.items()]
    assert arrow.to_pylist() == want
    assert grid.to_polars().to_dicts() == want
    assert grid.to_polars().schema["code"] == polars.String


def test_numbers_as_a_matrix(tmp_path: Path, layout: str) -> None:
    floats = {(n,): [n + 0.5, float(n)] for n in range(5)}
    matrix = Checkpoint(write(tmp_path / "f", floats, layout=layout)).to_numpy()
    assert matrix.dtype == "float64" and matrix.tolist() == list(floats.values()) and matrix[:, 0].flags.c_contiguous
    mixed = {(n,): [n + 0.5, n] for n in range(5)}
    matrix = Checkpoint(write(tmp_path / "g", mixed, layout=layout)).to_numpy()
    assert matrix.dtype == "float64" and matrix.tolist() == list(mixed.values())
    whole = {(n,): [n, n + 1] for n in range(5)}
    assert Checkpoint(write(tmp_path / "h", whole, layout=layout)).to_numpy().dtype == "int64"


def test_a_table_never_has_a_name_twice(tmp_path: Path) -> None:
    found = Checkpoint(write(tmp_path / "f", {(1, "x"): {"date": 5, "v": 1.0}}))
    assert list(found.to_pandas().columns) == ["date", "code", "date_value", "v"]


def test_what_does_not_fit_into_a_table_is_named(tmp_path: Path) -> None:
    found = Checkpoint(write(tmp_path / "f", {(1, "x"): [1.0, 5], (2, "x"): [2.0, "five"]}))
    for convert in (found.to_arrow, found.to_polars):
        with pytest.raises(CheckpointError, match="column 'c1' does not fit into one type"):
            convert()
    assert found.to_pandas()["c1"].tolist() == [5, "five"]


def test_objects(tmp_path: Path) -> None:
    path = write(tmp_path / "f", {(1,): pandas.Timestamp(2024, 1, 2), (2,): [1, {3, 4}]})
    assert Checkpoint(path).get((2,)) == [1, {3, 4}]
    found = dict(Checkpoint(path, unpickle=False).items())
    assert isinstance(found[1,], Pickled) and pickle.loads(found[1,].data) == pandas.Timestamp(2024, 1, 2)
    with Encoder(tmp_path / "g") as file:
        file.values(plain([[1]]), Part("msgpack", [pack([Pickled(b"")]).replace(b"maniple", b"nowhere")]), 1)
    with pytest.raises(CheckpointError, match=r"does not unpickle .*nowhere.*; make its module importable"):
        list(Checkpoint(tmp_path / "g"))


def test_a_dict_is_made_of_the_items(grid: Checkpoint) -> None:
    assert dict(grid.items()) == GRID
    with pytest.raises(TypeError, match=r"dict\(rows.items\(\)\)"):
        dict(grid)


def test_a_checkpoint_is_an_open_file(tmp_path: Path) -> None:
    path = write(tmp_path / "f", {(1, "x"): [1.0]})
    with Checkpoint(path) as checkpoint:
        some = checkpoint.where(date=1)
        assert repr(checkpoint) == f"Checkpoint({str(path)!r}): 1 rows of function m:f"
        assert checkpoint.created.isoformat() == "2026-01-01T00:00:00+00:00"
        with pytest.raises(TypeError, match="pass its path"):
            pickle.dumps(checkpoint)
    for rows in (checkpoint, some):
        with pytest.raises(CheckpointError, match="was closed"):
            rows.column(0)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        Checkpoint(path).column(0)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_package_is_light_until_it_reads() -> None:
    script = "import sys, maniple; maniple.__version__; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], env=dict(os.environ, PYTHONPATH=":".join(sys.path)),
                         capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert not {"numpy", "msgpack", "pandas"} & set(out.split())
    with pytest.raises(AttributeError, match="no attribute 'Chekpoint'"):
        maniple.Chekpoint  # noqa: B018
