"""MessagePack to Python values, by `docs/values.md`. It knows nothing of files and frames.

Invariant: what a blob holds is given back as what it was, or not at all.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgpack
import numpy

TUPLE, INTEGER, PICKLE, ARRAY, SERIES = 1, 2, 3, 4, 5
NUMBERS = re.compile(r"[<>|=]?[biufc]\d{1,2}")
"""The dtypes that an array may have; numpy takes more for one, and some of it for Python to parse."""
OPTIONS = {"strict_map_key": False, "unicode_errors": "surrogateescape"}


@dataclass(frozen=True)
class Pickled:
    """An object that is not unpickled: what `unpickle=False` gives in its place.

    Attributes
    ----------
    data
        The pickle; `pickle.loads(data)` makes the object of it.
    """

    data: bytes


class Malformed(ValueError):
    """Not the MessagePack that is said to be there."""


class Decoder:
    """Makes values of MessagePack.

    Parameters
    ----------
    unpickle
        Whether extension 3 becomes the object, rather than :class:`Pickled`.
    """

    def __init__(self, unpickle: bool) -> None:
        self.unpickle = unpickle

    def items(self, blob: bytes, n: int | None, *, keys: bool = False) -> list[Any]:
        """The values one behind the other, `n` if that is told; arrays are tuples in keys. Raises Malformed."""
        n = count(blob) if n is None else n
        unpacker = msgpack.Unpacker(
            use_list=not keys, ext_hook=self.extension, max_buffer_size=len(blob) + 1, **OPTIONS
        )
        unpacker.feed(blob)
        try:
            items = list(islice(unpacker, n))  # no more: it counts the bytes of a value that is cut short as read
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
            raise Malformed from error
        if len(items) != n or unpacker.tell() != len(blob):
            raise Malformed
        return items

    def extension(self, code: int, data: bytes) -> Any:
        """What an extension type stands for; one that is not of ours stays what it is."""
        if code == PICKLE:
            return self._object(data) if self.unpickle else Pickled(data)
        try:
            return self._native(code, data)
        except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException):
            return _kept(code, data)

    def _native(self, code: int, data: bytes) -> Any:
        if code == INTEGER:
            return int.from_bytes(data, "little", signed=True)
        if code not in (TUPLE, ARRAY, SERIES):
            return _kept(code, data)
        held = msgpack.unpackb(data, ext_hook=self.extension, **OPTIONS)
        if type(held) is not list:
            raise Malformed
        if code == TUPLE:
            return tuple(held)
        if code == SERIES:
            name, labels, values = held
            return importlib.import_module("pandas").Series(values, index=labels, name=name)
        dtype, shape, elements = held
        if type(dtype) is not str or not NUMBERS.fullmatch(dtype) or min(shape, default=0) < 0:
            raise Malformed
        return numpy.frombuffer(bytearray(elements), dtype).reshape(shape)

    @staticmethod
    def _object(data: bytes) -> Any:
        try:
            return importlib.import_module("pickle").loads(data)
        except Exception as error:
            raise NotUnpickled(f"{type(error).__name__}: {error}") from error


class NotUnpickled(Exception):
    """An object is sound, and cannot be made here: mostly, its module is missing."""


def _kept(code: int, data: bytes) -> Any:
    """An extension that stays what it is; msgpack's own constructor refuses those below 0, which are MessagePack's."""
    return tuple.__new__(msgpack.ExtType, (code, data))


def count(blob: bytes) -> int:
    """How many values a blob holds, without making them; raises Malformed."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(blob) + 1)
    unpacker.feed(blob)
    held = 0
    try:
        while unpacker.tell() < len(blob):
            unpacker.skip()
            held += 1
    except (ValueError, msgpack.UnpackException) as error:
        raise Malformed from error
    return held


def slices(blob: bytes) -> list[bytes]:
    """The bytes of each of the values that a sound blob holds."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(blob) + 1)
    unpacker.feed(blob)
    found, start = [], 0
    while start < len(blob):
        unpacker.skip()
        found.append(blob[start : unpacker.tell()])
        start = unpacker.tell()
    return found


def assembled(row: str, names: Sequence[str], fields: Sequence[Sequence[bytes]]) -> list[bytes]:
    """The bytes of rows, by those of the fields of all rows, one field after the other."""
    packer = msgpack.Packer()
    if row == "scalar":
        return list(fields[0])
    head: bytes = packer.pack_map_header(len(names)) if row == "dict" else packer.pack_array_header(len(fields))
    parts = zip(map(identity, names), fields) if row == "dict" else ((b"", field) for field in fields)
    columns = [[name + one for one in field] for name, field in parts]
    return [head + b"".join(each) for each in zip(*columns)]


def identity(key: Any) -> bytes:
    """The same for the same key, whose type matters: 1, 1.0 and True are different ones."""
    told: bytes = msgpack.packb(
        key,
        default=_told,
        unicode_errors="surrogateescape",  # as keys are read: the bytes of a text may be none of UTF-8
    )
    return told


def _told(held: Any) -> Any:
    """What MessagePack has no form for; whole, which its text may not be."""
    if type(held) is int:
        return msgpack.ExtType(INTEGER, held.to_bytes(held.bit_length() // 8 + 1, "little", signed=True))
    if type(held) is numpy.ndarray:
        return msgpack.ExtType(ARRAY, identity([held.dtype.str, list(held.shape), held.tobytes()]))
    if type(held).__name__ == "Series":
        return msgpack.ExtType(SERIES, identity([held.name, list(held.index), held.to_numpy()]))
    return msgpack.ExtType(0, repr(held).encode())
