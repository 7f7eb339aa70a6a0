"""Arrays, series and tables: which of them become columns, which stay pickled, and that all come back as they were."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from harness import plain_codec

from maniple.codec import ARRAY, HEADS, PICKLE, SERIES, Codec, OneByOne

NUMBERS = "?bBhHiIlLqQefdFD"
NANS = np.array([0x7FF8_0000_DEAD_BEEF, 0xFFF0_0000_0000_0001, 0x8000_0000_0000_0000, 0x7FF0 << 48], np.uint64)


def kind_of(data: bytes) -> int:
    """The extension type of a value."""
    kind, width, _ = HEADS[data[0]]
    return data[1 + width] if kind == "ext" else -1


def decoded(data: bytes) -> Any:
    """What both codecs make of it."""
    values = [next(iter(codec.each(b"\x91" + data))) for codec in (Codec(), plain_codec())]
    assert type(values[0]) is type(values[1])
    return values[0]


def layouts(array: Any) -> list[Any]:
    frozen = array.copy()
    frozen.flags.writeable = False
    return [array, frozen, np.asfortranarray(array), array[::-1], array[::2], array.T, array.ravel()[:0], array[:0]]


@pytest.mark.parametrize("code", NUMBERS)
def test_an_array_of_numbers_comes_back_bit_for_bit(codec: Codec, code: str) -> None:
    noise = np.frombuffer(random.Random(code).randbytes(24 * np.dtype(code).itemsize), code)
    if code == "?":
        noise = noise.view(np.uint8) % 2 == 1
    for array in [*layouts(noise.reshape(2, 3, 4)), noise, noise[:1].reshape(()), np.zeros((0, 3), code)]:
        data = codec.pack([array, (array,)])
        back, (held,) = codec.unpack(data)
        assert kind_of(data[1:]) == ARRAY
        for one in (back, held):
            assert (type(one), one.dtype, one.shape) == (np.ndarray, array.dtype, array.shape)
            assert one.tobytes() == array.tobytes()
            assert one.flags.writeable and one.flags.aligned and one.flags.c_contiguous and one.flags.owndata


def test_the_documented_bytes_of_an_array(codec: Codec) -> None:
    pair = "93a33c66389102c410000000000000f83f0000000000000080"
    assert codec.pack([np.array([1.5, -0.0])])[1:].hex() == "c71904" + pair
    series = pd.Series([1.5, -0.0], index=["a", "b"], name="x")
    assert codec.pack([series])[1:].hex() == "c72405" + "93a17892a161a162" + "c71904" + pair


def masked() -> Any:
    return np.ma.masked_array([1.0, 2.0], [True, False])


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.5, 2.5], ">f8"),
        np.array([1, 2], ">i4"),
        np.array([1.5], np.longdouble),
        np.array([1.5], np.clongdouble),
        np.array(["000001", "x"]),
        np.array([b"a"]),
        np.array([1, "a", None], object),
        np.array(["2024-01-02"], "M8[D]"),
        np.array([5], "m8[s]"),
        np.array([(1, 2.0)], "i4,f8"),
        np.array([1.5], np.dtype("f8", metadata={"unit": "m"})),
        np.ones((1, 1)).view(np.matrix),
        masked(),
        np.array([(1, 2.0)], "i4,f8").view(np.recarray),
    ],
    ids=lambda array: f"{type(array).__name__}-{array.dtype}",
)
def test_any_other_array_stays_pickled(codec: Codec, array: Any) -> None:
    data = codec.one([array])
    assert kind_of(data[1:]) == PICKLE
    (back,) = decoded(data)
    assert (type(back), back.dtype, back.shape) == (type(array), array.dtype, array.shape)
    assert repr(back) == repr(array)
    with pytest.raises((OneByOne, ValueError)):
        codec.pack([array])


def series(values: Any = (1.5, np.nan), index: Any = ("a", "b"), **more: Any) -> Any:
    return pd.Series(list(values), index=list(index) if isinstance(index, tuple) else index, **more)


@pytest.mark.parametrize("name", [None, "x", 5, 2**70, ("a", 1), 1.5, b"b", pd.Timestamp("2024-01-02")])
@pytest.mark.parametrize("values", [NANS.view(np.float64), np.array([2**63 - 1, -(2**63), 0, 1])])
def test_a_series_comes_back(codec: Codec, name: Any, values: Any) -> None:
    table = np.stack([values, values]).T  # its columns are not contiguous
    given = pd.Series(table[:, 0], index=["000001", "b", "", "é\U0001f600"], name=name)
    data = codec.one([given])
    assert kind_of(data[1:]) == SERIES
    (back,) = decoded(data)
    pd.testing.assert_series_equal(back, given)
    assert back.to_numpy().tobytes() == values.tobytes()
    assert (type(back.name), back.name, type(back.index)) == (type(name), name, pd.Index)
    back.iloc[0] = 7


def flagged() -> Any:
    return series().set_flags(allows_duplicate_labels=False)


def annotated() -> Any:
    given = series()
    given.attrs["unit"] = "m"
    return given


class Own(pd.Series):  # type: ignore[misc]
    @property
    def _constructor(self) -> type:
        return Own


@pytest.mark.parametrize(
    "given",
    [
        series(index=("a", "a")),
        series(index=None),
        series(index=(1, 2)),
        series(index=("a", 1)),
        series(index=("a", None)),
        series(index=pd.Index(["a", "b"], name="factor")),
        series(index=pd.Index(["a", "b"], dtype="string")),
        series(index=pd.Index(["a", "b"], dtype="category")),
        series(index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        series(index=pd.DatetimeIndex(["2024-01-02", "2024-01-03"])),
        series(index=pd.Index(["a", "\udc80"], dtype=object)),
        series(dtype="float32"),
        series(dtype="Float64"),
        series(dtype=object),
        series(("u", "v")),
        series((1, 2), dtype="uint64"),
        series((True, False)),
        series((), ()),
        annotated(),
        flagged(),
        Own([1.5], index=["a"]),
    ],
)
def test_any_other_series_stays_pickled(codec: Codec, given: Any) -> None:
    data = codec.one(given)
    assert kind_of(data) == PICKLE
    back = decoded(data)
    pd.testing.assert_series_equal(back, given)
    assert (type(back), back.attrs, back.flags) == (type(given), given.attrs, given.flags)


def test_a_table_stays_pickled(codec: Codec) -> None:
    table = pd.DataFrame({"code": ["000001", "600000"], "x": [0.1, np.nan], "n": [1, 2]})
    data = codec.one(table)
    assert kind_of(data) == PICKLE
    pd.testing.assert_frame_equal(decoded(data), table)


def test_both_codecs_give_the_same_bytes() -> None:
    for value in (
        np.arange(6.0).reshape(2, 3),
        np.zeros(70_000),
        series(),
        [series(name=("a", 1)), {"k": np.array(1)}],
    ):
        assert Codec().pack([value]) == plain_codec().pack([value])


@pytest.mark.parametrize(
    "parts",
    [
        ["O", [1], b"\0" * 8],
        [">f8", [1], b"\0" * 8],
        ["f8,f8", [1], b"\0" * 16],
        ["M8[s]", [1], b"\0" * 8],
        ["<f8", [2], b"\0" * 8],
        ["<f8", [1], b"\0" * 16],
        ["<f8", [-1], b"\0" * 8],
        ["<f8", [2**40], b""],
        ["<f8", [2**62, 2**62], b""],
        ["<f8", [0] * 100, b""],
        ["<f8", "a", b""],
        ["<f8", [1], "\0" * 8],
        ["nonsense", [1], b"\0" * 8],
        ["<f8", [1]],
        [],
        7,
    ],
    ids=str,
)
def test_a_malformed_array_is_refused(codec: Codec, parts: Any) -> None:
    for code, body in ((ARRAY, parts), (SERIES, ["x", ["a"], parts])):
        packed = Codec().pack(body)
        data = b"\x91\xc8" + len(packed).to_bytes(2, "big") + bytes([code]) + packed
        with pytest.raises((ValueError, TypeError, KeyError)):
            codec.unpack(data)


def test_plain_values_import_nothing() -> None:
    source = Path(__file__).parent.parent / "src"
    program = f"""
import sys
sys.path.insert(0, {str(source)!r})
from maniple.codec import Codec
codec = Codec()
data = codec.one([1, 2**70, "a", (1.5,), {{"k": {{1, 2}}}}])
assert list(codec.each(b"\\x91" + data)) == [[1, 2**70, "a", (1.5,), {{"k": {{1, 2}}}}]]
assert not {{"numpy", "pandas"}} & set(sys.modules)
import numpy
codec.pack([numpy.zeros(3)])
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
