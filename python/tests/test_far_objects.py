"""Shared objects and large functions on a cluster: fetched once per node, mapped by its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from cluster import LocalCluster, Program, Relay
from conftest import ROOT
from harness import aside, descendants, memory, not_checked, until

import maniple
from maniple._client.cargo import Object

PATIENCE = 60.0
MB = 1_000_000
WHOLE = "all that its tasks share is here"


@pytest.fixture
def frame() -> Any:
    """A frame of 64 MB."""
    return pd.DataFrame({"a": np.arange(4e6), "b": np.ones(4_000_000)})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for 4 MiB; only root may make one."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)], capture_output=True).returncode:
        not_checked("objects on a full disk of the coordinator", "we may not mount one")
        pytest.skip("we may not mount a disk")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def mapped(pid: int) -> dict[str, int]:
    """How much of an object a process has mapped: what it sees of it, and its share, in bytes."""
    found, is_object = {"Rss": 0, "Pss": 0}, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in name:
            is_object = "maniple-object" in line
        elif is_object and name in found:
            found[name] += int(rest.split()[0]) << 10
    return found


def looked_up(at: int, prices: Any, log: str, fifo: str) -> tuple[float, float, bool]:
    """A value of a frame; waits until somebody opens the FIFO for writing."""
    found = (
        float(prices["a"].iloc[at]),
        float(prices["a"].sum() + prices["b"].sum()),
        bool(prices["a"].to_numpy().flags.writeable),
    )
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    open(fifo).close()
    return found


def test_each_node_gets_a_frame_once_and_its_processes_map_it(
    tmp_path: Path, several: LocalCluster, frame: Any, fifo: str
) -> None:
    relays = [Relay(several.address) for _ in range(3)]
    for worker in several.workers:
        worker.end()
    for relay in relays[1:]:
        several.start_worker(2, address=relay.address)
    size, log = 64 * MB, tmp_path / "log"
    log.touch()
    shared = {"prices": frame, "log": str(log), "fifo": fifo}
    with maniple.connect(several.access_by(relays[0].address)):
        call = aside(maniple.map, looked_up, range(4), batch_size=1, shared=shared)
        until(lambda: len(set(log.read_text().split())) == 4)
        pids = [int(pid) for pid in set(log.read_text().split())]
        maps = [mapped(pid) for pid in pids]
        with open(fifo, "w"):
            assert call.result(PATIENCE) == [(float(at), frame["a"].sum() + 4e6, False) for at in range(4)]
    sent, got = relays[0].there, [relay.back for relay in relays[1:]]
    print(f"{sent / MB:.1f} MB from the client, {[round(each / MB, 1) for each in got]} MB to the workers")
    assert size < sent < size * 1.1 and all(size < each < size * 1.1 for each in got)
    print(f"mapped by the processes: {maps}")
    # Each process sees all of it, and shares it with the other one of its node.
    assert all(each["Rss"] >= size for each in maps) and 1.9 * size < sum(each["Pss"] for each in maps) < 2.1 * size
    until(lambda: not list((tmp_path / "access" / "state" / "objects").iterdir()))


def test_a_large_function_travels_and_an_executor_shares(cluster: LocalCluster) -> None:
    text, table = "x" * (5 << 20), np.arange(1e6)
    with maniple.connect(cluster.access):
        assert maniple.map(lambda n: len(text) + n, [1, 2]) == [(5 << 20) + 1, (5 << 20) + 2]
        assert maniple.map(lambda n, table: table[n].item(), [3, 999_999], shared={"table": table}) == [3, 999_999]
        with maniple.Executor(shared={"table": table}) as executor:
            assert executor.submit(lambda n, table: table[n].item(), 7).result(PATIENCE) == 7
        with pytest.raises(maniple.JobFailed, match="assignment destination is read-only"):
            maniple.map(lambda n, table: table.fill(n), [0], shared={"table": table})


class Gate:
    """Lets a number of pieces through, then holds the next until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
        self.held, self._open = threading.Event(), threading.Event()
        self.asked: list[int] = []
        true_piece = Object.piece

        def piece(known: Object, at: int, most: int) -> bytes:
            if threading.current_thread().name == "maniple":
                self.asked.append(at)
                if len(self.asked) > pieces and not self._open.is_set():
                    self.held.set()
                    assert self._open.wait(PATIENCE)
            return true_piece(known, at, most)

        monkeypatch.setattr(Object, "piece", piece)

    def open(self) -> None:
        """Let them through."""
        self._open.set()


