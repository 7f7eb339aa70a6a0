"""What the tests share: children, and a small checkpoint in each layout."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cluster import LocalCluster
from encoder import write
from harness import Node, plain_codec

from maniple import Checkpoint
from maniple._client.engine import ENGINES
from maniple.codec import Codec

ROOT = Path(__file__).parents[2]
os.environ["MANIPLE_BINARY"] = os.environ.get("MANIPLE_TEST_BINARY", str(ROOT / "target" / "release" / "maniple"))
Start = Callable[..., Node]
DAYS, CODES = [20240102, 20240103, 20240104], ["000001", "000002", "600000"]
NAMES = ["a", "b", "c", "d"]
GRID: dict[Any, Any] = {(day, code): [day + 0.5, len(code) + day, code, None] for day in DAYS for code in CODES}

QUIET_FORK = ["-W", "ignore:This process:DeprecationWarning"]
"""For scripts that fork: Python 3.12 and newer warn of it beside any thread."""

SUITES = {
    "test_suites.py": "CPython's own tests of executors and pools",
    "test_joblib_suite.py": "joblib's own tests of its backends",
}
"""Files that run tests of other packages, and whose tests these are."""


@pytest.fixture(autouse=True, scope="module")
def nothing_idle() -> Iterator[None]:
    """An idle executor keeps its engine, and with it the key-values; the next file begins without."""
    yield
    joblib = sys.modules.get("maniple.joblib")
    if joblib is not None and joblib.IDLE._kept is not None:
        joblib.IDLE._kept[1].shutdown()
        joblib.IDLE._kept = None


@pytest.fixture(params=["msgpack", "plain"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts a child with a function loaded; once with the library msgpack, once as if there were none."""
    with ExitStack() as nodes:

        def begin(function: str, **options: Any) -> Node:
            node = nodes.enter_context(Node(request.param))
            name, fields = node.load(function, **options)
            assert name == "Ready", fields
            return node

        yield begin


@pytest.fixture(params=["msgpack", "plain"])
def codec(request: pytest.FixtureRequest) -> Codec:
    """What makes bytes of values; once with the library msgpack, once as if there were none."""
    return Codec() if request.param == "msgpack" else plain_codec()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """A coordinator, and a worker with two processes."""
    with LocalCluster(tmp_path) as started:
        yield started
        for connected in list(ENGINES.clusters):
            connected.close()


@pytest.fixture
def several(tmp_path: Path) -> Iterator[LocalCluster]:
    """A coordinator, and two workers with two processes each."""
    with LocalCluster(tmp_path, slots=0) as started:
        for _ in range(2):
            started.start_worker(2)
        yield started


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """The path of a FIFO: opening one end waits for the other."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)


@pytest.fixture(params=["columns", "msgpack", "zstd"])
def layout(request: pytest.FixtureRequest) -> str:
    """How the frames of a checkpoint are laid out."""
    return str(request.param)


@pytest.fixture
def grid(tmp_path: Path, layout: str) -> Checkpoint:
    """GRID in two frames."""
    items = list(GRID.items())
    frames = dict(items[:4]), dict(items[4:])
    return Checkpoint(write(tmp_path / "grid", *frames, layout=layout, columns=NAMES, key_columns=["date", "code"]))


@contextmanager
def scripts(folder: Path, first: str = "") -> Iterator[Any]:
    """Starts Python with programs of its own, in that folder; `first` are lines that each of them begins with."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str) -> subprocess.Popen[str]:
        (folder / "script.py").write_text(f"import os, sys, maniple\n{first}{textwrap.dedent(text)}")
        command = [sys.executable, *QUIET_FORK, "script.py"]
        process = subprocess.Popen(
            command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Any]:
    """Starts Python with a program of its own, in a folder of its own."""
    with scripts(tmp_path) as start:
        yield start


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many of how many tests of other packages pass over ours; the rest is in `docs/python-suites.md`."""
    for file, whose in SUITES.items():
        outcomes = {
            outcome: sum(f"/{file}::" in f"/{test.nodeid}" for test in tests if hasattr(test, "nodeid"))
            for outcome, tests in terminalreporter.stats.items()
            if outcome in ("passed", "failed", "error", "skipped", "xfailed")
        }
        if total := sum(outcomes.values()):
            terminalreporter.write_line(f"{whose}: {outcomes.get('passed', 0)} of {total} pass")
