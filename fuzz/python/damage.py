"""Takes a checkpoint apart, breaks it at random, and puts it together with right checksums.

By `docs/checkpoint-format.md` alone. What it makes is a file that nobody wrote, and that no checksum gives away.
"""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import msgpack

MAGIC = b"\x89MNP\r\n\x1a\n"
START = struct.Struct("<8sHHIII")
FIXED = struct.Struct("<4sIQQQII")
BLOB = struct.Struct("<QI")
WORDS: dict[str, list[Any]] = {
    "kind": ["values", "failures", "index", "close", "later", ""],
    "keys": ["msgpack", "columns", "msgpack+zstd", "columns+zstd", "later"],
    "values": ["msgpack", "columns", "msgpack+zstd", "columns+zstd", "later"],
    "stories": ["msgpack", "msgpack+zstd", "columns", "later"],
    "row": ["scalar", "list", "tuple", "dict", "array", "series", "later"],
    "key_row": ["scalar", "list", "tuple", "dict", "array", "series", "later"],
    "types": ["f", "i", "t", "m", "ff", "it", "mf", "", "u", "f" * 65_537],
    "key_types": ["f", "i", "t", "m", "ff", "it", "mf", "", "u"],
    "names": [["a", "b"], ["a", "a"], [], [1, 2], "ab", [["a"], "b"], ["a"]],
}
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 2, 3, -1, 0.5, float("nan"), 255, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 32),
    *((1 << 63) - 1, 1 << 63, (1 << 64) - 1, "", "x", b"", b"x" * 12, bytes(16), [], {}, [0], [[0, 1]], {"a": 1}),
    *({1: 2}, {"values": 1}, [None], ["a", "b"], msgpack.ExtType(1, b"\x92\x01\xa1a"), msgpack.ExtType(3, b"N.")),
    *(msgpack.ExtType(4, msgpack.packb([what, [1], bytes(8)])) for what in ("<f8", "<i8", "O", "(3,", "<M8[s]", "", 7)),
    *(msgpack.ExtType(4, msgpack.packb(["<f8", shape, bytes(8)])) for shape in ([-1], [1, 1], [1 << 62, 4], 1, "x")),
    *(msgpack.ExtType(4, msgpack.packb(["|u1", [0] * 70, b""])), msgpack.Timestamp(1, 2)),
    *(msgpack.ExtType(2, b"\xff" * 20), msgpack.ExtType(2, bytes(3000) + b"\x01"), msgpack.ExtType(99, b"x")),
    msgpack.ExtType(5, msgpack.packb(["name", ["a"], msgpack.ExtType(4, msgpack.packb(["<f8", [1], bytes(8)]))])),
    msgpack.ExtType(5, msgpack.packb([{}, ["a"], msgpack.ExtType(4, msgpack.packb(["<f8", [1], bytes(8)]))])),
    msgpack.ExtType(5, msgpack.packb(["name", [["a"], "b"], [1, 2]])),
]


@dataclass
class Frame:
    """A frame in parts; `head` is a map, unless a mutation made something else of it."""

    durable: int
    sequence: int
    head: Any
    blobs: list[bytes]
    is_own: bool = False
    """Whether an index lists what a mutation says, rather than the frames before it."""


@dataclass
class File:
    """A file in parts."""

    header: Any
    frames: list[Frame]

    @classmethod
    def parse(cls, data: bytes) -> File:
        """The parts of an undamaged file; raises ValueError."""
        *_, length, _, _ = START.unpack_from(data)
        at = START.size + padded(length)
        file = cls(_unpacked(data[START.size : START.size + length]), [])
        while at < len(data):
            if len(data) < at + FIXED.size:
                raise ValueError("torn")
            _, length, body, sequence, durable, _, _ = FIXED.unpack_from(data, at)
            head = _unpacked(data[at + FIXED.size : at + FIXED.size + length])
            at += FIXED.size + padded(length)
            blobs, start = [], at
            for size, _ in BLOB.iter_unpack(head["blobs"]):
                blobs.append(data[start : start + size])
                start += padded(size)
            file.frames.append(Frame(durable, sequence, head, blobs))
            at += body
        return file

    def sealed(self) -> bytes:
        """The bytes of it, with right checksums."""
        packed = _packed(self.header)
        tag = self.header.get("id") if isinstance(self.header, dict) else None
        tag = tag[:4] if isinstance(tag, bytes) and len(tag) >= 4 else bytes(4)
        start = MAGIC + struct.pack("<HHI", 1, 1, len(packed)) + tag
        body = packed + bytes(-len(packed) % 8)
        out = bytearray(start + struct.pack("<I", zlib.crc32(body, zlib.crc32(start))) + body)
        copies: list[bytes] = []
        for frame in self.frames:
            kind = frame.head.get("kind") if isinstance(frame.head, dict) else None
            if kind == "index" and len(frame.blobs) == 1 and not frame.is_own:
                frame.blobs, copies = [b"".join(copies)], []
            bodies = [blob + bytes(-len(blob) % 8) for blob in frame.blobs]
            if isinstance(frame.head, dict) and isinstance(frame.head.get("blobs"), bytes):
                table = (BLOB.pack(len(blob), zlib.crc32(body)) for blob, body in zip(frame.blobs, bodies))
                frame.head["blobs"] = b"".join(table)
            packed = _packed(frame.head)
            head = packed + bytes(-len(packed) % 8)
            durable = len(out) if frame.durable < 0 else frame.durable
            size = sum(map(len, bodies))
            fixed = struct.pack("<4sIQQQ", b"MNPF", len(packed), size, frame.sequence, durable) + tag
            fixed += struct.pack("<I", zlib.crc32(head, zlib.crc32(fixed)))
            if kind in ("values", "failures"):
                copies.append(struct.pack("<Q", len(out)) + fixed + head)
            out += fixed + head + b"".join(bodies)
        return bytes(out)


