"""Read a checkpoint file, by `docs/checkpoint-format.md` alone.

A file that is being written can be read: what is not whole at its end is passed over. Nothing is ever unpickled, and
the file is never changed. Every checksum is verified before a byte is believed.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import msgpack

_MAGIC = b"\x89MNP\r\n\x1a\n"
_START = struct.Struct("<8sHHIII")
_FRAME = struct.Struct("<4sIQQQII")
_BLOB = struct.Struct("<QI")
_MARKER = b"MNPF"
_HEAD_LIMIT = 16 << 20
_STRETCH = 1 << 20


class CheckpointError(ValueError):
    """The file is not a checkpoint, is damaged, or was made by a newer version."""


def read(path: str | os.PathLike[str], *, skip_damaged: bool = False) -> Iterator[tuple[Any, Any]]:
    """Yield (key, value) for each recorded value, in the order of the file.

    Arrays in keys become tuples, those in values lists. A key that was recorded twice comes twice; the last value
    counts.

    Parameters
    ----------
    path
        The checkpoint.
    skip_damaged
        Go on behind corruption rather than raise :class:`CheckpointError` there.
    """
    with open(path, "rb") as file:
        for frame in _Reader(file).sound("values", skip_damaged):
            yield from zip(frame.keys(), frame.values())


def failures(path: str | os.PathLike[str], *, skip_damaged: bool = False) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield (key, story) for each recorded failure, in the order of the file.

    A story has `cause`, `message`, `traceback`, `stdout`, `stderr`, `host`, `pid`, `attempt`, and what the cause adds.
    A key that has a value too, before or after, has not failed.
    """
    with open(path, "rb") as file:
        for frame in _Reader(file).sound("failures", skip_damaged):
            yield from zip(frame.keys(), frame.stories())


