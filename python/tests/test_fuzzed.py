"""What fuzzing has found: files whose checksums are right and whose contents nobody would write."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgpack
import numpy
import pandas  # type: ignore[import-untyped]
import pytest
from encoder import Encoder, columns, pack, plain, write

from maniple import Checkpoint, CheckpointError
from maniple.checkpoint import _source, _sums

NOT_UTF8 = b"\xa2\xff\xfe"


@pytest.mark.parametrize(
    "told",
    [
        {"created": "yesterday"},
        {"created": -1},
        {"created": True},
        {"identity": 5},
        {"columns": "ab"},
        {"columns": ["a", 1]},
        {"key_columns": [None]},
        {"id": bytes(15)},
        {"of": bytes(16)},
        {"of": bytes(16), "end": "1"},
        {"columns": None},
    ],
)
def test_reproduces_a_header_whose_fields_are_something_else(tmp_path: Path, told: dict[str, Any]) -> None:
    with Encoder(tmp_path / "f", **told):
        pass
    with pytest.raises(CheckpointError, match=r"the header of .* is damaged"):
        Checkpoint(tmp_path / "f")


def test_reproduces_a_date_that_does_not_exist(tmp_path: Path) -> None:
    with Encoder(tmp_path / "f", created=(1 << 64) - 1):
        pass
    with pytest.raises(CheckpointError, match="no such date"):
        print(Checkpoint(tmp_path / "f").created)


def test_reproduces_a_later_field_that_holds_any_map(tmp_path: Path) -> None:
    later = {1: {2.5: "a"}}
    with Encoder(tmp_path / "f", later=later, created=0) as file:
        file.rows({1: 0.5}, later=later)
    found = Checkpoint(tmp_path / "f")
    assert list(found) == [(1, 0.5)] and found.created == datetime(1970, 1, 1, tzinfo=timezone.utc)


def test_reproduces_texts_that_are_no_utf8(tmp_path: Path) -> None:
    with Encoder(tmp_path / "f") as file:
        texts = plain([])
        texts.blobs = [NOT_UTF8]
        file.values(texts, texts, 1)
        story = {"cause": "node-lost", "message": "", "traceback": "", "stdout": "", "stderr": ""}
        file.failures({"a": story | {"host": "h", "pid": 1, "attempt": 1}})
    found = Checkpoint(tmp_path / "f")
    text = "\udcff\udcfe"
    assert list(found) == [(text, text)] and found.get(text) == text
    assert [key for key, _ in found.failures()] == ["a"]
    table = found.to_pandas()
    assert list(table.columns) == ["key0", "value"] and table.to_numpy().tolist() == [[text, text]]


def test_reproduces_labels_that_are_no_utf8(tmp_path: Path) -> None:
    with Encoder(tmp_path / "f") as file:
        keys, values = plain([]), plain([0.5])
        keys.blobs = [b"\x92\x01" + NOT_UTF8]
        file.values(keys, values, 1)
    table = Checkpoint(tmp_path / "f").pivot("date", "code", "value")
    assert list(table.columns) == ["\udcff\udcfe"] and table.to_numpy().tolist() == [[0.5]]


@pytest.mark.parametrize("dtype", ["(3,", "O", "<M8[s]", "f8,f8", "(" * 5000, 7, None, "<f99", ["<f8"]])
def test_reproduces_a_dtype_that_is_a_program(tmp_path: Path, dtype: Any) -> None:
    held = msgpack.ExtType(4, pack([dtype, [1], bytes(8)]))
    with Encoder(tmp_path / "f") as file:
        file.values(plain([1]), plain([held]), 1)
    assert list(Checkpoint(tmp_path / "f")) == [(1, held)]


@pytest.mark.parametrize("shape", [[1 << 63], [1 << 62, 4], [-5], [0] * 99, 1 << 70])
def test_reproduces_an_impossible_shape_that_stays_what_it_is(tmp_path: Path, shape: Any) -> None:
    held = msgpack.ExtType(4, pack(["<f8", shape, bytes(8)]))
    with Encoder(tmp_path / "f") as file:
        file.values(plain([1]), plain([held]), 1)
    assert list(Checkpoint(tmp_path / "f")) == [(1, held)]


def test_reproduces_an_error_about_a_key_of_thousands_of_digits(tmp_path: Path) -> None:
    path = write(tmp_path / "f", {1 << 20_000: [1, 2]}, layout="msgpack")
    with pytest.raises(CheckpointError, match="a key with a huge integer"):
        Checkpoint(path).column(5)
    assert numpy.array_equal(Checkpoint(path).column(1), [2])
    assert Checkpoint(path).get(1 << 20_000) == [1, 2]


def test_reproduces_keys_that_hold_arrays(tmp_path: Path) -> None:
    long = [numpy.arange(2000.0) + (numpy.arange(2000) == place) for place in (1000, 1001)]
    series = pandas.Series([1.0, 2.0], index=["a", "b"])
    keys = [{"a": long[0]}, {"a": long[1]}, {"a": series}]
    with Encoder(tmp_path / "f") as file:
        file.values(plain(keys), plain(range(3)), 3)
    path = tmp_path / "f"
    assert [Checkpoint(path).get(key) for key in keys] == [0, 1, 2]


def test_reproduces_an_extension_of_messagepacks_own(tmp_path: Path) -> None:
    with Encoder(tmp_path / "f") as file:
        values = plain([])
        values.blobs = [b"\xd4\xdd\x07"]
        file.values(plain([1]), values, 1)
    ((_, held),) = Checkpoint(tmp_path / "f")
    assert type(held) is msgpack.ExtType and held == (-35, b"\x07")


@pytest.mark.parametrize("n", [1 << 32, (1 << 64) - 1, True, 0])
def test_reproduces_a_number_of_rows_that_no_frame_has(tmp_path: Path, n: Any) -> None:
    with Encoder(tmp_path / "f") as file:
        file.frame("values", [pack(1), pack(2)], n=n, keys="msgpack", values="msgpack")
        file.synced()
        file.frame("note", optional=True)
    with pytest.raises(CheckpointError, match="are damaged"):
        len(Checkpoint(tmp_path / "f"))


@pytest.mark.parametrize("is_numbered_twice", [False, True])
def test_reproduces_rows_that_two_writers_put_between_an_index_and_its_close_frame(
    tmp_path: Path, is_numbered_twice: bool
) -> None:
    for first in ({1: 0.5}, {}):
        with Encoder(tmp_path / "f") as file:
            if first:
                file.rows(first)
            file.index()
            number, rows, counts = file.sequence, {2: 0.25}, dict(file.counts)
            file.rows(rows)
            file.listed, file.counts = [], counts  # the writer of the close frame does not know of them
            file.sequence = number if is_numbered_twice else file.sequence
            file.close()
        for strict in (True, False):
            found = Checkpoint(tmp_path / "f", strict=strict)
            assert dict(found.items()) == first | rows and not found.damage
            assert found.closed is not is_numbered_twice


@pytest.mark.parametrize("name", [[1], {"a": 1}])
def test_reproduces_series_in_columns_whose_name_cannot_be_one(tmp_path: Path, name: Any) -> None:
    with Encoder(tmp_path / "f") as file:
        file.values(plain([1]), columns("series", [[name], [0.5]], ["a"]), 1)
    with pytest.raises(CheckpointError, match="are damaged"):
        list(Checkpoint(tmp_path / "f").items())


def test_reproduces_a_broken_frame_behind_the_end_that_a_journal_names() -> None:
    path = Path(__file__).parents[2] / "fuzz" / "findings" / "python" / "behind-the-end.checkpoint"
    assert len(Checkpoint(path, strict=False)) == 4
    with pytest.raises(CheckpointError, match="are damaged"):
        Checkpoint(path)


@pytest.mark.parametrize("rest", [b"\x91", b"\x99\x99\x9a", b"\xa1", b"\xc0"])
@pytest.mark.parametrize("is_text", [False, True])
def test_reproduces_what_is_left_of_a_value_behind_the_last(tmp_path: Path, rest: bytes, is_text: bool) -> None:
    with Encoder(tmp_path / "f") as file:
        values = columns("scalar", [["a", "a"]]) if is_text else plain([1, 2])
        values.blobs[-1] += rest
        file.values(plain([1, 2]), values, 2)
        file.synced()
        file.rows({3: 0.5})
    with pytest.raises(CheckpointError, match="are damaged"):
        list(Checkpoint(tmp_path / "f").items())
    assert list(Checkpoint(tmp_path / "f", strict=False).items()) == [(3, 0.5)]


@pytest.fixture
def summed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many bytes checksums were made of."""
    sizes: list[int] = []

    def counting(data: bytes, before: int = 0) -> int:
        sizes.append(len(data))
        return zlib.crc32(data, before)

    for module in (_source, _sums):
        monkeypatch.setattr(module, "crc32", counting)
    return lambda: sum(sizes)


