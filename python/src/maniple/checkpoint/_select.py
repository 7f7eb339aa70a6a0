"""Which rows of a frame a user wants: conditions on the columns of its keys, and whole keys.

It knows columns in memory, and not where they come from. A condition never compares a number with a text.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy

from ._columns import Array, Column, Text, Vocabulary
from ._parts import Columns, Field, Part
from ._values import identity


def plain(value: Any) -> Any:
    """One of numpy's or pandas' scalars as Python's own."""
    return value.item() if isinstance(value, numpy.generic) else value


class Condition:
    """What the values of one column have to be."""

    def __init__(self, wanted: Any) -> None:
        self.bounds = _bounds(wanted)
        self.among: set[Any] = set()
        if self.bounds is None:
            is_one = isinstance(wanted, (str, bytes)) or not isinstance(wanted, Iterable)
            self.among = {plain(item) for item in ([wanted] if is_one else wanted)}

    def mask(self, column: Column) -> Array:
        """For each row whether it is wanted."""
        if isinstance(column, Text):
            return self._each(column.words)[column.codes]
        if isinstance(column, list):
            return self._each(column)
        if self.bounds is None:
            return numpy.isin(column, numpy.array(self._numbers(column.dtype.kind), column.dtype))
        mask = numpy.ones(len(column), bool)
        for bound, compare in zip(self.bounds, (operator.ge, operator.le)):
            if bound is not None:
                other = _number(bound)
                mask &= False if other is None else compare(column, other)
        return mask

    def _numbers(self, kind: str) -> list[Any]:
        numbers = [item for item in self.among if type(item) in (int, float)]
        if kind == "f":
            return numbers
        integers = [int(item) for item in numbers if type(item) is int or item.is_integer()]
        return [item for item in integers if -(1 << 63) <= item < 1 << 63]

    def _each(self, values: Sequence[Any]) -> Array:
        test = self._is_among if self.bounds is None else self._is_within
        return numpy.fromiter(map(test, values), bool, len(values))

    def _is_among(self, value: Any) -> bool:
        try:
            return value in self.among
        except TypeError:  # a key holds a dict
            return False

    def _is_within(self, value: Any) -> bool:
        assert self.bounds is not None
        for bound, compare in zip(self.bounds, (operator.ge, operator.le)):
            if bound is not None:
                is_text = isinstance(value, str)
                other = bound if is_text == isinstance(bound, str) else None if is_text else _number(bound)
                if other is None or type(value) not in (str, int, float) or not compare(value, other):
                    return False
        return True


def _bounds(wanted: Any) -> tuple[Any, Any] | None:
    if isinstance(wanted, slice):
        if wanted.step is not None:
            raise ValueError("a slice of labels has no step")
        return plain(wanted.start), plain(wanted.stop)
    if isinstance(wanted, str) and ".." in wanted:
        low, _, high = wanted.partition("..")
        return low or None, high or None
    return None


def _number(bound: Any) -> Any:
    """A bound for numbers; None if it is a text that is none."""
    if not isinstance(bound, str):
        return bound
    for kind in (int, float):
        try:
            return kind(bound)
        except ValueError:
            continue
    return None


class _Fields:
    """Keys with the same number of fields."""

    def __init__(self, keys: Sequence[Sequence[Any]]) -> None:
        width = len(keys[0])
        self.fields = [Vocabulary(key[place] for key in keys) for place in range(width)]
        self.steps: list[Array] = []
        numbers = numpy.zeros(len(keys), "<i8")
        for place, field in enumerate(self.fields):
            codes = numbers * len(field.numbers) + field.find([key[place] for key in keys])
            distinct, numbers = numpy.unique(codes, return_inverse=True)
            self.steps.append(distinct)

    def mask(self, columns: Sequence[Column]) -> Array:
        """For each row whether its fields are those of one of the keys."""
        numbers: Any = 0
        found: Any = True
        for field, column, distinct in zip(self.fields, columns, self.steps):
            place = field.find(column)
            codes = numbers * len(field.numbers) + place
            numbers = numpy.minimum(numpy.searchsorted(distinct, codes), len(distinct) - 1)
            found = found & (place >= 0) & (distinct[numbers] == codes)
        return numpy.asarray(found)


def _is_same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except ValueError:  # there is an array in them
        return identity(one) == identity(other)


class Keys:
    """Whole keys that are looked for: tuples (lists are meant as tuples), dicts and single values."""

    def __init__(self, keys: Iterable[Any]) -> None:
        self.keys = [tuple(map(plain, key)) if isinstance(key, (list, tuple)) else plain(key) for key in keys]
        self.made: dict[Any, _Fields | None] = {}

    def mask(self, part: Part) -> Array:
        """For each row of a frame whether its key is one of these."""
        if not isinstance(part, Columns):
            rows = part.rows()
            try:
                known = set(self.keys)
                return numpy.fromiter((row in known for row in rows), bool, len(rows))
            except TypeError:  # dicts among them
                return numpy.fromiter((any(_is_same(row, key) for key in self.keys) for row in rows), bool, len(rows))
        form = part.width if part.row in ("list", "tuple") else tuple(part.names)
        if form not in self.made:
            keys = self._of_form(form)
            self.made[form] = _Fields(keys) if keys else None
        wanted = self.made[form]
        if wanted is None:
            return numpy.zeros(part.frame.n, bool)
        return wanted.mask(part.columns([Field(place, None) for place in range(part.width)]))

    def _of_form(self, form: Any) -> list[Any]:
        """Those with so many fields, with these names, or single ones, as sequences of their fields."""
        if isinstance(form, int):
            return [key for key in self.keys if type(key) is tuple and len(key) == form]
        if form:
            return [[key[name] for name in form] for key in self.keys if type(key) is dict and set(key) == set(form)]
        return [[key] for key in self.keys if type(key) not in (tuple, dict)]
