"""Columns as tables of pandas, polars and Arrow, which are imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from ._columns import Array, Column, Vocabulary, exact, objects
from ._source import CheckpointError


def library(name: str) -> Any:
    """A package that is needed now."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"this needs the package {name}: pip install {name}") from error


def to_pandas(table: Mapping[str, Array]) -> Any:
    """A pandas.DataFrame that shares the columns."""
    pandas = library("pandas")
    try:
        return pandas.DataFrame(table, copy=False)
    except UnicodeEncodeError:  # pandas keeps texts as Arrow's, which are all UTF-8; those that are not stay objects
        columns = (pandas.Series(column, dtype=column.dtype, copy=False) for column in table.values())
        frame = pandas.DataFrame(dict(enumerate(columns)), copy=False)
        frame.columns = _labels(pandas, list(table), None)
        return frame


def _labels(pandas: Any, labels: Sequence[Any], name: str | None) -> Any:
    """A pandas.Index, of objects where texts are none that Arrow can hold."""
    try:
        return pandas.Index(labels, name=name)
    except UnicodeEncodeError:
        return pandas.Index(labels, name=name, dtype=object)


def to_polars(table: Mapping[str, Array]) -> Any:
    """A polars.DataFrame; raises CheckpointError for a column that it has no type for."""
    polars = library("polars")

    def made(name: str, column: Array) -> Any:
        return polars.Series(name, column.tolist() if column.dtype == object else column)

    return polars.DataFrame([_told(made, name, column) for name, column in table.items()])


def to_arrow(table: Mapping[str, Array]) -> Any:
    """A pyarrow.Table; raises CheckpointError for a column that it has no type for."""
    arrow = library("pyarrow")
    arrays = [_told(lambda _, column: arrow.array(column, from_pandas=False), *item) for item in table.items()]
    return arrow.table(arrays, names=list(table))


def _told(make: Any, name: str, column: Array) -> Any:
    try:
        made = make(name, column)
        if "object" not in str(getattr(made, "dtype", "")).lower():
            return made
        why = "it holds Python objects"
    except Exception as error:  # each library has a hierarchy of its own
        why = str(error)
    raise CheckpointError(
        f"column {name!r} does not fit into one type ({why}); column() and to_pandas() give it as it is"
    )


def pivot(index: Sequence[Column], columns: Sequence[Column], labels: Sequence[str], values: Array) -> Any:
    """A pandas.DataFrame of one value at each place; `index` and `columns` come frame by frame, as `values` do."""
    pandas = library("pandas")
    places, axes = [], []
    for side in (index, columns):
        known = Vocabulary()
        numbers = [known.add(column) for column in side]
        labels_found = objects(list(known.numbers))
        order = sorted(range(len(labels_found)), key=lambda place: _rank(labels_found[place]))
        rank = numpy.empty(len(order), "<i8")
        rank[order] = numpy.arange(len(order))
        places.append(rank[numpy.concatenate(numbers)] if numbers else numpy.empty(0, "<i8"))
        axes.append(labels_found[order].tolist())
    height, width = len(axes[0]), len(axes[1])
    flat = places[0] * width + places[1]
    hits = numpy.bincount(flat, minlength=height * width) if len(flat) else numpy.zeros(0, "<i8")
    if (hits > 1).any():
        twice = int(numpy.argmax(hits > 1))
        where = f"{labels[0]} {axes[0][twice // width]!r} and {labels[1]} {axes[1][twice % width]!r}"
        raise CheckpointError(f"several rows have {where}; choose among them with where(), then pivot")
    if values.dtype.kind == "i" and not (hits == 1).all():
        floats = exact(values)
        values = values.astype(object) if floats is None else floats
    whole = numpy.full(height * width, numpy.nan if values.dtype.kind != "i" else 0, values.dtype)
    whole[flat] = values
    return pandas.DataFrame(
        whole.reshape(height, width),
        index=_labels(pandas, axes[0], labels[0]),
        columns=_labels(pandas, axes[1], labels[1]),
    )


def _rank(label: Any) -> tuple[bool, str, Any]:
    """Numbers before texts before anything else."""
    is_number = isinstance(label, (int, float))
    return not is_number, "" if is_number else type(label).__name__, label