def total(_: int, prices: Any) -> float:
    return float(prices["b"].sum())


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_coordinator_that_dies_while_it_fetches_fetches_again(
    tmp_path: Path, frame: Any, monkeypatch: pytest.MonkeyPatch, *, checkpoint: bool
) -> None:
    gate = Gate(monkeypatch, 5)
    kept: dict[str, Any] = {"checkpoint": tmp_path / "f.checkpoint"} if checkpoint else {}
    with LocalCluster(tmp_path) as started, maniple.connect(started.access):
        call = aside(maniple.map, total, range(8), shared={"prices": frame}, **kept)
        assert gate.held.wait(PATIENCE)
        started.kill_coordinator()
        started.start_coordinator()
        gate.open()
        assert call.result(PATIENCE) == [4e6] * 8
    assert gate.asked.count(0) == 2


def test_a_storekeeper_that_panics_costs_nothing(tmp_path: Path, frame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program = ROOT / "target" / "debug" / "maniple"
    if not program.exists():
        not_checked(
            "a storekeeper that panics", "there is no program with injected faults, `make test-rust` builds one"
        )
        pytest.skip("no program with injected faults")
    monkeypatch.setenv("MANIPLE_BINARY", str(program))
    monkeypatch.setenv("MANIPLE_INJECT", "panic:storekeeper@20")
    with LocalCluster(tmp_path, slots=0) as started:
        monkeypatch.delenv("MANIPLE_INJECT")
        started.start_worker(2)
        with maniple.connect(started.access):
            assert maniple.map(total, range(8), shared={"prices": frame}) == [4e6] * 8
    log = started.coordinator.rest()
    assert "injected at storekeeper" in log and "did not stop in order" not in log


def test_a_coordinator_that_is_started_again_has_what_was_fetched(
    tmp_path: Path, several: LocalCluster, frame: Any, fifo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, 1000)

    def slow(x: int, prices: Any) -> float:
        if x == 5:
            Path(f"{fifo}.waits").touch()
            open(fifo).close()
        return float(prices["b"].sum()) + x

    kept: dict[str, Any] = {"checkpoint": tmp_path / "f.checkpoint", "flush": 0}
    with maniple.connect(several.access):
        call = aside(maniple.map, slow, range(40), shared={"prices": frame}, batch_size=1, **kept)
        until(Path(f"{fifo}.waits").exists)
        for worker in several.workers:  # in order, so that they are not waited for
            worker.process.send_signal(signal.SIGTERM)
            worker.wait_for("once more: at once")
            worker.end()
        several.kill_coordinator()
        several.start_coordinator()
        several.start_worker(2)
        with open(fifo, "w"):
            assert call.result(PATIENCE) == [4e6 + x for x in range(40)]
    assert gate.asked.count(0) == 1


def test_a_worker_may_die_or_lose_its_way_while_it_fetches(
    tmp_path: Path, frame: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCluster(tmp_path, slots=0) as started:
        # Each of these breaks off in the middle, one for ever.
        lost, cut = Relay(started.address, most=20 * MB), Relay(started.address, most=20 * MB)
        started.start_worker(2, address=lost.address)
        started.start_worker(2, address=cut.address)
        with maniple.connect(started.access):
            call = aside(maniple.map, total, range(8), shared={"prices": frame})
            assert lost.stuck.wait(PATIENCE) and cut.stuck.wait(PATIENCE)
            started.workers[0].end(signal.SIGKILL)
            lost.cut()
            cut.cut()
            cut.most = None
            cut.mend()
            assert call.result(PATIENCE) == [4e6] * 8
        cut.cut()
    assert 64 * MB < cut.back < 75 * MB


def holders(worker: Program) -> list[int]:
    """The processes of a worker that hold an object."""

    def holds(pid: int) -> bool:
        with contextlib.suppress(FileNotFoundError):  # it may end just now
            fds = list(Path(f"/proc/{pid}/fd").iterdir())
            return any("maniple-object" in os.readlink(fd) for fd in fds if fd.is_symlink())
        return False

    return [pid for pid in descendants(worker.process.pid) if holds(pid)]


def test_a_worker_that_is_away_when_the_job_ends_gives_the_memory_back(tmp_path: Path, fifo: str) -> None:
    def wait(_: int, table: Any) -> int:
        open(fifo).close()
        return len(table)

    with LocalCluster(tmp_path, slots=1) as started:
        relay = Relay(started.address)
        started.start_worker(1, address=relay.address)
        with maniple.connect(started.access), maniple.Executor(shared={"table": np.ones(1000)}) as executor:
            calls = [executor.submit(wait, x) for x in range(2)]
            until(lambda: all(map(holders, started.workers)))
            with open(fifo, "w"):
                assert [call.result(PATIENCE) for call in calls] == [1000, 1000]
            relay.cut()
            started.coordinator.wait_for("lost the connection to a worker")
            executor.shutdown()
            until(lambda: not holders(started.workers[0]))
            assert holders(started.workers[1])
            relay.mend()
            until(lambda: not holders(started.workers[1]))
        relay.cut()


def test_what_arrives_damaged_is_one_clear_error(
    cluster: LocalCluster, frame: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_spec = Object.spec_elsewhere.fget  # type: ignore[attr-defined]
    wrong = property(lambda self: true_spec(self) | {"crc": 1})
    monkeypatch.setattr(Object, "spec_elsewhere", wrong)
    with maniple.connect(cluster.access):
        with pytest.raises(maniple.JobStopped, match="arrived damaged at the coordinator: its checksum") as raised:
            maniple.map(total, range(8), shared={"prices": frame})
        assert "\n" not in str(raised.value)
        monkeypatch.undo()
        assert maniple.map(total, [1], shared={"prices": frame}) == [4e6]


def test_a_client_that_promises_too_much_or_sends_nonsense_is_told(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_spec = Object.spec_elsewhere.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Object, "spec_elsewhere", property(lambda self: true_spec(self) | {"size": 10**15}))
    before = memory(cluster.coordinator.process.pid, "Rss")
    with maniple.connect(cluster.access):
        with pytest.raises(maniple.JobStopped, match="sent a piece of an object that nobody asked for"):
            maniple.map(total, range(8), shared={"prices": {"b": np.ones(1000)}})
        assert memory(cluster.coordinator.process.pid, "Rss") - before < 20 * MB
        monkeypatch.undo()
        assert maniple.map(total, [1], shared={"prices": {"b": np.ones(10)}}) == [10]


def test_a_full_disk_of_the_coordinator_is_one_clear_error(tmp_path: Path, frame: Any, small_disk: Path) -> None:
    text = f"failed to keep in {small_disk}/objects what the tasks share: No space left on device .*; make room there"
    started = LocalCluster(tmp_path, slots=1, options=("--state-dir", str(small_disk)))
    with started, maniple.connect(started.access):
        with pytest.raises(maniple.JobStopped, match=text):
            maniple.map(total, range(8), shared={"prices": frame})
        assert maniple.map(total, [1], shared={"prices": {"b": np.ones(10)}}) == [10]
