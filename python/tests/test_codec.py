"""The rules of values: what each becomes, that it comes back as it was, that both codecs give the same bytes.

The library msgpack is the measure for everything that it can do; the rest is checked against the documented bytes.
"""

from __future__ import annotations

import collections
import datetime
import enum
import math
import random
import struct
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from harness import plain_codec

from maniple.codec import DEEPEST, PICKLE, Codec, OneByOne, Undecodable, Unkeepable

Point = collections.namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    pass


def decoded(data: bytes) -> Any:
    codec = Codec()
    (value,) = codec.each(b"\x91" + data)
    assert not isinstance(value, Undecodable)
    return value


def alike(one: Any, other: Any) -> bool:
    """Equal type for type, floats bit for bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return alike(list(one.items()), list(other.items()))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return bool(one == other)


def random_value(dice: random.Random, depth: int = 0) -> Any:
    """Anything that a task may return, the unusual more often than in life."""
    kind = dice.randrange(18 if depth < 4 else 12)
    if kind < 2:
        return dice.choice([None, True, False, "", b"", 0, -1, 0.0, -0.0, math.inf, math.nan])
    if kind < 5:
        return dice.choice([1, -1]) * ((1 << dice.randrange(140)) + dice.randrange(-2, 3))
    if kind == 5:
        return struct.unpack("d", dice.randbytes(8))[0]
    if kind < 8:
        return "".join(chr(dice.choice([65, 255, 0x20AC, 0x1F600])) for _ in range(dice.choice([3, 31, 32, 255, 256])))
    if kind == 8:
        return dice.randbytes(dice.choice([1, 16, 255, 256, 65_535, 65_536]))
    if kind == 9:
        return dice.choice([np.float32(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True), np.str_("a\udc80")])
    if kind == 10:
        return dice.choice(["a\udc80", bytearray(b"x"), {1, 2}, Point(1, 2), Colour.RED, Text("t"), 1j])
    if kind == 11:
        return datetime.date(2024, 1, dice.randrange(1, 29))
    held = [random_value(dice, depth + 1) for _ in range(dice.choice([0, 1, 2, 15, 16]))]
    if kind < 14:
        return held
    if kind < 16:
        return tuple(held)
    keys: Iterator[Any] = (key for key in (7, "k", b"k", None, (1, "a"), -1.5, 2**80, "l" * 40))
    return dict(zip(keys, held))


def without_numpy(value: Any) -> Any:
    """What a value comes back as."""
    if type(value) in (list, tuple):
        return type(value)(map(without_numpy, value))
    if type(value) is dict:
        return {key: without_numpy(held) for key, held in value.items()}
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize("seed", range(300))
def test_both_codecs_give_the_same_bytes_and_the_value_comes_back(seed: int) -> None:
    value = random_value(random.Random(seed))
    data = Codec().one(value)
    assert data == plain_codec().one(value)
    back = list(plain_codec().each(b"\x91" + data)) + list(Codec().each(b"\x91" + data))
    assert all(alike(one, without_numpy(value)) for one in back), (value, back)
    try:
        batch = Codec().pack([value, value])
    except (OneByOne, ValueError):
        return
    assert batch == plain_codec().pack([value, value]) == b"\x92" + 2 * data
    assert alike(Codec().unpack(batch), plain_codec().unpack(batch))


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_every_size_is_written_and_read_as_the_library_does(size: int) -> None:
    for value in ("x" * size, b"x" * size, [None] * size, dict.fromkeys(range(size)), (b"x",) * size, 1 << 8 * size):
        data = Codec().pack(value)
        assert data == plain_codec().pack(value)
        assert alike(plain_codec().unpack(data), value) and alike(Codec().unpack(data), value)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, "c0"),
        (True, "c3"),
        (1, "01"),
        (1.5, "cb3ff8000000000000"),
        ("é", "a2c3a9"),
        (b"\x00", "c40100"),
        ([1, "a"], "9201a161"),
        ({"a": 1}, "81a16101"),
        ((1, 2), "c70301920102"),
        ((), "d40190"),
        (2**64, "c70902000000000000000001"),
        (-(2**63) - 1, "c70902ffffffffffffff7fff"),
        (np.float32(0.1), "cb3fb99999a0000000"),
        (np.int64(5), "05"),
        (np.bool_(False), "c2"),
        (np.str_("x\0"), "a27800"),
        (np.bytes_(b"x\0"), "c4027800"),
    ],
)
def test_the_documented_bytes(codec: Codec, value: Any, data: str) -> None:
    assert codec.pack([value])[1:].hex() == data


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        bytearray(b"abc"),
        datetime.datetime(2024, 1, 2),
        Point(1, 2),
        Colour.RED,
        Text("t"),
        collections.OrderedDict(a=1),
        "a\udc80",
        np.longdouble("1.1"),
        np.timedelta64(5, "D"),
        np.datetime64("2024-01-02"),
        np.complex128(1j),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_is_pickled_where_it_stands(codec: Codec, value: Any) -> None:
    for held in (value, [1, value], (value,), {"k": value}, [[bytearray(b"\xc4")], value]):
        data = codec.one(held)
        assert data[0] not in b"\xc4\xa3" and b"\x80\x05" in data
        assert alike(decoded(data), held)
        if value is not held:
            assert codec.one(held)[:1] in (b"\x92", b"\x81") or type(held) is tuple
    with pytest.raises((OneByOne, ValueError)):
        codec.pack([value])


def test_a_batch_with_objects_is_refused_and_noticed(codec: Codec) -> None:
    codec.one([1, 2])
    assert not codec.pickled
    codec.one([{1}])
    assert codec.pickled
    with pytest.raises(OneByOne):
        codec.unpack(b"\x91" + codec.one({1}))


def nested(depth: int, innermost: Any) -> Any:
    for _ in range(depth):
        innermost = [innermost]
    return innermost


def test_a_value_that_is_too_deep_is_pickled_as_a_whole(codec: Codec) -> None:
    fits, deep = nested(DEEPEST, 1), nested(DEEPEST + 1, 1)
    assert codec.one(fits) == b"\x91" * DEEPEST + b"\x01"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * DEEPEST)  # pickle's own: beyond it, the task fails
    try:
        data = codec.one(deep)
        assert data[0] in (0xC7, 0xC8) and data.index(PICKLE) <= 4
        (back,) = codec.each(b"\x91" + data)
        assert back == deep
    finally:
        sys.setrecursionlimit(limit)
    cycle: list[Any] = [1]
    cycle.append(cycle)
    (back,) = codec.each(b"\x91" + codec.one(cycle))
    assert back[1] is back


def test_a_nan_keeps_its_bits(codec: Codec) -> None:
    (nan,) = struct.unpack(">d", bytes.fromhex("7ff80000deadbeef"))
    assert codec.pack([nan])[1:].hex() == "cb7ff80000deadbeef"


def test_what_does_not_pickle_names_the_type_to_blame(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unkeepable) as caught:
        codec.one([1, (x for x in [1])])
    assert caught.value.args[0] == "generator" and "cannot pickle 'generator' object" in caught.value.args[1]
    assert decoded(codec.one(lambda: 5))() == 5, "cloudpickle takes it"
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(Unkeepable) as caught:
        codec.one(lambda: 5)
    assert caught.value.args[0] == "function"


def test_a_key_that_does_not_decode_leaves_the_others_alone(codec: Codec) -> None:
    broken = [b"\xd4\x03\x00", b"\xd4\x09\x00", b"\xd4\xff\x00", b"\x81\x90\x01", b"\x91\xd6\x01\x91\xd4\x03\x00"]
    good = [codec.one({1, 2}), b"\x05", b"\xa1x"]
    whole = b"\xdc\x00\x08" + b"".join(good[:2] + broken + good[2:])
    with pytest.raises(Exception):  # noqa: B017
        codec.unpack(whole)
    keys = list(codec.each(whole))
    assert [isinstance(key, Undecodable) for key in keys] == [False, False, True, True, True, True, True, False]
    assert (keys[0], keys[1], keys[7]) == ({1, 2}, 5, "x")
    assert not codec.alone


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x01", b"\xa5abc", b"\xcd\x00", b"\xdd\xff\xff\xff\xff"])
def test_malformed_bytes_raise(codec: Codec, data: bytes) -> None:
    with pytest.raises((ValueError, IndexError, KeyError, struct.error)):
        codec.unpack(data)
    with pytest.raises((ValueError, IndexError, KeyError, struct.error)):
        list(codec.each(b"\x91" + data))


def test_what_follows_a_value_is_malformed(codec: Codec) -> None:
    with pytest.raises(ValueError):
        codec.unpack(b"\x01\x01")


def test_text_that_is_no_utf8_still_reaches_the_task(codec: Codec) -> None:
    assert codec.unpack(b"\xa2a\xff") == "a\udcff"


def test_memory_that_runs_out_in_pickling_is_no_fault_of_the_type(codec: Codec) -> None:
    class Large:
        def __reduce__(self) -> Any:
            raise MemoryError

    with pytest.raises(MemoryError):
        codec.one([Large()])
