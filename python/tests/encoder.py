"""Writes checkpoints by `docs/checkpoint-format.md` alone, so that the reader is not only tested against one writer.

It knows the bytes and not the commit strategy: the caller says what is durable, and nothing is synced. It shares no
code with the package.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Union, cast

import msgpack
import numpy
import pandas  # type: ignore[import-untyped]

Column = Union["numpy.ndarray[Any, Any]", Sequence[Any]]
ID = bytes(range(16))
CREATED = 1_767_225_600_000


def pack(value: Any) -> bytes:
    """The MessagePack of a value, by docs/values.md."""
    return cast(bytes, msgpack.packb(value, default=extension, strict_types=True))


def extension(value: Any) -> Any:
    if type(value) is tuple:
        return msgpack.ExtType(1, pack(list(value)))
    if type(value) is int:
        return msgpack.ExtType(2, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
    if type(value) is numpy.ndarray:
        return msgpack.ExtType(4, pack([value.dtype.str, list(value.shape), value.tobytes()]))
    if type(value) is pandas.Series:
        return msgpack.ExtType(5, pack([value.name, list(value.index), value.to_numpy()]))
    return msgpack.ExtType(3, pickle.dumps(value, protocol=5))


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


@dataclass
class Part:
    """The keys, the values or the stories of a frame: their layout, what the head says of it, their blobs."""

    layout: str
    blobs: list[bytes]
    told: dict[str, Any] = field(default_factory=dict)

    def squeezed(self) -> Part:
        import zstandard

        blobs = [zstandard.ZstdCompressor().compress(blob) for blob in self.blobs]
        return Part(f"{self.layout}+zstd", blobs, self.told)


def plain(rows: Iterable[Any]) -> Part:
    return Part("msgpack", [b"".join(map(pack, rows))])


def one_column(items: Column) -> tuple[str, list[bytes]]:
    """The type and the blobs of a column."""
    if isinstance(items, numpy.ndarray):
        return {"f": "f", "i": "i"}[items.dtype.kind], [items.astype(f"<{items.dtype.kind}8").tobytes()]
    kinds = set(map(type, items))
    if kinds == {float}:
        return one_column(numpy.array(items, "<f8"))
    if kinds == {int} and all(-(1 << 63) <= item < 1 << 63 for item in items):
        return one_column(numpy.array(items, "<i8"))
    if kinds == {str} and 2 * len(set(items)) <= len(items):
        words = sorted(set(items), key=str.encode)
        places = {word: place for place, word in enumerate(words)}
        return "t", [numpy.array([places[item] for item in items], "<u4").tobytes(), b"".join(map(pack, words))]
    return "m", [b"".join(map(pack, items))]


def columns(row: str, held: Sequence[Column], names: Sequence[str] = ()) -> Part:
    made = [one_column(items) for items in held]
    told = {"types": "".join(letter for letter, _ in made), "row": row} | ({"names": list(names)} if names else {})
    return Part("columns", [blob for _, blobs in made for blob in blobs], told)


def laid_out(rows: Sequence[Any]) -> Part:
    """Rows in columns if they all are of one kind and width, else as they are."""
    first = rows[0]
    if {type(row) for row in rows} != {type(first)}:
        return plain(rows)
    if type(first) in (int, float, str):
        part = columns("scalar", [list(rows)])
        return plain(rows) if part.told["types"] == "m" else part
    if type(first) is dict and first and {tuple(row) for row in rows} == {tuple(first)}:
        return columns("dict", list(zip(*(row.values() for row in rows))), list(first))
    if type(first) is pandas.Series and {(tuple(row.index), row.dtype) for row in rows} == {
        (tuple(first.index), first.dtype)
    }:
        matrix = numpy.array([row.to_numpy() for row in rows])
        return columns("series", [[row.name for row in rows], *matrix.T], list(first.index))
    if type(first) is numpy.ndarray and {(row.shape, row.dtype.str) for row in rows} == {
        (first.shape, first.dtype.str)
    }:
        if first.ndim == 1 and first.size and first.dtype.str in ("<f8", "<i8"):
            return columns("array", list(numpy.array(rows).T))
    if type(first) in (list, tuple) and first and {len(row) for row in rows} == {len(first)}:
        return columns(type(first).__name__, list(zip(*rows)))
    return plain(rows)


class Encoder:
    """A checkpoint, or a journal, that grows."""

    def __init__(self, path: str | Path, *, minor: int = 1, **header: Any) -> None:
        told: dict[str, Any] = {"identity": "function m:f", "created": CREATED, "software": "encoder", "columns": []}
        told |= {"id": ID, **header}
        self.tag = told["id"][:4]
        self.file = open(path, "wb")
        self.sequence, self.length = 0, 0
        self.previous: int | None = None
        self.counts = {"values": 0, "failures": 0}
        self.listed: list[bytes] = []
        packed = cast(bytes, msgpack.packb(told))
        start = struct.pack("<8sHHI4s", b"\x89MNP\r\n\x1a\n", 1, minor, len(packed), self.tag)
        self.raw(start + struct.pack("<I", zlib.crc32(start + padded(packed))) + padded(packed))
        self.durable = self.length

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def raw(self, data: bytes) -> None:
        """Writes bytes that may be anything."""
        self.file.write(data)
        self.file.flush()
        self.length += len(data)

    def frame(self, kind: str, blobs: Sequence[bytes] = (), **told: Any) -> int:
        """Writes a frame; returns its offset."""
        table = b"".join(struct.pack("<QI", len(blob), zlib.crc32(padded(blob))) for blob in blobs)
        packed = cast(bytes, msgpack.packb({"kind": kind, "at": CREATED + self.sequence, "blobs": table, **told}))
        sizes = list(accumulate((len(padded(blob)) for blob in blobs), initial=0))
        fixed = struct.pack("<4sIQQQ4s", b"MNPF", len(packed), sizes[-1], self.sequence, self.durable, self.tag)
        head = fixed + struct.pack("<I", zlib.crc32(fixed + padded(packed))) + padded(packed)
        at = self.length
        if kind in self.counts:
            self.listed.append(struct.pack("<Q", at) + head)
            self.counts[kind] += told["n"]
        self.raw(b"".join([head, *map(padded, blobs)]))
        self.sequence += 1
        return at

    def synced(self) -> None:
        """All that was written is durable, as the next frames will tell."""
        self.durable = self.length

    def values(self, keys: Part, values: Part, n: int, **told: Any) -> int:
        told |= {"n": n, "keys": keys.layout, "values": values.layout, **values.told}
        told |= {{"types": "key_types", "row": "key_row", "names": "key_names"}[k]: v for k, v in keys.told.items()}
        return self.frame("values", [*keys.blobs, *values.blobs], **told)

    def rows(self, rows: dict[Any, Any] | Sequence[tuple[Any, Any]], **told: Any) -> int:
        """A frame of values, in columns where they fit."""
        pairs = list(rows.items()) if isinstance(rows, dict) else list(rows)
        keys, values = ([pair[place] for pair in pairs] for place in (0, 1))
        keys = [list(key) if type(key) is tuple else key for key in keys]
        return self.values(laid_out(keys), laid_out(values), len(pairs), **told)

    def journal_rows(self, rows: dict[Any, Any], **told: Any) -> int:
        """A frame of values as a journal has it."""
        keys = [list(key) if type(key) is tuple else key for key in rows]
        return self.values(plain(keys), plain(rows.values()), len(rows), **told)

    def failures(self, stories: dict[Any, dict[str, Any]], **told: Any) -> int:
        keys = laid_out([list(key) if type(key) is tuple else key for key in stories])
        whole = plain([STORY | story for story in stories.values()])
        told |= {"n": len(stories), "keys": keys.layout, "stories": "msgpack"}
        told |= {{"types": "key_types", "row": "key_row", "names": "key_names"}[k]: v for k, v in keys.told.items()}
        return self.frame("failures", [*keys.blobs, *whole.blobs], **told)

    def index(self) -> None:
        self.synced()
        if self.listed:
            told: dict[str, Any] = {} if self.previous is None else {"previous": self.previous}
            self.previous, self.listed = self.frame("index", [b"".join(self.listed)], optional=True, **told), []

    def close(self, failed: int = 0, shape: dict[str, Any] | None = None) -> None:
        """The index and the close frame; the file may be appended to afterwards."""
        self.index()
        self.synced()
        total = {**self.counts, "frames": self.sequence, "failed": failed}
        told: dict[str, Any] = {"total": total} | ({"shape": shape} if shape else {})
        told |= {} if self.previous is None else {"index": self.previous}
        self.frame("close", **told)


def write(path: Path, *frames: dict[Any, Any], layout: str = "columns", closed: bool = True, **header: Any) -> Path:
    """A checkpoint with so many frames; `layout` is `columns`, `msgpack` or `zstd`."""
    with Encoder(path, **header) as file:
        for rows in frames:
            keys = [list(key) if type(key) is tuple else key for key in rows]
            parts = [(plain if layout == "msgpack" else laid_out)(side) for side in (keys, list(rows.values()))]
            keys_part, values_part = [part.squeezed() if layout == "zstd" else part for part in parts]
            file.values(keys_part, values_part, len(rows))
            file.synced()
        if closed:
            file.close()
    return path


STORY = {
    "cause": "exception",
    "type": "builtins.ValueError",
    "message": "no prices",
    "traceback": "",
    "stdout": "",
    "stderr": "",
    "host": "h",
    "pid": 1,
    "attempt": 1,
}
