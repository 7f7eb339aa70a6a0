"""Rows of a checkpoint as a user reads them: all of them, or those that `where` leaves.

It knows frames that count and the names of columns; which frames count and how bytes are laid out is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy

from . import _tables
from ._columns import Array, as_array, joined
from ._parts import Field, Lacking
from ._pieces import KEYS, VALUES, Name, Names, Piece, matching, shown
from ._select import Condition, Keys
from ._source import CheckpointError, Filler
from ._values import identity

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]
    import polars
    import pyarrow


class Rows:
    """Rows of a checkpoint, in the order of the file.

    Made by :class:`maniple.Checkpoint`, which has all rows, and by :meth:`where`. Nothing is read before it is asked
    for, and nothing is kept but which rows are meant. Reading from several threads at once is fine.
    """

    _names: Names
    _values: list[Piece]
    _failures: list[Piece]

    def __len__(self) -> int:
        """How many rows have a value."""
        return sum(map(len, self._values))

    @property
    def columns(self) -> list[str]:
        """The names of the columns of the values.

        Those that the job gave (``--columns``); else those of the first row, if it is a dict or a Series; else
        `value` for a single value, and `c0`, `c1`, .. for a list, tuple or array.
        """
        return list(self._names.of(VALUES))

    @property
    def key_columns(self) -> list[str]:
        """The names of the fields of the keys.

        Those of the task file, if it has any; else those of the first key, if it is a dict; else `date`, `code` for an
        integer and a text, and `key0`, `key1`, .. for anything else.
        """
        return list(self._names.of(KEYS))

    def keys(self) -> Iterator[Any]:
        """Yield the key of each row that has a value, holding one frame at a time.

        Yields
        ------
        tuple or object
            A tuple where the key is an array (lists within it are tuples, too); else the single argument, or a dict.
        """
        for piece in self._values:
            yield from piece.keys()

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Yield (key, value) for each row, holding one frame at a time.

        Raises
        ------
        CheckpointError
            A checksum is wrong, or an object does not unpickle.
        """
        for piece in self._values:
            yield from piece.pairs()

    __iter__ = items

    def raw_items(self) -> Iterator[tuple[bytes, Any]]:
        """Yield (key, value) for each row as :meth:`items`, the key as its MessagePack: the bytes that tell keys apart.

        A key is not always what was the task: a list within it comes as a tuple, a copy of an object pickles otherwise.
        """
        for piece in self._values:
            yield from piece.raw_pairs()

    def __getitem__(self, key: Any) -> NoReturn:
        # dict(rows) asks for one key after the other, which would take hours.
        raise TypeError("rows have no []: get(key) finds one value, dict(rows.items()) makes a dict of all")

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of one key.

        It looks through the keys of the file; for many keys use ``where(pairs=...)``.

        Parameters
        ----------
        key
            As :meth:`keys` gives it, a dict in the same order; a list is as good as a tuple. 1, 1.0, True and "1" are
            four keys.
        default
            What to return if there is no value.
        """
        for piece in matching(self._values, Keys([key])):
            for found, value in piece.pairs():
                if identity(found) == identity(key):
                    return value
        return default

    def failures(self) -> list[tuple[Any, dict[str, Any]]]:
        """The tasks that failed and have no value: each key with the story of its last failure.

        Returns
        -------
        list of (key, dict)
            A story has `cause`, `message`, `traceback`, `stdout`, `stderr`, `host`, `pid`, `attempt`, and what the
            cause adds.
        """
        failed: dict[bytes, tuple[Any, dict[str, Any]]] = {}
        for piece in self._failures:
            for key, story in piece.pairs():
                failed[identity(key)] = key, story
        if failed:
            for piece in matching(self._values, Keys(key for key, _ in failed.values())):
                for key in piece.keys():
                    failed.pop(identity(key), None)
        return list(failed.values())

    def where(self, *, pairs: Iterable[Any] | None = None, **conditions: Any) -> Rows:
        """The rows whose keys meet all conditions, with the same methods.

        Parameters
        ----------
        pairs
            Whole keys: ``[(20240102, "000001"), (20240103, "600000")]``.
        **conditions
            By the name of a key's column: a value, several values, or a range that includes both ends, as a slice or a
            text: ``date=20240102``, ``code=["000001", "600000"]``, ``date="20240102.."``,
            ``date=slice(20240102, 20240131)``. A number is never taken for a text: the code 600000 is not "600000".

        Raises
        ------
        CheckpointError
            The keys have no such column.

        Examples
        --------
        >>> month = checkpoint.where(date="20240101..20240131", code=["000001", "600000"])  # doctest: +SKIP
        """
        tests = [(self._names.field(KEYS, name), Condition(wanted)) for name, wanted in conditions.items()]
        keys = None if pairs is None else Keys(pairs)

        def left(pieces: Iterable[Piece]) -> list[Piece]:
            for field, condition in tests:
                pieces = [p.only(condition.mask(self._one(p, KEYS, field))) for p in pieces if len(p)]
            return list(pieces if keys is None else matching(pieces, keys))

        chosen = Rows()
        chosen._names, chosen._values, chosen._failures = self._names, left(self._values), left(self._failures)
        return chosen

    def key_column(self, name: Name) -> Array:
        """One field of the keys.

        Parameters
        ----------
        name
            One of `key_columns`, or its place from 0.

        Returns
        -------
        numpy.ndarray, shape (rows,)
            int64 if all are integers, float64 if all are floats, else objects.

        Raises
        ------
        CheckpointError
            A key does not have that field.
        """
        return self._arrays(KEYS, [name])[0]

    def column(self, name: Name) -> Array:
        """One column of the values; of a frame in columns only that column is read.

        Parameters
        ----------
        name
            One of `columns`, or its place from 0. Negative places count from the end.

        Returns
        -------
        numpy.ndarray, shape (rows,)
            float64 if all are floats, bit for bit; int64 if all are integers; float64 if they are integers and floats
            and each integer stays what it is; else Python objects.

        Raises
        ------
        CheckpointError
            A row does not have that column (the error names a key), or a checksum is wrong.
        """
        return self._arrays(VALUES, [name])[0]

    def arrays(self, *names: Name) -> dict[Name, Array]:
        """Several columns in one pass, each as :meth:`column` has it; all of them if none is named."""
        wanted: Sequence[Name] = names or self.columns
        if not names:
            self._check_width()
        return dict(zip(wanted, self._arrays(VALUES, wanted)))

    def to_numpy(self) -> Array:
        """All columns of the values.

        Returns
        -------
        numpy.ndarray, shape (rows, columns)
            A dtype that all columns have without a change to any number: float64, int64 or object. Each column
            is contiguous.

        Raises
        ------
        CheckpointError
            Rows have different widths, or a checksum is wrong.
        """
        self._check_width()
        names = self.columns
        rooms = numpy.empty((len(names), len(self)))
        views = list(rooms)
        arrays = self._arrays(VALUES, names, views)
        if all(array is view for array, view in zip(arrays, views)):
            return numpy.transpose(rooms)
        whole = joined(arrays)
        return numpy.transpose(whole.reshape(len(names), len(self)))

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame: the columns of the keys, then those of the values.

        A value's column that has the name of a key's column gets `_value` behind its name.
        """
        return _tables.to_pandas(self._table())

    def to_polars(self) -> polars.DataFrame:
        """As :meth:`to_pandas`, for polars. A column of values that polars has no type for is an error."""
        frame: polars.DataFrame = _tables.to_polars(self._table())
        return frame

    def to_arrow(self) -> pyarrow.Table:
        """As :meth:`to_pandas`, for Arrow. A column of values that Arrow has no type for is an error."""
        return _tables.to_arrow(self._table())

    def pivot(self, index: Name, columns: Name, values: Name) -> pandas.DataFrame:
        """One column of the values as a table of one key column against another.

        Parameters
        ----------
        index, columns
            Columns of the keys: the rows and the columns of the table, both sorted.
        values
            The column of the values.

        Returns
        -------
        pandas.DataFrame
            NaN where there is no row. Integers become floats if something is missing and each stays what it is.

        Raises
        ------
        CheckpointError
            Two rows fall on the same place.

        Examples
        --------
        >>> close = checkpoint.pivot("date", "code", "close")  # doctest: +SKIP
        """
        sides = [
            [self._one(piece, KEYS, self._names.field(KEYS, name), piece.rows) for piece in self._values]
            for name in (index, columns)
        ]
        labels = [self.key_columns[name] if isinstance(name, int) else name for name in (index, columns)]
        return _tables.pivot(sides[0], sides[1], labels, self.column(values))

    def _table(self) -> dict[str, Array]:
        self._check_width()
        keys, values = self.key_columns, self.columns
        arrays = dict(zip(keys, self._arrays(KEYS, keys)))
        named = [f"{name}_value" if name in arrays else name for name in values]
        return arrays | dict(zip(named, self._arrays(VALUES, values)))

    def _check_width(self) -> None:
        names = self.columns
        for piece in self._values:
            odd = piece.part(VALUES).odd(names) if len(piece) else None
            if odd:
                key = piece.part(KEYS).rows(numpy.array([odd.row]))[0]
                raise CheckpointError(
                    f"rows have different columns: the value of {shown(key)} has {odd.width}, that of the first row "
                    f"{len(names)}; read the columns that all have with column(), or choose rows with where()"
                )

    def _one(self, piece: Piece, side: int, field: Field, rows: Array | None = None) -> Any:
        try:
            return piece.part(side).columns([field], rows)[0]
        except Lacking as lacking:
            raise self._no_such(piece, side, lacking) from None

    def _no_such(self, piece: Piece, side: int, lacking: Lacking) -> CheckpointError:
        key = piece.part(KEYS).rows(numpy.array([lacking.row]))[0]
        names = self._names.of(side)
        known = ", ".join(names[:8]) + (", .." if len(names) > 8 else "")
        what, whose = ("key column", "the key") if side == KEYS else ("column", "the value of")
        return CheckpointError(
            f"no {what} {lacking.asked!r}: {whose} {shown(key)} has {lacking.width}; known are {known}"
        )

    def _arrays(self, side: int, asked: Sequence[Name], rooms: Sequence[Array] = ()) -> list[Array]:
        """Columns of keys or values; they lie in `rooms`, if these are given and all is float64."""
        builders = [
            _Builder(self._names.field(side, name), len(self), rooms[place] if rooms else None)
            for place, name in enumerate(asked)
        ]
        filler = Filler()
        for piece in filter(len, self._values):
            try:
                self._add(piece, side, builders, filler)
            except Lacking as lacking:
                raise self._no_such(piece, side, lacking) from None
        filler.finish()
        return [builder.whole() for builder in builders]

    @staticmethod
    def _add(piece: Piece, side: int, builders: Sequence[_Builder], filler: Filler) -> None:
        part, others = piece.part(side), []
        for builder in builders:
            found = part.direct(builder.field) if piece.rows is None else None
            room = builder.room_for(len(piece), found[0]) if found else None
            if found and room is not None:
                filler.add((piece.frame, room, *found[1]))
            else:
                others.append(builder)
        if others:
            columns = part.columns([builder.field for builder in others], piece.rows)
            for builder, column in zip(others, columns):
                builder.add(as_array(column))