def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Tell what the file holds, after a check of all of it.

    Returns
    -------
    dict
        `identity`, `created` (Unix time in ms), `software`, `columns`; `values` and `failures` (rows), `frames`,
        `closed` (whether its writer ended in order), `unfinished_bytes` (what a crash left at its end, or what is
        being written), `damage` (pairs of offsets).
    """
    with open(path, "rb") as file:
        reader = _Reader(file)
        rows = {"values": 0, "failures": 0}
        frames, closed = 0, False
        for frame in reader.sound(None, True):
            frames += 1
            closed = frame.kind == "close"
            if frame.kind in rows:
                rows[frame.kind] += frame.head["n"]
        told = {name: reader.header[name] for name in ("identity", "created", "software", "columns")}
        rest = {"frames": frames, "closed": closed, "unfinished_bytes": reader.unfinished, "damage": reader.damage}
        return told | rows | rest


class _Bad(CheckpointError):
    """A frame is not as it was written."""

    def __init__(self) -> None:
        super().__init__("a frame breaks the rules of the format")


def _padded(length: int) -> int:
    return -(-length // 8) * 8


def _unpack(blob: bytes, count: int, *, use_list: bool) -> list[Any]:
    unpacker = msgpack.Unpacker(use_list=use_list, strict_map_key=False, max_buffer_size=len(blob) + 1)
    unpacker.feed(blob)
    try:
        items = list(unpacker)
    except (ValueError, TypeError) as error:  # what msgpack raises for malformed input
        raise _Bad from error
    if len(items) != count or unpacker.tell() != len(blob):
        raise _Bad
    return items


@dataclass
class _Frame:
    offset: int
    sequence: int
    durable: int
    end: int
    head: dict[str, Any]
    body: bytes = b""

    @property
    def kind(self) -> str:
        return cast(str, self.head["kind"])

    def check(self) -> None:
        """Check each blob and cut the body into them; raise _Bad or CheckpointError."""
        self.blobs: list[bytes] = []
        at = 0
        for length, crc in _BLOB.iter_unpack(self.head["blobs"]):
            blob = self.body[at : at + _padded(length)]
            if len(blob) != _padded(length) or zlib.crc32(blob) != crc:
                raise _Bad
            self.blobs.append(blob[:length])
            at += len(blob)
        columns = [len(blob) for blob in self.blobs[1:]] if self.head.get("values") == "columns" else []
        if columns != [8 * self.head.get("n", 0)] * len(columns) or (columns and len(columns) != len(self.types)):
            raise _Bad
        layouts = {"keys": ("msgpack",), "values": ("msgpack", "columns"), "stories": ("msgpack",)}
        unknown = [name for name, known in layouts.items() if self.head.get(name, known[0]) not in known]
        kinds = ("values", "failures", "close")
        if unknown or (self.kind not in kinds and not self.head.get("optional")) or set(self.types) - set("fi"):
            raise CheckpointError(f"bytes {self.offset}..{self.end} were written by a newer version of maniple")

    @property
    def types(self) -> str:
        return cast(str, self.head.get("types", ""))

    def keys(self) -> list[Any]:
        return _unpack(self.blobs[0], self.head["n"], use_list=False)

    def stories(self) -> list[Any]:
        return _unpack(self.blobs[1], self.head["n"], use_list=True)

    def values(self) -> list[Any]:
        if self.head["values"] == "msgpack":
            return _unpack(self.blobs[1], self.head["n"], use_list=True)
        columns = []
        for letter, blob in zip(self.types, self.blobs[1:]):
            column = array("d" if letter == "f" else "q", blob)
            if sys.byteorder == "big":
                column.byteswap()
            columns.append(column)
        return list(columns[0]) if self.head["row"] == "scalar" else [list(row) for row in zip(*columns)]


class _Reader:
    """A file whose header is sound. `damage` and `unfinished` are known when `sound` is exhausted."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, os.fstat(file.fileno()).st_size
        self.damage: list[tuple[int, int]] = []
        self.unfinished = 0
        start = self._at(0, _START.size)
        if len(start) < _START.size or start[:8] != _MAGIC:
            raise CheckpointError(f"{file.name} is not a checkpoint, or was copied in text mode")
        _, major, minor, length, self.tag, crc = _START.unpack(start)
        head = self._at(_START.size, _padded(min(length, _HEAD_LIMIT)))
        if zlib.crc32(head, zlib.crc32(start[:20])) != crc:
            raise CheckpointError(f"the header of {file.name} is damaged")
        if major != 1:
            raise CheckpointError(f"{file.name} has format {major}.{minor}: a newer version of maniple reads it")
        self.header: dict[str, Any] = msgpack.unpackb(head[:length])
        self.start = _START.size + len(head)

    def _at(self, offset: int, length: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(max(0, min(length, self.size - offset)))

    def sound(self, kind: str | None, skip_damaged: bool) -> Iterator[_Frame]:
        """Yield the frames of a kind (`None`: of any); raise where corruption is met, or pass over it."""
        witnessed = max((item.durable for item in self._scan() if isinstance(item, _Frame)), default=self.start)
        for item in self._scan():
            bad = item
            if isinstance(item, _Frame):
                try:
                    item.body = self._at(item.end - item.head["body"], item.head["body"])
                    item.check()
                except _Bad:
                    bad = (item.offset, item.end)
                else:
                    if kind in (None, item.kind):
                        yield item
                    continue
            assert isinstance(bad, tuple)
            if bad[0] >= witnessed and bad[0] < bad[1] and not self.damage:
                self.unfinished = self.size - bad[0]
                return
            self.damage.append(bad)
            if not skip_damaged:
                raise CheckpointError(f"{self.file.name} is damaged at bytes {bad[0]}..{bad[1]}")

    def _scan(self) -> Iterator[_Frame | tuple[int, int]]:
        """Yield each frame whose head is sound, and the ranges where there is none; an empty range is a gap."""
        at, sequence = self.start, 0
        while at < self.size:
            frame = self._frame(at, sequence)
            if frame is None:
                frame = self._search(at + 1, sequence)
                yield at, frame.offset if frame else self.size
            elif frame.sequence > sequence:
                yield at, at
            if frame is None:
                return
            yield frame
            at, sequence = frame.end, frame.sequence + 1

    def _frame(self, at: int, least: int) -> _Frame | None:
        fixed = self._at(at, _FRAME.size)
        if len(fixed) < _FRAME.size or fixed[:4] != _MARKER:
            return None
        _, length, body, sequence, durable, tag, crc = _FRAME.unpack(fixed)
        end = at + _FRAME.size + _padded(length) + body
        if length > _HEAD_LIMIT or end > self.size or tag != self.tag or sequence < least:
            return None
        head = self._at(at + _FRAME.size, _padded(length))
        if zlib.crc32(head, zlib.crc32(fixed[:36])) != crc:
            return None
        return _Frame(at, sequence, durable, end, msgpack.unpackb(head[:length]) | {"body": body})

    def _search(self, at: int, least: int) -> _Frame | None:
        while stretch := self._at(at, _STRETCH):
            skip = stretch.find(_MARKER)
            if skip >= 0 and (frame := self._frame(at + skip, least)):
                return frame
            at += skip + 1 if skip >= 0 else max(1, len(stretch) - 3)
        return None
