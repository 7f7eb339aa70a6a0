"""The rows of single frames, and what their columns are called: what `_rows` puts together for users."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Union

import numpy

from ._columns import Array
from ._parts import Field, Part, fields_of, keys_of, rest_of
from ._select import Keys
from ._source import Frame
from ._values import Decoder

Name = Union[str, int]
KEYS, VALUES = 0, 1


class Piece:
    """The rows of one frame that are meant; None: all."""

    def __init__(self, frame: Frame, decoder: Decoder, rows: Array | None = None) -> None:
        self.frame, self.decoder, self.rows = frame, decoder, rows
        self._keys: Part | None = None
        self._rest: Part | None = None

    def __len__(self) -> int:
        return self.frame.n if self.rows is None else len(self.rows)

    def part(self, side: int) -> Part:
        """The keys, or the values or stories."""
        if side == KEYS:
            self._keys = self._keys or keys_of(self.frame, self.decoder)
            return self._keys
        self._rest = self._rest or rest_of(self.frame, self.decoder)
        return self._rest

    def keys(self) -> list[Any]:
        """The keys as Python values."""
        return self.part(KEYS).rows(self.rows)

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Each key with its value or story."""
        return zip(self.keys(), self.part(VALUES).rows(self.rows))

    def raw_pairs(self) -> Iterator[tuple[bytes, Any]]:
        """Each key as the bytes that it is, with its value or story."""
        return zip(self.part(KEYS).raw(self.rows), self.part(VALUES).rows(self.rows))

    def only(self, mask: Array) -> Piece:
        """Those of its rows that a mask over the frame has, too."""
        chosen = numpy.flatnonzero(mask) if self.rows is None else self.rows[mask[self.rows]]
        piece = Piece(self.frame, self.decoder, None if len(chosen) == self.frame.n else chosen)
        piece._keys, piece._rest = self._keys, self._rest
        return piece


def usual_names(elements: list[Any], row: Any, *, is_key: bool) -> list[str]:
    """What the columns of a key or value are called that tells no names."""
    if is_key:
        is_usual = [type(element) for element in elements] == [int, str]
        return ["date", "code"] if is_usual else [f"key{place}" for place in range(len(elements))]
    is_one = elements and elements[0] is row
    return ["value"] if is_one else [f"c{place}" for place in range(len(elements))]


class Names:
    """What the columns of keys and of values are called; looked up when first asked for."""

    def __init__(self, header: Mapping[str, Any], first: Piece | None) -> None:
        told = header.get("key_columns"), header.get("columns")
        self.told = [list(names) if isinstance(names, list) else [] for names in told]
        self.first = first

    def of(self, side: int) -> list[str]:
        """The header's names, else those of the first row, else such as others would make up."""
        if not self.told[side] and self.first and not (side == VALUES and self.first.frame.kind != "values"):
            row = self.first.part(side).rows(numpy.zeros(1, "<i8"))[0]
            elements, names = fields_of(row)
            self.told[side] = names or usual_names(elements, row, is_key=side == KEYS)
        return self.told[side]

    def field(self, side: int, asked: Name) -> Field:
        """The column that is meant."""
        names = self.of(side)
        if isinstance(asked, str):
            return Field(names.index(asked) if asked in names else None, asked)
        place = operator.index(asked)
        return Field(place, names[place] if -len(names) <= place < len(names) else None)


def shown(key: Any) -> str:
    """A key in the text of an error."""
    try:
        return repr(key)
    except ValueError:  # Python does not write integers of thousands of digits
        return "a key with a huge integer"


def matching(pieces: Iterable[Piece], keys: Keys) -> Iterator[Piece]:
    for piece in pieces:
        if len(piece):
            chosen = piece.only(keys.mask(piece.part(KEYS)))
            if len(chosen):
                yield chosen
