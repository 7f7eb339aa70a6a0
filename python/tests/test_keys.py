"""Which keys are the same: those whose bytes are. What a table in ``docs/values.md`` says is checked here."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import struct
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest

from maniple.codec import Codec


class Colour(enum.Enum):
    RED = 1


def key(value: Any) -> bytes:
    """The bytes of a key, which both codecs agree on."""
    fast, plain = Codec(), Codec()
    plain.pack = plain.encode
    data = fast.one(value)
    assert plain.one(value) == data
    (back,) = fast.each(b"\x91" + data)
    assert fast.one(back) == data, "what a task was called with is its key again"
    return data


DIFFERENT = [
    *[1, 1.0, True, "1", b"1", "01", " 1", "1 ", "1.0", "+1", [1], (1,), {1: 1}, {"1": 1}],
    *[0, 0.0, -0.0, False, "0", "", b"", None, [], (), {}, [None], [[]]],
    *[20240102, -20240102, "20240102", 20240102.0, datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2)],
    *["000001", "00001", "600000", 600000],
    *[
        sign * (2**power + more)
        for power in (7, 8, 15, 16, 31, 32, 63, 64, 200)
        for more in (-1, 0)
        for sign in (1, -1)
    ],
    *[2.0**63, 2.0**64, 0.1, 0.1 + 2**-56, math.inf, -math.inf, math.nan, 5e-324],
    *["é", "e\u0301", "É", "\U0001f600", "a\0", "a", "a\udc80"],
    *[[1, 2], (1, 2), [2, 1], [1, [2]], [1.0, 2.0], {"a": 1, "b": 2}, {"b": 2, "a": 1}],
    *[np.array([1, 2]), np.array([1.0, 2.0]), np.array([1, 2], np.int32), np.array([[1, 2]]), np.array([True, True])],
    *[np.float32(0.1), pd.Series([1.0], ["a"]), pd.Series([1.0], ["b"]), pd.Series([1.0], ["a"], name="a")],
    *[decimal.Decimal("1"), decimal.Decimal("1.0"), Fraction(1, 2), Colour.RED],
]


def test_different_keys_have_different_bytes() -> None:
    for (one, a), (other, b) in combinations([(key(value), value) for value in DIFFERENT], 2):
        assert one != other, (a, b)


SAME: list[list[Any]] = [
    [5, np.int8(5), np.uint8(5), np.int64(5), np.uint64(5), np.intc(5)],
    [-(2**63), np.int64(-(2**63))],
    [2**64 - 1, np.uint64(2**64 - 1)],
    [0.5, np.float16(0.5), np.float32(0.5), np.float64(0.5)],
    [float(np.float32(0.1)), np.float32(0.1)],
    [True, np.bool_(True)],
    ["a\0", np.str_("a\0")],
    [b"a", np.bytes_(b"a")],
    [math.nan, float("nan"), np.nan, np.float64("nan")],
    [["000001", 3], ["0000" + "01", np.int16(3)], [np.array(["000001"])[0], np.arange(4)[3]]],
    [(1, "a"), (np.int64(1), np.str_("a"))],
    [{"date": 1, "code": "x"}, {"date": np.int64(1), "code": "x"}],
    [np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(12)[::2].reshape(2, 3) // 2],
    [datetime.date(2024, 1, 2), datetime.date.fromisoformat("2024-01-02")],
    [datetime.datetime(2024, 1, 2, 3), datetime.datetime(2024, 1, 2) + datetime.timedelta(hours=3)],
    [decimal.Decimal("0.10"), decimal.Decimal("0.1") * decimal.Decimal("1.0")],
    [Colour.RED, Colour(1)],
    [pd.Series([1.0, 2.0], ["a", "b"]), pd.Series({"a": 1.0, "b": 2.0})],
]


@pytest.mark.parametrize("values", SAME, ids=str)
def test_equal_keys_have_the_same_bytes(values: list[Any]) -> None:
    assert len(set(map(key, values))) == 1


def test_every_nan_is_a_key_of_its_own() -> None:
    (other,) = struct.unpack(">d", bytes.fromhex("7ff80000deadbeef"))
    assert key(other) != key(math.nan) and key(other) == key([other])[1:]


def test_a_key_is_in_its_shortest_form() -> None:
    shortest = {0: 1, 127: 1, 128: 2, 255: 2, 256: 3, 65_535: 3, 65_536: 5, 2**32: 9, -32: 1, -33: 2, -129: 3}
    assert {value: len(key(value)) for value in shortest} == shortest
    assert key("000001") == b"\xa6000001" and key(20240102) == bytes.fromhex("ce0134d6e6")
