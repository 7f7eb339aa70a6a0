"""The keys, the values or the stories of one frame: their layout checked, and rows or columns made of them.

It knows the blobs of one frame, and not which frames count.

Invariant: whatever the blobs hold, what is wrong is told as damage of this frame, with no crash and no wrong value.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import accumulate, islice
from typing import Any, NamedTuple

import msgpack
import numpy

from ._columns import Array, Column, Text, as_array, as_list, settled, taken
from ._source import CheckpointError, Frame
from ._values import TUPLE, Decoder, Malformed, NotUnpickled, assembled, count, identity, slices

ROWS = ("scalar", "list", "tuple", "dict", "array", "series")
TOLD, TOLD_OF_KEYS = ("types", "row", "names"), ("key_types", "key_row", "key_names")
NAMED = ("dict", "series")
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

    def __init__(self, frame: Frame, what: str, first: int, decoder: Decoder, *, zstd: bool = False) -> None:
        self.names: list[str] = []
        self.frame, self.what, self.first, self.decoder, self.zstd = frame, what, first, decoder, zstd

    def direct(self, field: Field) -> tuple[str, tuple[int, int, int]] | None:
        """The type of a column that is stored as its numbers, and where they lie: offset, length, checksum."""
        return None

    def rows(self, picked: Array | None = None) -> list[Any]:
        """The rows as Python values; those picked, or all."""
        raise NotImplementedError

    def raw(self, picked: Array | None = None) -> list[bytes]:
        """The rows as the bytes that they had before they were laid out."""
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

    def _slices(self, place: int) -> list[bytes]:
        if self._count(place) != self.frame.n:
            raise self.frame.broken()
        return slices(self._blob(place))

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

    def raw(self, picked: Array | None = None) -> list[bytes]:
        """See Part."""
        rows = self._slices(self.first)
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


class Layout(NamedTuple):
    """What a head tells of columns: `hidden` of them come before those that a user sees."""

    types: str
    row: str
    names: list[str]
    hidden: int
    width: int
    numbers: int
    """How many columns are of numbers before the first that is not."""
    places: list[int]
    """Where the blobs of each column begin among those of the part; the last one is how many there are."""


@lru_cache(maxsize=64)
def _layout(types: str, row: str, names: tuple[str, ...]) -> Layout:
    """The layout, the same for many frames; raises KeyError for a newer one, ValueError if it breaks the rules."""
    if not isinstance(types, str) or not isinstance(row, str):
        raise ValueError
    if row not in ROWS or set(types) - set("fitm"):
        raise KeyError
    hidden = int(row == "series")
    width = len(types) - hidden
    is_scalar, is_uniform = types in ("f", "i", "t"), types[hidden:] in ("", "f" * width, "i" * width)
    if (
        not 1 <= len(types) <= COLUMN_LIMIT
        or (row == "scalar" and not is_scalar)
        or (row in ("array", "series") and not is_uniform)
        or (row in NAMED and (len(names) != width or len(set(names)) != width or set(map(type, names)) - {str}))
    ):
        raise ValueError
    numbers = len(types) - len(types.lstrip("fi"))
    return Layout(
        types,
        row,
        list(names),
        hidden,
        width,
        numbers,
        list(accumulate((1 + (one == "t") for one in types), initial=0)),
    )


def laid_out(frame: Frame, what: str) -> Layout:
    """The layout of keys or values in columns; raises Broken, or CheckpointError for one of a newer version."""
    types, row, names = map(frame.head.get, TOLD_OF_KEYS if what == "keys" else TOLD)
    try:
        return _layout(types, row, tuple(names or ()) if row in NAMED else ())
    except KeyError:
        raise frame.newer() from None
    except (ValueError, TypeError) as error:
        raise frame.broken() from error


class Columns(Part):
    """Layout `columns`: a blob, or two, for each column."""

    def __init__(self, frame: Frame, what: str, first: int, decoder: Decoder, *, zstd: bool = False) -> None:
        super().__init__(frame, what, first, decoder, zstd=zstd)
        held = laid_out(frame, what)
        self.types, self.row = held.types, held.row
        self.names, self.places, self.numbers = held.names, held.places, held.numbers
        self.hidden, self.width, self.blobs = held.hidden, held.width, held.places[-1]

    def place(self, field: Field) -> int:
        """Which column that is; raises Lacking."""
        place = field.place
        if field.name is not None and self.names:
            place = self.names.index(field.name) if field.name in self.names else None
        if place is None or not -self.width <= place < self.width:
            raise Lacking(0, self.width, field)
        return place % self.width + self.hidden

    def direct(self, field: Field) -> tuple[str, tuple[int, int, int]] | None:
        """See Part."""
        number = self.place(field)
        letter, place = self.types[number], self.first + self.places[number]
        if letter not in "fi" or self.zstd:
            return None
        is_easy = number < self.numbers
        found = self.frame.number_blob_at(self.first, place) if is_easy else self.frame.blob_at(place)
        if found[1] != 8 * self.frame.n:
            raise self.frame.broken()
        return letter, found

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
            try:
                return [make(row, index=self.names, name=name) for row, name in zip(matrix, as_list(held[0]))]
            except TypeError as error:  # a name that has no hash
                raise self.frame.broken() from error
        lists = [as_list(column) for column in held]
        if self.row == "scalar":
            return lists[0]
        if self.row == "dict":
            return [dict(zip(self.names, row)) for row in zip(*lists)]
        is_tuple = self.row == "tuple" or self.what == "keys"
        return list(zip(*lists)) if is_tuple else list(map(list, zip(*lists)))

    def raw(self, picked: Array | None = None) -> list[bytes]:
        """See Part."""
        if "m" not in self.types or self.row in ("array", "series"):
            rows = list(map(identity, self.rows(picked)))
        else:
            fields = [self._raw_column(number) for number in range(len(self.types))]
            rows = assembled(self.row, self.names, fields)
            rows = rows if picked is None else [rows[row] for row in picked]
        return [identity(msgpack.ExtType(TUPLE, row)) for row in rows] if self.row == "tuple" else rows

    def _raw_column(self, number: int) -> list[bytes]:
        if self.types[number] == "m":
            return self._slices(self.first + self.places[number])
        return list(map(identity, as_list(self._column(number))))

    def check(self) -> None:
        """See Part."""
        for number, letter in enumerate(self.types):
            if letter == "m":
                if self._count(self.first + self.places[number]) != self.frame.n:
                    raise self.frame.broken()
            else:
                self._column(number)


LAYOUTS: dict[str, Callable[..., Part]] = {"msgpack": Packed, "columns": Columns}
LAYOUTS |= {f"{name}+zstd": partial(kind, zstd=True) for name, kind in LAYOUTS.items()}


def layout(frame: Frame, what: str) -> str:
    """The layout of a part; raises Broken, or CheckpointError for what only a newer version reads."""
    told = frame.head.get(what)
    if not isinstance(told, str):
        raise frame.broken()
    if told not in LAYOUTS or (what == "stories" and not told.startswith("msgpack")):
        raise frame.newer()
    return told


def keys_of(frame: Frame, decoder: Decoder) -> Part:
    """The keys of a frame; raises Broken, or CheckpointError."""
    return LAYOUTS[layout(frame, "keys")](frame, "keys", 0, decoder)


def rest_of(frame: Frame, decoder: Decoder) -> Part:
    """The values or stories of a frame; raises Broken, or CheckpointError."""
    first = laid_out(frame, "keys").places[-1] if layout(frame, "keys").startswith("columns") else 1
    what = "values" if frame.kind == "values" else "stories"
    rest = LAYOUTS[layout(frame, what)](frame, what, first, decoder)
    if not frame.n or first + rest.blobs != frame.blobs:
        raise frame.broken()
    return rest


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
