"""The reader of checkpoints against the golden files, against cut and flipped ones, and against newer ones."""

from __future__ import annotations

import json
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest

from maniple import Checkpoint, CheckpointError
from maniple.codec import SERIES, TUPLE, Codec

VERSIONS = Path(__file__).parents[2] / "tests" / "golden" / "checkpoint"
GOLDEN = VERSIONS / "v1"
CODEC = Codec()
FILES = sorted(VERSIONS.glob("*/*.checkpoint"))


def extension(value: Any) -> Any:
    """What MessagePack itself has no type for, as the format has it."""
    return msgpack.unpackb(CODEC.pack(value))


def digits(value: Any) -> str:
    """Hexadecimal digits of the MessagePack of a value; the same digits are the same value, bit for bit."""
    return bytes(msgpack.packb(value, default=extension, strict_types=True)).hex()


def plain(digits: str) -> str:
    """The same value in the fewest bytes, each float32 as a float64: Python has no type of its own for the former."""

    def extended(kind: int, inner: bytes) -> msgpack.ExtType:
        with suppress(ValueError):  # an extension of this number that another has made
            inner = bytes.fromhex(plain(inner.hex())) if kind in (TUPLE, SERIES) else inner
        return msgpack.ExtType(kind, inner)

    value = msgpack.unpackb(bytes.fromhex(digits), ext_hook=extended, strict_map_key=False)
    return bytes(msgpack.packb(value)).hex()


def key_digits(key: Any) -> str:
    """The same for a key: several fields are read as a tuple, and written as a list."""
    return digits(list(key) if isinstance(key, tuple) else key)


def rows(path: Path, **options: bool) -> list[list[str]]:
    with Checkpoint(path, **options) as checkpoint:
        return [[key_digits(key), digits(value)] for key, value in checkpoint]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_files_are_read_as_rust_reads_them(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text())
    values = [[plain(key), plain(value)] for key, value in expected["values"]]
    # A key of several fields is a tuple, whether the file has it as an array or as that.
    values = [[key.removeprefix("c70301"), value] for key, value in values]
    found = Checkpoint(path, strict=False)
    assert rows(path, strict=False) == values and len(found) == len(values)
    assert [(key_digits(key), story["message"], story["attempt"]) for key, story in found.failures()] == [
        (key, message, attempt)
        for key, _, message, attempt in expected["failures"]
        if key not in dict(expected["values"])
    ]
    assert round(found.created.timestamp() * 1000) == expected["created"]
    told = [found.identity, found._seen.header["columns"], found.closed, found.unfinished, bool(found.damage)]
    unfinished = expected["unfinished_bytes"] + expected.get("journal_unfinished_bytes", 0)
    written = [expected[name] for name in ("identity", "columns", "closed")]
    assert told == [*written, unfinished, expected["damaged"]]


def test_there_are_golden_files() -> None:
    found = {version: sum(path.parent.name == version for path in FILES) for version in ("v1", "v1.1")}
    assert found == {"v1": 5, "v1.1": 14} and sum(found.values()) == len(FILES)


def test_every_cause_has_its_fields() -> None:
    stories = [story for _, story in Checkpoint(GOLDEN / "mixed.checkpoint").failures()]
    extra = [
        {k: v for k, v in s.items() if k in ("cause", "type", "code", "died", "signal", "limit_ms", "limit", "peak")}
        for s in stories
    ]
    assert extra == [
        {"cause": "exception", "type": "builtins.ValueError"},
        {"cause": "exit-code", "code": 7, "died": True},
        {"cause": "signal", "signal": 11},
        {"cause": "timeout", "limit_ms": 2500},
        {"cause": "out-of-memory", "limit": 1 << 30, "peak": 1 << 31},
        {"cause": "node-lost"},
    ]


def test_a_cut_file_gives_an_exact_prefix(tmp_path: Path) -> None:
    whole = (GOLDEN / "numbers.checkpoint").read_bytes()
    header = 24 + -(-struct.unpack_from("<I", whole, 12)[0] // 8) * 8
    expected = rows(GOLDEN / "numbers.checkpoint")
    path = tmp_path / "cut"
    lengths = set()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length < header:
            with pytest.raises(CheckpointError):
                rows(path)
        else:
            found = rows(path)
            lengths.add(len(found))
            assert found == expected[: len(found)]
    assert lengths == {0, 2, 5, 6, 8}


def test_a_flipped_bit_never_gives_a_wrong_value(tmp_path: Path) -> None:
    whole = (GOLDEN / "numbers.checkpoint").read_bytes()
    expected = rows(GOLDEN / "numbers.checkpoint")
    path = tmp_path / "flipped"
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        path.write_bytes(flipped)
        try:
            found = rows(path, strict=False)
        except CheckpointError:
            continue
        assert all(row in expected for row in found)
        seen = Checkpoint(path, strict=False)
        assert seen.damage or seen.unfinished, at


def test_corruption_is_raised_unless_it_is_to_be_skipped() -> None:
    with pytest.raises(
        CheckpointError, match=r"bytes 144\.\.384 of .* are damaged; .*strict=False.*maniple checkpoint repair"
    ):
        rows(GOLDEN / "damaged.checkpoint")


@pytest.mark.parametrize("head", [{"kind": "schema"}, {"kind": "failures", "n": 1, "keys": "sorted"}])
def test_what_a_newer_version_wrote_is_not_guessed(tmp_path: Path, head: dict[str, Any]) -> None:
    path = tmp_path / "newer"
    for optional in (False, True):
        whole = (GOLDEN / "empty.checkpoint").read_bytes()
        packed = bytes(msgpack.packb(head | {"at": 1, "blobs": b"", "optional": optional}))
        padded = packed + bytes(-len(packed) % 8)
        fixed = struct.pack("<4sIQQQ4s", b"MNPF", len(packed), 0, 0, len(whole), whole[16:20])
        path.write_bytes(whole + fixed + struct.pack("<I", zlib.crc32(padded, zlib.crc32(fixed))) + padded)
        if optional and head["kind"] == "schema":
            assert rows(path) == []
        else:
            with pytest.raises(CheckpointError, match="newer version"):
                rows(path)


def test_something_else_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"date,code\r\n")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        rows(path)
