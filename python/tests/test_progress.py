"""What is shown of a job: numbers for a function, a line for a terminal."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from harness import aside, kill_engine, until

import maniple
import maniple._progress

PATIENCE = 60.0


def test_progress_is_told() -> None:
    seen: list[maniple.Progress] = []
    maniple.map(abs, range(100), progress=seen.append)
    assert (seen[-1].total, seen[-1].done, seen[-1].finished, seen[-1].complete) == (100, 100, 100, True)


def test_the_line_ends_when_it_is_learnt_that_these_are_all(capsys: pytest.CaptureFixture[str]) -> None:
    draw = maniple._progress.bar(always=True)
    assert draw is not None
    for complete in (False, False, True, True):
        draw(maniple.Progress(3, complete, 3, 0, 0, 0, 0.0))
    shown = capsys.readouterr().err
    assert shown.count("3/3") == 2 and shown.count("\n") == 1 and shown.endswith("\n")


def test_reproduces_a_line_that_was_longer_than_the_terminal() -> None:
    far = maniple.Progress(2_000_000, complete=True, done=900_000, skipped=700_000, failed=1_000, busy=2, elapsed=5e3)
    lines = {room: maniple._progress.line(far, room) for room in (20, 60, 80, 100, 1 << 16)}
    assert all(len(text) < room for room, text in lines.items())
    assert lines[60].startswith(" 80%|| 1,601,000/2,000,000 [1:23:20<") and len(lines[80]) == 79
    assert (lines[100].count("#"), lines[1 << 16].count("#")) == (15, 19)


def wait(fifo: str, *_: Any) -> None:
    open(fifo).read()  # until it is closed, or this process is killed


CALLS: dict[str, Any] = {
    "map": lambda fifo: maniple.map(wait, [fifo], progress=True),
    "collect=False": lambda fifo: maniple.map(wait, [fifo], checkpoint=f"{fifo}.c", collect=False, progress=True),
    "an iterator": lambda fifo: next(maniple.map(wait, [fifo], output="iterator", progress=True)),
    "run_pools": lambda fifo: maniple.run_pools(wait, [[fifo, ""]], progress=True),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_reproduces_an_error_behind_an_open_line(fifo: str, monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    for module in ("job", "stream"):
        monkeypatch.setattr(f"maniple._client.{module}.LIVES", 1)
    made = aside(call, fifo)
    with open(fifo, "w"):
        until(lambda: "0/1 [" in shown.getvalue())
        kill_engine()
    with pytest.raises(maniple.EngineError, match="the engine died"):
        made.result(PATIENCE)
    assert shown.getvalue().endswith("]\n") and shown.getvalue().count("\n") == 1
