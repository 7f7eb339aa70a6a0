"""A template whose copies cannot be made; `test_preload.py` has those that can."""

import errno
import os
from collections.abc import Callable
from typing import Any, cast

import pytest

import maniple.template
from maniple.template import Template


class Idle:
    def tidy(self) -> None: ...


def failing(calls: int, work: Callable[[], Any]) -> Callable[[], Any]:
    """As `work`, but for the last of so many calls."""
    left = iter(range(calls - 1, -1, -1))

    def call() -> Any:
        if next(left):
            return work()
        raise OSError(errno.EAGAIN, "there are too many")

    return call


@pytest.mark.parametrize(("where", "name", "calls"), [(os, "pipe", 2), (maniple.template, "fork", 1)])
def test_nothing_is_left_open_when_a_copy_cannot_be_made(
    where: Any, name: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = Template.__new__(Template)
    template.streams = cast(Any, Idle())
    monkeypatch.setattr(where, name, failing(calls, getattr(where, name)))
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="there are too many"):
        template.fork([])
    assert os.listdir("/proc/self/fd") == before