def padded(length: int) -> int:
    """The length with its padding."""
    return (length + 7) & ~7


def _unpacked(data: bytes) -> Any:
    return msgpack.unpackb(data, strict_map_key=False)


def _packed(value: Any) -> bytes:
    try:
        packed: bytes = msgpack.packb(value)
    except (ValueError, OverflowError):
        packed = b"\xc1"
    return packed


def broken(file: File, others: list[File], dice: random.Random) -> bytes:
    """The file with a few things about it changed."""
    for frame in file.frames:
        if isinstance(frame.head, dict) and frame.head.get("kind") == "close":
            frame.durable = -1  # it stays an end in order, wherever it comes to lie
    for _ in range(dice.choice([1, 1, 1, 2, 3, 5])):
        _break(file, others, dice)
    data = file.sealed()
    if dice.random() < 0.1:
        data = data[: dice.randrange(len(data) + 1)]
    if dice.random() < 0.1 and data:
        at = dice.randrange(len(data))
        data = data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
    return data


def _break(file: File, others: list[File], dice: random.Random) -> None:
    what = dice.random()
    if not file.frames or what < 0.05:
        _change(file.header, dice)
        return
    place = dice.randrange(len(file.frames))
    frame = file.frames[place]
    if what < 0.45:
        _change(frame.head, dice)
    elif what < 0.85 and frame.blobs:
        blob = dice.randrange(len(frame.blobs))
        frame.blobs[blob], frame.is_own = _bytes(frame.blobs[blob], dice), dice.random() < 0.3
    elif what < 0.87 and frame.blobs:
        frame.blobs.pop(dice.randrange(len(frame.blobs)))
    elif what < 0.89:
        frame.blobs.insert(dice.randrange(len(frame.blobs) + 1), _packed(dice.choice(VALUES)))
    elif what < 0.91:
        frame.durable = dice.choice([0, -1, 1 << 40, (1 << 64) - 1, dice.randrange(10_000)])
    elif what < 0.93:
        frame.sequence = dice.choice([0, 1, (frame.sequence + 1) % (1 << 64), (1 << 64) - 1])
    elif what < 0.95:
        file.frames.pop(place)
    elif what < 0.97:
        file.frames.insert(place, file.frames[dice.randrange(len(file.frames))])
    else:
        other = dice.choice([file for file in others if file.frames])
        file.frames.insert(place, dice.choice(other.frames))


def _change(told: Any, dice: random.Random) -> None:
    """Changes a field of a map."""
    if not isinstance(told, dict):
        return
    field = dice.choice(sorted(told, key=str) + list(WORDS)[:2] + ["n", "optional", "names", "folds", "total", "index"])
    how = dice.random()
    if how < 0.1:
        told.pop(field, None)
    elif how < 0.5 and field in WORDS:
        told[field] = dice.choice(WORDS[field])
    elif how < 0.6 and isinstance(told.get(field), dict):
        _change(told[field], dice)
    elif how < 0.7 and type(told.get(field)) is int:
        told[field] = max(0, told[field] + dice.choice([-8, -1, 1, 8])) % (1 << 64)
    else:
        # Rust takes a bin for a str, an array for a map and an empty bin for an empty array; that is no finding.
        likes: dict[type, type] = {str: bytes, dict: list, list: bytes}
        like = likes.get(type(told.get(field)))
        told[field] = dice.choice([value for value in VALUES if type(value) is not like])


def _bytes(data: bytes, dice: random.Random) -> bytes:
    """Other bytes like these."""
    at, how = dice.randrange(len(data) + 1), dice.random()
    if how < 0.3 and data:
        at = dice.randrange(len(data))
        return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
    if how < 0.6:
        return data[:at] + _packed(dice.choice(VALUES)) + data[at + dice.choice([0, 1, 2, 5, 9]) :]
    if how < 0.7:
        return data[:at]
    if how < 0.8:
        return data[:at] + data[at + dice.choice([1, 4, 8]) :]
    if how < 0.9:
        return data[:at] + dice.choice([b"\x91" * 2000, b"\xdd\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01", b"\xc1"])
    return dice.choice([b"", bytes(8), b"\xff" * 8, data + data])
