"""Values that do not look like those of the checkpoint fail their tasks, with a line that says what is the matter."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from conftest import Start

from maniple.shape import Shape

Pair = namedtuple("Pair", "open close")
PAIR = ["open", "close"]
WIDE = [f"f{n}" for n in range(262)]
FREE: list[Any] = [None, "AsFound", "Any", "SomethingNewer", {"SomethingNewer": 5}]


def table(width: int) -> Any:
    return np.arange(2.0 * width).reshape(2, width)


def series(*names: Any) -> Any:
    return pd.Series([1.0] * len(names), index=list(names))


def verdict(shape: Any, value: Any) -> str:
    """Why a value is refused; what the quick look says of values is never kinder."""
    told = Shape(shape)
    reason = told.misfit(value)
    for values in ([value], [value] * 3, [value, 1.5], [value, [1, 2]]):
        assert not told.all_fit(values) or not any(map(told.misfit, values)), values
    return reason


@pytest.mark.parametrize("shape", FREE)
def test_without_a_shape_anything_goes(shape: Any) -> None:
    for value in (None, 1, [1], {"a": 1}, table(2), series("a"), object()):
        assert verdict(shape, value) == "" and Shape(shape).all_fit([value])


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        (
            {"Width": 2},
            [[1, 2], (1, "a"), [None, None], Pair(1, 2), np.array([1, 2]), np.array(["a", "b"]), table(1)[:, 0]],
        ),
        ({"Width": 1}, [[1], (None,), np.zeros(1)]),
        ({"Width": 0}, [[], ()]),
        ("Single", [1, 1.5, "a", None, True, b"x", 2**70, np.array(5), np.float64(1), {1}, pd.DataFrame({"a": [1]})]),
        ({"Names": PAIR}, [{"open": 1, "close": 2}, OrderedDict(close=1, open=2), series(*PAIR), series(*PAIR[::-1])]),
        ({"Columns": PAIR}, [[1, 2], (1, 2), np.zeros(2), {"close": 1, "open": 2}, series(*PAIR), Pair(1, 2)]),
        ({"Columns": ["score"]}, [1.5, [1.5], "a", None, {"score": 1}, np.zeros(1), np.array(1.0)]),
        ({"Columns": WIDE}, [[0.0] * 262, dict.fromkeys(WIDE), series(*WIDE)]),
    ],
)
def test_what_fits(shape: Any, values: list[Any]) -> None:
    for value in values:
        assert verdict(shape, value) == "", value


HAVE = "but the rows of this checkpoint have"
HINT = "; --any-shape keeps it all the same"


@pytest.mark.parametrize(
    ("shape", "value", "reason"),
    [
        ({"Width": 8}, [1, 2, 3], f"returned 3 values, {HAVE} 8 each{HINT}"),
        ({"Width": 8}, np.zeros(9), f"returned 9 values, {HAVE} 8 each{HINT}"),
        ({"Width": 2000}, (1,), f"returned 1 value, {HAVE} 2,000 each{HINT}"),
        ({"Width": 2}, [], f"returned 0 values, {HAVE} 2 each{HINT}"),
        ({"Width": 2}, 1.5, f"returned a value of type float, {HAVE} 2 each{HINT}"),
        ({"Width": 2}, None, f"returned None, {HAVE} 2 each{HINT}"),
        ({"Width": 2}, "ab", f"returned a value of type str, {HAVE} 2 each{HINT}"),
        ({"Width": 2}, {"a": 1, "b": 2}, f"returned a value of type dict, {HAVE} 2 each{HINT}"),
        ({"Width": 1}, 1.5, f"returned a value of type float, {HAVE} 1 each{HINT}"),
        ({"Width": 6}, table(3), f"returned an array of shape 2x3, {HAVE} 6 each{HINT}"),
        ({"Width": 2}, np.array(5), f"returned a value of type numpy.ndarray, {HAVE} 2 each{HINT}"),
        ("Single", [1.5], f"returned 1 value, {HAVE} 1 each{HINT}"),
        ("Single", {}, f"returned a value of type dict, {HAVE} 1 each{HINT}"),
        ({"Names": PAIR}, [1, 2], f"returned 2 values without names, {HAVE} 2 (open, close){HINT}"),
        ({"Names": ["a"]}, 1, f"returned a value of type int, {HAVE} 1 (a){HINT}"),
        (
            {"Names": PAIR},
            {"open": 1, "vwap": 2},
            f"returned no `close` and an unknown `vwap`, {HAVE} 2 (open, close){HINT}",
        ),
        ({"Columns": PAIR}, {"open": 1}, f"returned no `close`, {HAVE} 2 (open, close)"),
        ({"Columns": PAIR}, {}, f"returned no `open` and `close`, {HAVE} 2 (open, close)"),
        ({"Columns": PAIR}, {"open": 1, "close": 2, 7: 3}, f"returned an unknown `7`, {HAVE} 2 (open, close)"),
        ({"Columns": PAIR}, series("open", "close", "open"), f"returned `open` more than once, {HAVE} 2 (open, close)"),
        ({"Columns": PAIR}, [1, 2, 3], f"returned 3 values, {HAVE} 2 (open, close)"),
        ({"Columns": PAIR}, None, f"returned None, {HAVE} 2 (open, close)"),
        ({"Columns": WIDE}, [1], f"returned 1 value, {HAVE} 262 (f0, f1, f2, f3, f4, ..)"),
        (
            {"Columns": WIDE},
            series("x"),
            "returned no `f0`, `f1`, `f2`, `f3`, `f4` and 257 more and an unknown `x`, "
            "but the rows of this checkpoint have 262 (f0, f1, f2, f3, f4, ..)",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(shape: Any, value: Any, reason: str) -> None:
    assert verdict(shape, value) == reason


def test_the_rows_that_do_not_fit_fail_and_no_other(start: Start) -> None:
    node = start("same", shape={"Columns": PAIR})
    rows: list[Any] = [[1, 2], [1, 2, 3], (3, 4), {"close": 1, "open": 2}, {"open": 1}, np.array([1.5, 2.5]), None]
    ended = node.run(*[[row] for row in rows])
    assert list(ended.failures) == [2, 5, 7] and list(ended.values) == [1, 3, 4, 6]
    assert list(ended.values[4]) == ["close", "open"], "the order is that of the function"
    failure = ended.failures[2]
    assert (failure["kind"], failure["type_name"], failure["traceback"]) == ("BadValue", "list", "")
    assert failure["message"] == f"returned 3 values, {HAVE} 2 (open, close)"
    assert not node.run([[5, 6]], [(7, 8)]).failures


def test_values_that_all_fit_travel_as_ever(start: Start) -> None:
    node = start("same", shape={"Width": 3})
    ended = node.run(*[[[n, 2.5, "x"]] for n in range(500)])
    assert not ended.failures and [value[0] for value in ended.values.values()] == list(range(500))
    assert not start("same", shape="Single").run(*range(500)).failures


def test_a_value_that_resists_the_question_fails_alone(start: Start) -> None:
    node = start("made", shape={"Width": 2})
    ended = node.run(["unmeasured"], ["pair"], ["unmeasured"])
    assert list(ended.failures) == [1, 3] and list(ended.values) == [2]
    assert ended.failures[1]["message"] == "no length" and ended.failures[1]["kind"] == "BadValue"
