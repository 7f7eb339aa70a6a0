"""The keys, the values or the stories of one frame: their layout checked, and rows or columns made of them.

It knows the blobs of one frame, and not which frames count.

Invariant: whatever the blobs hold, what is wrong is told as damage of this frame, with no crash and no wrong value.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, islice
from typing import Any, NamedTuple

import numpy

from ._columns import Array, Column, Text, as_array, as_list, settled, taken
from ._source import CheckpointError, Frame
from ._values import Decoder, Malformed, NotUnpickled, count

ROWS = ("scalar", "list", "tuple", "dict", "array", "series")
SIZES = {"f": 8, "i": 8, "t": 4}
COLUMN_LIMIT = 1 << 16
SIZE_LIMIT = 1 << 31
"""Bytes that one compressed blob may become, as far as nothing else tells its size."""


class Field(NamedTuple):
    """What a user calls a column: by its place, or by its name, which has a place where rows have no names."""

    place: int | None
    name: str | None


class Lacking(Exception):
    """A row (its place in the frame) does not have a column, or other columns than were asked for."""

    def __init__(self, row: int, width: int, asked: Field | None = None) -> None:
        self.row, self.width = row, width
        self.asked = asked.place if asked and asked.name is None else asked and asked.name


class Part:
    """One of the two parts of a frame; `first` is its first blob, `blobs` how many it has."""

    blobs = 1

    def __init__(self, frame: Frame, what: str, first: int, decoder: Decoder, *, zstd: bool) -> None:
        self.names: list[str] = []
        self.frame, self.what, self.first, self.decoder, self.zstd = frame, what, first, decoder, zstd

    def direct(self, field: Field) -> tuple[str, int] | None:
        """The type and the blob of a column that is stored as its numbers."""
        return None

    def rows(self, picked: Array | None = None) -> list[Any]:
        """The rows as Python values; those picked, or all."""
        raise NotImplementedError

    def columns(self, fields: Sequence[Field], picked: Array | None = None) -> list[Column]:
        """Some columns; raises Lacking."""
        raise NotImplementedError

    def check(self) -> None:
        """Look at every byte; raises Broken."""
        raise NotImplementedError

    def odd(self, names: Sequence[str]) -> Lacking | None:
        """The first row that does not have exactly so many columns, or has others."""
        raise NotImplementedError

    def _blob(self, place: int, size: int | None = None) -> bytes:
        blob = self.frame.blob(place)
        if self.zstd:
            blob = _inflated(blob, size, self.frame)
        if size is not None and len(blob) != size:
            raise self.frame.broken()
        return blob

    def _items(self, place: int, n: int | None) -> list[Any]:
        blob = self._blob(place)
        try:
            return self.decoder.items(blob, n, keys=self.what == "keys")
        except Malformed as error:
            raise self.frame.broken() from error
        except NotUnpickled as error:
            where = f"{self.frame.source.path}: an object in {self.what} of bytes {self.frame.at}..{self.frame.end}"
            raise CheckpointError(
                f"{where} does not unpickle ({error}); make its module importable, or let it stay as it is with "
                f"Checkpoint(path, unpickle=False)"
            ) from error

    def _count(self, place: int) -> int:
        blob = self._blob(place)
        try:
            return count(blob)
        except Malformed as error:
            raise self.frame.broken() from error


class Packed(Part):
    """Layout `msgpack`: rows that may differ from each other."""

    def rows(self, picked: Array | None = None) -> list[Any]:
        """See Part."""
        rows = self._items(self.first, self.frame.n)
        return rows if picked is None else [rows[row] for row in picked]

    def columns(self, fields: Sequence[Field], picked: Array | None = None) -> list[Column]:
        """See Part."""
        rows = self.rows()
        kinds = set(map(type, rows))
        return [taken(settled(self._column(rows, kinds, field)), picked) for field in fields]

    @staticmethod
    def _column(rows: list[Any], kinds: set[type], field: Field) -> list[Any]:
        if kinds <= {list, tuple} and field.place is not None:
            try:
                return list(map(operator.itemgetter(field.place), rows))
            except IndexError:
                pass
        return [element(row, field, number) for number, row in enumerate(rows)]

    def odd(self, names: Sequence[str]) -> Lacking | None:
        """See Part."""
        for number, row in enumerate(self.rows()):
            elements, own = fields_of(row)
            if len(elements) != len(names) or (own and set(own) != set(names)):
                return Lacking(number, len(elements))
        return None

    def check(self) -> None:
        """See Part."""
        if self._count(self.first) != self.frame.n:
            raise self.frame.broken()


def fields_of(row: Any) -> tuple[list[Any], list[str]]:
    """The elements of a row, and their names if it tells them."""
    if type(row) in (list, tuple):
        return list(row), []
    if type(row) is dict and set(map(type, row)) <= {str}:
        return list(row.values()), list(row)
    if type(row) is numpy.ndarray and row.ndim == 1:
        return row.tolist(), []
    if type(row).__name__ == "Series" and type(row).__module__.startswith("pandas"):
        return row.tolist(), list(row.index)
    return [row], []


def element(row: Any, field: Field, number: int) -> Any:
    """The element of a row that may be anything; raises Lacking."""
    elements, names = fields_of(row)
    place = field.place
    if field.name is not None and names:
        place = names.index(field.name) if field.name in names else None
    if place is None or not -len(elements) <= place < len(elements):
        raise Lacking(number, len(elements), field)
    return elements[place]


class Columns(Part):
    """Layout `columns`: a blob, or two, for each column."""

    def __init__(self, frame: Frame, what: str, first: int, decoder: Decoder, *, zstd: bool) -> None:
        super().__init__(frame, what, first, decoder, zstd=zstd)
        prefix = "key_" if what == "keys" else ""
        types, row, names = (frame.head.get(prefix + name, "") for name in ("types", "row", "names"))
        if not isinstance(types, str) or not isinstance(row, str) or not 1 <= len(types) <= COLUMN_LIMIT:
            raise frame.broken()
        if row not in ROWS or set(types) - set("fitm"):
            raise frame.newer()
        self.types, self.row, self.hidden = types, row, int(row == "series")
        self.width = len(types) - self.hidden
        if row in ("dict", "series"):
            if not isinstance(names, list) or set(map(type, names)) - {str} or len(names) != self.width:
                raise frame.broken()
            self.names = names
        uniform = types[self.hidden :] in ("", "f" * self.width, "i" * self.width)
        scalar = types in ("f", "i", "t")
        if (row in ("array", "series") and not uniform) or (row == "scalar" and not scalar):
            raise frame.broken()
        if len(set(self.names)) != len(self.names):
            raise frame.broken()
        self.places = _places(types)
        self.blobs = self.places[-1]
        self._check_lengths()

    def _check_lengths(self) -> None:
        lengths = self.frame.table["length"][self.first :]
        if len(lengths) < self.blobs:
            raise self.frame.broken()
        if self.zstd:
            return
        if self.blobs == len(self.types) and "m" not in self.types:
            sound = bool((lengths[: self.blobs] == 8 * self.frame.n).all())
        else:
            told = zip(self.types, self.places)
            sound = all(lengths[place] == SIZES[letter] * self.frame.n for letter, place in told if letter != "m")
        if not sound:
            raise self.frame.broken()

    def place(self, field: Field) -> int:
        """Which column that is; raises Lacking."""
        place = field.place
        if field.name is not None and self.names:
            place = self.names.index(field.name) if field.name in self.names else None
        if place is None or not -self.width <= place < self.width:
            raise Lacking(0, self.width, field)
        return place % self.width + self.hidden

    def direct(self, field: Field) -> tuple[str, int] | None:
        """See Part."""
        place = self.place(field)
        return (
            (self.types[place], self.first + self.places[place])
            if self.types[place] in "fi" and not self.zstd
            else None
        )

    def odd(self, names: Sequence[str]) -> Lacking | None:
        """See Part."""
        is_odd = self.width != len(names) or (self.names and set(self.names) != set(names))
        return Lacking(0, self.width) if is_odd else None

    def columns(self, fields: Sequence[Field], picked: Array | None = None) -> list[Column]:
        """See Part."""
        return [taken(self._column(self.place(field)), picked) for field in fields]

    def _column(self, number: int) -> Column:
        letter, place, n = self.types[number], self.first + self.places[number], self.frame.n
        if letter == "m":
            return settled(self._items(place, n))
        numbers = numpy.frombuffer(self._blob(place, SIZES[letter] * n), {"f": "<f8", "i": "<i8", "t": "<u4"}[letter])
        if letter != "t":
            return numbers
        words = self._items(place + 1, None)
        sound = set(map(type, words)) == {str} and all(map(operator.lt, words, islice(words, 1, None)))
        if not sound or int(numbers.max()) >= len(words):
            raise self.frame.broken()
        return Text(numbers, words)

    def rows(self, picked: Array | None = None) -> list[Any]:
        """See Part."""
        held = [taken(self._column(number), picked) for number in range(len(self.types))]
        if self.row == "array":
            return list(numpy.column_stack([as_array(column) for column in held]))
        if self.row == "series":
            make = importlib.import_module("pandas").Series
            values = [as_array(column) for column in held[1:]]
            matrix = numpy.column_stack(values) if values else numpy.empty((len(as_array(held[0])), 0))
            return [make(row, index=self.names, name=name) for row, name in zip(matrix, as_list(held[0]))]
        lists = [as_list(column) for column in held]
        if self.row == "scalar":
            return lists[0]
        if self.row == "dict":
            return [dict(zip(self.names, row)) for row in zip(*lists)]
        is_tuple = self.row == "tuple" or self.what == "keys"
        return list(zip(*lists)) if is_tuple else list(map(list, zip(*lists)))

    def check(self) -> None:
        """See Part."""
        for number, letter in enumerate(self.types):
            if letter == "m":
                if self._count(self.first + self.places[number]) != self.frame.n:
                    raise self.frame.broken()
            else:
                self._column(number)


@lru_cache(maxsize=64)
def _places(types: str) -> list[int]:
    """Where the blobs of each column begin among those of the part, and how many they are."""
    return list(accumulate((1 + (letter == "t") for letter in types), initial=0))


def part(frame: Frame, what: str, first: int, decoder: Decoder) -> Part:
    """The part of that name; raises Broken, or CheckpointError for what only a newer version reads."""
    told = frame.head.get(what)
    if not isinstance(told, str):
        raise frame.broken()
    layout, _, packing = told.partition("+")
    kinds: dict[str, Callable[..., Part]] = {"msgpack": Packed, "columns": Columns}
    if layout not in kinds or packing not in ("", "zstd") or (what == "stories" and layout != "msgpack"):
        raise frame.newer()
    return kinds[layout](frame, what, first, decoder, zstd=packing == "zstd")


def parts(frame: Frame, decoder: Decoder) -> tuple[Part, Part]:
    """The keys of a frame, and its values or stories; raises Broken, or CheckpointError."""
    keys = part(frame, "keys", 0, decoder)
    rest = part(frame, "values" if frame.kind == "values" else "stories", keys.blobs, decoder)
    if not frame.n or keys.blobs + rest.blobs != len(frame.table):
        raise frame.broken()
    return keys, rest


def _inflated(blob: bytes, size: int | None, frame: Frame) -> bytes:
    """What one Zstandard frame holds, which tells its size."""
    try:
        told, decompress = _zstd(blob)
    except ImportError as error:
        raise CheckpointError(f"{frame.source.path} is compressed: install the package zstandard to read it") from error
    except Exception as error:
        raise frame.broken() from error
    if told is None or told > SIZE_LIMIT or (size is not None and told != size):
        raise frame.broken()
    try:
        data: bytes = decompress(blob)
    except Exception as error:
        raise frame.broken() from error
    if len(data) != told:
        raise frame.broken()
    return data


def _zstd(blob: bytes) -> tuple[int | None, Any]:
    """The size that the frame tells, and what decompresses it."""
    try:
        own = importlib.import_module("compression.zstd")
    except ImportError:
        package = importlib.import_module("zstandard")
        told = package.frame_content_size(blob)
        return (told if told >= 0 else None), package.ZstdDecompressor().decompress
    return own.get_frame_info(blob).decompressed_size, own.decompress