@pytest.mark.parametrize("count", [500, 5_000])
def test_reproduces_false_heads_within_each_other_that_took_the_square_of_their_number(
    tmp_path: Path, summed: Callable[[], int], count: int
) -> None:
    with Encoder(tmp_path / "f") as file:
        fixed = struct.pack("<4sIQQQ4sI", b"MNPF", count * 40, 0, 0, 0, file.tag, 1)
        file.raw(fixed * count + bytes(count * 40))
        file.sequence = 3
        file.synced()
        file.rows({1: 0.5})
    assert list(Checkpoint(tmp_path / "f", strict=False).items()) == [(1, 0.5)]
    assert summed() < 3 * _sums.STRIDE * count, "two strides for each head at most, and the file"


def test_reproduces_indexes_within_each_other_that_took_the_square_of_their_number(
    tmp_path: Path, summed: Callable[[], int]
) -> None:
    count, size, inner = 400, 112, b""
    with Encoder(tmp_path / "f") as file, Encoder(tmp_path / "parts") as parts:
        file.rows({1: 0.5})
        for number in reversed(range(count)):
            parts.sequence = number + 1
            at = parts.frame("index", [inner], optional=True, previous=file.length + (number - 1) * size)
            inner = (tmp_path / "parts").read_bytes()[at:]
        assert len(inner) == count * size, "each one's head and fixed part"
        file.sequence, file.listed, file.previous = count + 1, [], file.length + (count - 1) * size
        file.raw(inner)
        file.close()
    with pytest.raises(CheckpointError, match="are damaged"):
        Checkpoint(tmp_path / "f")
    assert summed() < 10 * (tmp_path / "f").stat().st_size


def test_the_checksum_of_any_run_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(200_000)
    (tmp_path / "f").write_bytes(data)
    with open(tmp_path / "f", "rb") as file:
        sums = _sums.Sums(file.fileno())
        for start in (0, 1, 40, 4096, 4097, 77_777, 81_873, 150_000, 3):
            for end in (start, start + 1, start + 4095, start + 4096, start + 4097, 200_000):
                assert sums.of(start, end, 7) == zlib.crc32(data[start:end], 7), (start, end)
