"""A checkpoint that the real binary writes: read while the job runs, after it was killed, and when it has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maniple import Checkpoint

ROOT = Path(__file__).parents[2]
BINARY = Path(os.environ.get("MANIPLE_TEST_BINARY", ROOT / "target" / "release" / "maniple"))
DONE, ALL = 500, 600
FUNCTION = f"""
def row(day, code):
    if day == {DONE}:
        open("gate").close()  # until somebody opens the other end
    return [day * 0.1, day]
"""

assert BINARY.exists(), f"{BINARY} is missing: run `make build`"


def value(day: int) -> list[float]:
    return [day * 0.1, day]


@contextmanager
def job(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A job that has done some tasks when it waits at the gate."""
    (folder / "live.py").write_text(FUNCTION)
    (folder / "tasks.jsonl").write_text("".join(f'[{day}, "{day % 7:06d}"]\n' for day in range(ALL)))
    os.mkfifo(folder / "gate")
    command = [str(BINARY), "run", "live:row", "--tasks", "tasks.jsonl", "--checkpoint", "f", "-j", "1", "--flush", "0"]
    environment = dict(os.environ, VIRTUAL_ENV=sys.prefix)
    with subprocess.Popen(
        [*command, "--batch-size", "50"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until_all_is_there(folder: Path, process: subprocess.Popen[str]) -> Checkpoint:
    """Wait until all that comes before the gate is durable; each look on the way shows a prefix."""
    while not (folder / "f").exists():
        assert process.poll() is None
    checkpoint = Checkpoint(folder / "f")
    while len(checkpoint) < DONE:
        assert process.poll() is None
        checkpoint.refresh()
        assert dict(checkpoint.items()) == {(day, f"{day % 7:06d}"): value(day) for day in range(len(checkpoint))}
    return checkpoint


def test_a_job_is_read_while_it_runs(tmp_path: Path) -> None:
    with job(tmp_path) as process:
        checkpoint = until_all_is_there(tmp_path, process)
        assert len(checkpoint) == DONE and not checkpoint.closed
        assert checkpoint.column(0).tolist() == [day * 0.1 for day in range(DONE)]
        with open(tmp_path / "gate", "w"):
            assert process.wait() == 0, process.stderr and process.stderr.read()
        checkpoint.refresh()
        assert len(checkpoint) == ALL and checkpoint.closed
        assert sorted(checkpoint.column(1)) == list(range(ALL))
        assert checkpoint.pivot(0, 1, 0).loc[599, "000004"] == 599 * 0.1


def test_a_job_that_was_killed_is_read(tmp_path: Path) -> None:
    with job(tmp_path) as process:
        until_all_is_there(tmp_path, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    checkpoint = Checkpoint(tmp_path / "f")
    assert checkpoint.key_column("date").tolist() == list(range(DONE))
    assert dict(checkpoint.items()) == {(day, f"{day % 7:06d}"): value(day) for day in range(DONE)}