class _Builder:
    """One column that grows frame by frame: in one array of numbers, and in chunks where these do not fit into it."""

    def __init__(self, field: Field, total: int, room: Array | None) -> None:
        self.field, self.total, self.given = field, total, room
        self.room: Array | None = None
        self.bytes = memoryview(b"")
        self.filled = 0
        self.chunks: list[tuple[int, Array]] = []

    def room_for(self, n: int, letter: str) -> memoryview | None:
        """Where the numbers of the next frame belong; None if they are not of the array's type."""
        if self.room is None:
            is_fit = self.given is not None and letter == "f"
            self.room = self.given if is_fit else numpy.empty(self.total, f"<{letter}8")
            assert self.room is not None
            self.bytes = memoryview(self.room.data).cast("B")
        if self.room.dtype.kind != letter:
            return None
        start, self.filled = self.filled, self.filled + n
        return self.bytes[8 * start : 8 * self.filled]

    def add(self, chunk: Array) -> None:
        """The next frame's column, which is not read into the array."""
        self.chunks.append((self.filled, chunk))
        self.filled += len(chunk)

    def whole(self) -> Array:
        """All of it, as one array."""
        if self.room is None:
            return joined([chunk for _, chunk in self.chunks])
        if all(chunk.dtype == self.room.dtype for _, chunk in self.chunks):
            for start, chunk in self.chunks:
                self.room[start : start + len(chunk)] = chunk
            return self.room
        pieces, end = [], 0
        for start, chunk in self.chunks:
            pieces += [self.room[end:start], chunk]
            end = start + len(chunk)
        return joined([piece for piece in [*pieces, self.room[end:]] if len(piece)])
