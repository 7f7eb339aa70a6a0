"""Columns in memory: of one frame, and what becomes of them when they are joined. It knows nothing of files.

A column of a frame is a numpy array of float64 or int64, a :class:`Text`, or a list of anything.

Invariant: no number is changed. Integers become float64 beside floats only if each of them stays what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Union

import numpy

Array = numpy.ndarray[Any, Any]


class Text(NamedTuple):
    """A column of texts: for each row the number of its word."""

    codes: Array
    words: list[str]


Column = Union[Array, Text, "list[Any]"]


def settled(items: list[Any]) -> Column:
    """The items as an array if they all are floats, or all integers within int64."""
    kinds = set(map(type, items))
    if kinds == {float}:
        return numpy.array(items, "<f8")
    if kinds == {int} and -(1 << 63) <= min(items) and max(items) < 1 << 63:
        return numpy.array(items, "<i8")
    return items


def taken(column: Column, rows: Array | None) -> Column:
    """Some rows of a column; all of them for None."""
    if rows is None:
        return column
    if isinstance(column, Text):
        return Text(column.codes[rows], column.words)
    if isinstance(column, list):
        return [column[row] for row in rows]
    return column[rows]


def objects(items: Sequence[Any]) -> Array:
    """An array of objects that does not look into them, as `numpy.array` would."""
    return numpy.fromiter(items, object, len(items))


def as_array(column: Column) -> Array:
    """The column as an array of float64, int64 or objects."""
    if isinstance(column, Text):
        return objects(column.words)[column.codes]
    return objects(column) if isinstance(column, list) else column


def as_list(column: Column) -> list[Any]:
    """The items of a column, as Python's own."""
    if isinstance(column, Text):
        return list(map(column.words.__getitem__, column.codes.tolist()))
    return column if isinstance(column, list) else list(column.tolist())


def exact(whole: Array) -> Array | None:
    """Integers as float64, if each stays what it is."""
    if whole.dtype.kind == "f":
        return whole
    if whole.dtype.kind == "i":
        with numpy.errstate(invalid="ignore"):
            floats = whole.astype("<f8")
            return floats if (floats.astype("<i8") == whole).all() and (floats < 2.0**63).all() else None
    if set(map(type, whole)) <= {int, float}:
        try:
            return numpy.array([float(item) for item in whole]) if all(map(_is_exact, whole)) else None
        except OverflowError:
            return None
    return None


def _is_exact(item: float) -> bool:
    return type(item) is float or int(float(item)) == item


def joined(chunks: Sequence[Array]) -> Array:
    """Chunks of one column as one array: float64, int64, or objects."""
    if not chunks:
        return numpy.empty(0)
    if len({chunk.dtype.kind for chunk in chunks}) > 1 or chunks[0].dtype.kind == "O":
        floats = [exact(chunk) for chunk in chunks] if any(map(_has_floats, chunks)) else [None]
        if all(chunk is not None for chunk in floats):
            return numpy.concatenate([chunk for chunk in floats if chunk is not None])
        chunks = [chunk.astype(object) for chunk in chunks]
    return chunks[0] if len(chunks) == 1 else numpy.concatenate(chunks)


def _has_floats(chunk: Array) -> bool:
    return chunk.dtype.kind == "f" or (chunk.dtype.kind == "O" and float in set(map(type, chunk)))


class Vocabulary:
    """Numbers the values of a column as they come, over many frames."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self.numbers: dict[Any, int] = {}
        for value in values:
            self.numbers.setdefault(value, len(self.numbers))

    def add(self, column: Column) -> Array:
        """The number of each row's value; new values get the next ones."""
        return self._lookup(column, lambda value: self.numbers.setdefault(value, len(self.numbers)))

    def find(self, column: Column) -> Array:
        """The number of each row's value; -1 where it is none of these."""
        return self._lookup(column, self._find)

    def _find(self, value: Any) -> int:
        try:
            return self.numbers.get(value, -1)
        except TypeError:  # a key holds a dict
            return -1

    @staticmethod
    def _lookup(column: Column, number: Any) -> Array:
        if isinstance(column, Text):
            # Words of the dictionary that no chosen row has must not become numbers.
            used, places = _distinct_codes(column)
            return numpy.fromiter((number(column.words[code]) for code in used), "<i8", len(used))[places]
        if isinstance(column, list):
            return numpy.fromiter(map(number, column), "<i8", len(column))
        used, places = numpy.unique(column, return_inverse=True)
        return numpy.fromiter(map(number, used.tolist()), "<i8", len(used))[places]


def _distinct_codes(column: Text) -> tuple[Array, Array]:
    seen = numpy.zeros(len(column.words), bool)
    seen[column.codes] = True
    used = numpy.flatnonzero(seen)
    places = numpy.empty(len(column.words), "<i8")
    places[used] = numpy.arange(len(used))
    return used, places[column.codes]
