"""A worker that has another interpreter or other packages than the caller: one clear line."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest
from cluster import LocalCluster
from harness import until

import maniple
from maniple._client import packages
from maniple.loading import version_of

PATIENCE = 60.0


def total(_: int, prices: Any) -> float:
    return float(prices["b"].sum())


def test_other_versions_of_packages_are_one_remark_a_job(
    tmp_path: Path, several: LocalCluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = {"pandas": "9.9.1", "numpy": "0.1"}
    monkeypatch.setattr(packages, "version_of", lambda name: fakes.get(name) or version_of(name))

    def task(x: int) -> int:
        return len(pd.DataFrame({"a": [x]})) + x

    def remarks() -> list[str]:
        return [line for line in capfd.readouterr().err.splitlines() if line.startswith("maniple: ")]

    told = f"maniple: pandas is 9.9.1 here and {pd.__version__} on {socket.gethostname()}: tasks may fail there"
    with maniple.connect(several.access):
        assert maniple.map(task, range(100), batch_size=1) == list(range(1, 101))
        (line,) = remarks()
        assert line.startswith(told)
        assert maniple.map(abs, [-1]) == [1] and not remarks()
        # So do the modules of what is shared.
        assert maniple.map(total, [1], shared={"prices": pd.DataFrame({"b": [1.0]})}) == [1]
        (line,) = remarks()
        assert "pandas is 9.9.1 here" in line and "numpy is 0.1 here" in line
        with maniple.Executor() as executor:
            assert executor.submit(task, 1).result(PATIENCE) == 2
        (line,) = remarks()
        assert "pandas is 9.9.1 here" in line
    monkeypatch.undo()
    with maniple.connect(several.access):
        assert maniple.map(task, range(100), batch_size=1) == list(range(1, 101)) and not remarks()


def refuse(*_: Any) -> Any:
    """Cannot be called where something unpickles."""
    raise AttributeError("no such thing in this version")


def test_a_worker_that_cannot_take_part_is_one_remark(
    tmp_path: Path, cluster: LocalCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 7, 0, 'final', 0)")
    python = tmp_path / "python3.7"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/old exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    cluster.start_worker(2, "--python", str(python))
    cluster.workers[-1].wait_for("connected to the coordinator")

    def task(x: int) -> int:
        until((tmp_path / "refused").exists)  # until the other one had its turn
        return x + 1

    def wait() -> None:
        cluster.workers[-1].wait_for("cannot be run on this machine")
        (tmp_path / "refused").touch()

    waiting = threading.Thread(target=wait)
    waiting.start()
    with maniple.connect(cluster.access):
        assert maniple.map(task, range(100), batch_size=1) == list(range(1, 101))
        waiting.join(PATIENCE)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("maniple: ")]
    ours = ".".join(map(str, sys.version_info[:2]))
    assert line.startswith(f"maniple: the worker on {socket.gethostname()} takes no part in the job: function ")
    assert f"was sent by Python {ours}, and {sys.executable} is Python 3.7: use one version on all machines" in line


class Newer:
    """Unpickles nowhere."""

    def __reduce__(self) -> Any:
        return refuse, ()


def test_what_does_not_unpickle_under_another_version_says_so(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "version_of", lambda name: "9.9.1" if name == "pandas" else version_of(name))
    shared = {"prices": [pd.DataFrame(), Newer()]}
    text = rf"cannot be loaded in .*: no such thing in .*; here pandas is {pd.__version__}, it was sent by pandas 9"
    with maniple.connect(cluster.access), pytest.raises(maniple.FunctionError, match=text):
        maniple.map(total, [1], shared=shared)
